"""The URLs and headers of requests to a provider in one format, from its base URL and its keys.

Must never: know a wire format; its paths and its key's header come from the format.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from multidict import CIMultiDict
from yarl import URL

from meshd.connectors.providers.addresses import filled
from meshd.core.text.redaction import redact_url
from meshd.formats.errors.wrong_address import without_endpoint
from meshd.formats.known import FORMATS
from meshd.formats.openai.quota import QuotaQuirk
from meshd.formats.protocol import Address, ProviderSide
from meshd.net.encodings import readable
from meshd.operations.known import OPERATIONS
from meshd.sdk.calls.credential import Credential
from meshd.sdk.provider import OperationSpec, ProviderCall, ProviderSettings
from modelmesh.version import VERSION

USER_AGENT = f"meshd/{VERSION}"


_MOST_TARGETS = 4096
"""Targets that are kept for a format whose paths contain the model: apps may make up any name."""


class Target(NamedTuple):
    """Where a request is sent. address: for messages."""

    url: URL
    address: Address


class HttpRequests:
    """For one provider. Raises ValueError for settings without a valid address.

    side: of the format. base: its URL, ending in a slash. uds: the UNIX socket it is reached over. where: its
    address, for messages. query: parameters of every request."""

    def __init__(self, settings: ProviderSettings, side: ProviderSide, format: str = "") -> None:
        self.side, quirks, self._format = side, settings.quirks, format
        paths = {operation: side.path(operation, "", stream=False) for operation in OPERATIONS.values()}
        self.base, self.uds = _base(settings, [path for path in paths.values() if path is not None])
        self.where = self.uds or _authority(self.base)
        self.headers = _headers(settings, side, settings.api_key)
        self._usual_key_header = str(getattr(side, "usual_key_header", "")).lower()
        self._key_header = next(iter({*side.headers("key")} - {*side.headers("")}), "authorization")
        self._event_headers = _for_events(self.headers, side.events_type)
        by_key = {id: _headers(settings, side, key) for id, key in settings.api_keys.items()}
        self._by_key = {id: (headers, _for_events(headers, side.events_type)) for id, headers in by_key.items()}
        self._quirks = quirks
        self._targets = {operation: self._target(path) for operation, path in paths.items() if path is not None}
        self._by_model: dict[tuple[OperationSpec, str, bool], Target | None] = {}
        self.models = _join(self.base, side.models_path, quirks)
        self.query = dict(_join(self.base, "", quirks).query)
        quota: QuotaQuirk | None = quirks.get("quota")
        self.quota = _join(self.base, quota["path"], quirks) if quota else None

    def target(self, call: ProviderCall) -> Target | None:
        """None if the format has no such operation."""
        if not self.side.by_model:
            return self._targets.get(call.operation)
        asked = (call.operation, call.model, call.stream)
        if asked not in self._by_model:
            if len(self._by_model) >= _MOST_TARGETS:
                self._by_model.clear()
            path = self.side.path(call.operation, call.model, stream=call.stream)
            self._by_model[asked] = None if path is None else self._target(path)
        return self._by_model[asked]

    @property
    def targets(self) -> Iterable[Target]:
        """The targets that do not depend on the model."""
        return () if self.side.by_model else self._targets.values()

    def _target(self, path: str) -> Target:
        url = _join(self.base, path, self._quirks)
        return Target(url, Address(self.where, shown(url)))

    def model(self, id: str) -> URL:
        """The URL of one model's description."""
        target = self.models.with_path(f"{self.models.raw_path}/{quote(id)}", encoded=True)
        return target.with_query(self.query)

    def headers_for(self, key: str, *, stream: bool) -> CIMultiDict[str]:
        """key: its id; "" for the only one."""
        unary, of_events = self._by_key.get(key, (self.headers, self._event_headers))
        return of_events if stream else unary

    def headers_of(self, call: ProviderCall) -> CIMultiDict[str]:
        """The headers of one request, as a new object."""
        headers = self.headers_with(call.headers, call.key, stream=call.stream)
        if call.form is not None:  # each form has a boundary of its own
            headers["Content-Type"] = call.form.content_type
        return headers

    def of_app(self, credential: Credential) -> Mapping[str, str]:
        """The header with an app's own key, as this provider takes it."""
        name, value = credential.for_provider(self._format, self._key_header, (self._usual_key_header, "authorization"))
        if name:
            return {name: value}
        return {self._key_header: self.side.headers(value)[self._key_header]}

    def headers_with(self, more: Mapping[str, str], key: str, *, stream: bool) -> CIMultiDict[str]:
        """more: headers of the app's request. A list that both have (`anthropic-beta`) is joined; otherwise the app's
        value counts."""
        headers = self.headers_for(key, stream=stream).copy()
        for name, value in more.items():
            before = headers.get(name)
            headers[name] = f"{before},{value}" if before and name.endswith("-beta") else value
        return headers


def formats_of(settings: ProviderSettings) -> tuple[str, ...]:
    """The wire formats of its API, the preferred one first. Raises ValueError."""
    told: Any = settings.quirks.get("speaks") or ("openai",)
    names = (told,) if isinstance(told, str) else tuple(told)
    if unknown := [str(name) for name in names if name not in FORMATS]:
        known = ", ".join(FORMATS)
        raise ValueError(f"provider {settings.name}: speaks {', '.join(unknown)}, which is not one of {known}")
    return names


def with_headers(headers: CIMultiDict[str], more: Mapping[str, str]) -> CIMultiDict[str]:
    """more: these replace headers of the same name, ignoring case."""
    both = headers.copy()
    both.update(more)
    return both


def shown(target: URL) -> str:
    """The address for messages, without secrets."""
    return redact_url(str(target.with_query(None)))


def _base(settings: ProviderSettings, endpoints: Collection[str]) -> tuple[URL, str | None]:
    """The base URL, ending in a slash, and the UNIX socket it is reached over."""
    base, uds = filled(settings.base_url or "", settings), settings.quirks.get("uds")
    if base.startswith("unix:"):
        base, uds = "", "/" + base.removeprefix("unix:").lstrip("/")
    if not base:
        if not uds:
            raise ValueError(f"provider {settings.name}: no base_url")
        base = "http://localhost/v1"
    address, ask, query = base.partition("?")
    scheme, mark, rest = address.partition("://")
    rest = without_endpoint(re.sub(r"/{2,}", "/", rest), endpoints)
    url = URL(scheme + mark + rest.rstrip("/") + "/" + ask + query)
    if url.scheme not in ("http", "https") or not url.host:
        shown = redact_url(base)
        raise ValueError(f"provider {settings.name}: base_url must be http://…, https://… or unix:/…, not {shown!r}")
    return url, uds


def _authority(base: URL) -> str:
    return base.host or "" if base.is_default_port() else f"{base.host}:{base.port}"


def _join(base: URL, path: str, quirks: Any) -> URL:
    target = URL(str(base.with_query(None)) + path.lstrip("/"), encoded=True)
    query = dict(base.query) | {str(key): str(value) for key, value in (quirks.get("query") or {}).items()}
    return target.update_query(query) if query else target


def _headers(settings: ProviderSettings, side: ProviderSide, key: str | None) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict(
        {
            "Content-Type": "application/json",
            "Accept": "application/json",
            # Compression adds latency and gains nothing for answers of this size.
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
        }
    )
    method = settings.auth_method
    headers.update(side.headers(key if key and method in (None, "api_key") else ""))
    if key and method == "bearer":
        headers["Authorization"] = f"Bearer {key}"
    headers.update(settings.headers)
    headers["Accept-Encoding"] = readable(headers["Accept-Encoding"])
    return headers


def _for_events(headers: CIMultiDict[str], media_type: str) -> CIMultiDict[str]:
    of_events = headers.copy()
    of_events["Accept"] = media_type
    return of_events
