"""Checks the configuration's connectors: each must exist, be built and installed, and have valid keys.

Owns: the check of every place that names a connector, and of the keys that belong to one.
Must never: import a connector that comes with the daemon; its settings schema and the files that a key names are
enough. Connectors of other packages are imported, since only that shows whether they can run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from meshd.config.check.error_messages import sentence
from meshd.config.check.references import IS_PLACEHOLDER, is_unfilled, strings
from meshd.config.check.sections.auth import check_auth, method_of, sends_no_key
from meshd.config.check.values import as_map
from meshd.config.schema.base import ConnectorEntry, OpenSection
from meshd.config.schema.connectors.stores import SecretsConfig, StorageConfig
from meshd.config.schema.discovery import DiscoveryConfig
from meshd.config.schema.observability import LoggingSinks, RoutingSinks, StatisticsSinks, TracingConfig
from meshd.config.schema.routing.providers import ProviderConfig
from meshd.config.schema_walk import Report, keys_of, suggest_key
from meshd.connectors.registry import ConnectorRegistry
from meshd.core.text.key_path import Path
from meshd.core.text.redaction import is_secret_path
from meshd.host.installing import how_to_install
from meshd.sdk.connector import ConnectorSpec
from modelmesh.wording import likeliest

_ANY_SERVER = (
    "openai-compatible.v1",
    "anthropic-compatible.v1",
    "responses-compatible.v1",
    "gemini-compatible.v1",
)
_REFERENCE = re.compile(r"\$\{[^}]*\}")
SINKS: dict[str, type[OpenSection]] = {
    "routing": RoutingSinks,
    "logging": LoggingSinks,
    "statistics": StatisticsSinks,
    "tracing": TracingConfig,
}

Fault = tuple[Path, str]
"""Where, and what is wrong."""


class Given(NamedTuple):
    """What a connector is given: its own keys at `at`, and those of its section at `above`, which it shares."""

    own: Mapping[str, Any]
    at: Path
    shared: Mapping[str, Any] = {}
    above: Path = ()

    @property
    def together(self) -> dict[str, Any]:
        return {**self.shared, **self.own}

    def path_of(self, below: tuple[int | str, ...]) -> Path:
        """Of a key, or of all keys together."""
        in_section = bool(below) and below[0] not in self.own
        return (*(self.above if in_section else self.at), *below)


class ConnectorChecks:
    """quote: returns the end of a sentence that shows the value at a path."""

    def __init__(
        self, flat: dict[str, Any], registry: ConnectorRegistry, report: Report, quote: Callable[[Path], str]
    ) -> None:
        self._flat = flat
        self._quote = quote
        self._registry = registry
        self._report = report

    def run(self) -> None:
        self._check_providers()
        secrets = self._flat.get("secrets")
        if isinstance(secrets, dict):
            self._check_entries(("secrets",), secrets, SecretsConfig, "store", "secret-store", "modelmesh.env.v1")
        storage = self._flat.get("storage")
        if isinstance(storage, dict):
            self._check_entries(("storage",), storage, StorageConfig, "connector", "storage", "modelmesh.sqlite.v1")
        observability = self._flat.get("observability")
        for name, section in SINKS.items():
            value = observability.get(name) if isinstance(observability, dict) else None
            if isinstance(value, str | list | tuple):
                self._check_entries(("observability", name), {"": value}, section, "", "observability", None)
            elif isinstance(value, dict):
                self._check_entries(("observability", name), value, section, "connector", "observability", None)
        discovery = self._flat.get("discovery")
        if isinstance(discovery, dict):
            self._check_discovery(discovery.get("connector"))
        self._check_strategies()
        self._check_entries(("hooks",), {"": self._flat.get("hooks")}, OpenSection, "", "hook", None)

    # -- places that name a connector -----------------------------------------------------------------

    def _check_providers(self) -> None:
        providers = self._flat.get("providers")
        for name, entry in (providers if isinstance(providers, dict) else {}).items():
            if not isinstance(entry, dict):
                continue
            at: Path = ("providers", name)
            given = entry.get("connector")
            if given is not None and not isinstance(given, str):
                continue
            id = given or name
            spec = self._find(id, "provider", (*at, "connector") if given else at, named=bool(given))
            if spec is not None and entry.get("enabled") is not False:
                self._check_usable(spec, (*at, "connector"))
                if spec.id in _ANY_SERVER and not entry.get("base_url"):
                    self._report((*at, "base_url"), f"is missing: {spec.id} has no default address", None)
            check_auth(at, entry, spec.row if spec is not None else {}, self._report)
            self._check_base_url(at, entry, spec)
            self._check_placeholders(at, entry, spec)
            self._check_ca_file(at, entry)
            self._check_proxy(at, entry)
            self._check_http2(at, entry)
            own = {key: value for key, value in entry.items() if key not in ProviderConfig.model_fields}
            self._check_own_keys(at, own, ProviderConfig, [spec])
            self._check_values(Given(own, at), spec)

    def _check_base_url(self, at: Path, entry: dict[str, Any], spec: ConnectorSpec | None) -> None:
        """Messages do not quote the value, which may contain a credential."""
        url = entry.get("base_url")
        if not isinstance(url, str) or not url or url.startswith(("unix:", "${")):
            return
        where = (*at, "base_url")
        try:
            parts = urlsplit(_REFERENCE.sub("1", url))
            usable = parts.scheme in ("http", "https") and bool(parts.hostname)
            _ = parts.port
        except ValueError:
            usable = False
        if not usable:
            self._report(where, "expected http://…, https://… or unix:/… (the path of a socket)", None)
        elif "@" in parts.netloc and self._sends_key(entry, spec):
            self._report(where, "contains a credential, and there is an `api_key` too: give only one of them", None)

    def _check_placeholders(self, at: Path, entry: dict[str, Any], spec: ConnectorSpec | None) -> None:
        """Only for hosted providers: a user's own server may accept any word as a key."""
        if spec is None or not is_hosted(entry, spec):
            return
        for below, text in strings(entry):
            if is_secret_path((*at, *below)) and is_unfilled(text):
                self._report((*at, *below), IS_PLACEHOLDER, None)

    def _check_ca_file(self, at: Path, entry: dict[str, Any]) -> None:
        path = entry.get("ca_file")
        if not isinstance(path, str) or "${" in path or entry.get("enabled") is False:
            return
        from meshd.net.connections.tls import certificate_fault

        fault = certificate_fault(path)
        if fault:
            self._report((*at, "ca_file"), f"{path} {fault}", None)

    def _check_proxy(self, at: Path, entry: dict[str, Any]) -> None:
        address = entry.get("proxy")
        if not isinstance(address, str) or "${" in address:
            return
        from meshd.net.connections.proxies import ProxyRefused, configured_proxy

        try:
            proxy = configured_proxy(address)
        except ProxyRefused as refused:
            self._report((*at, "proxy"), str(refused).removeprefix("proxy "), None)
            return
        if proxy is not None and str(entry.get("base_url")).startswith("unix:"):
            self._report((*at, "proxy"), "has no effect: `base_url` is a socket of this machine", None)

    def _check_http2(self, at: Path, entry: dict[str, Any]) -> None:
        wanted = as_map(entry.get("connection_pool")).get("http2") is True and entry.get("enabled") is not False
        if wanted and find_spec("h2") is None:
            why = f"needs the package h2; install it with {how_to_install('http2')}"
            self._report((*at, "connection_pool", "http2"), why, None)

    @staticmethod
    def _sends_key(entry: dict[str, Any], spec: ConnectorSpec | None) -> bool:
        if sends_no_key(method_of(entry, spec.row if spec is not None else {})):
            return False
        return bool(entry.get("api_key") or (spec is not None and spec.key_env))

    def _check_entries(
        self, at: Path, section: dict[str, Any], schema: type[BaseModel], key: str, kind: str, default: str | None
    ) -> None:
        """Check a section that names connectors of one kind under `key` and may contain their keys."""
        value = section.get(key)
        here = (*at, key) if key else at
        several = isinstance(value, list | tuple)
        shared = {name: each for name, each in section.items() if key and name not in schema.model_fields}
        specs: list[ConnectorSpec | None] = []
        told: set[Fault] = set()
        for index, item in enumerate(_listed(value)):
            path = (*here, index) if several else here
            id = item.get("connector") if isinstance(item, dict) else item
            if not isinstance(id, str):
                specs.append(self._registry.find(default, kind) if id is None and default else None)
                self._check_values(Given({}, at, shared, at), specs[-1], told)
                continue
            spec = self._use(id, kind, path)
            specs.append(spec)
            own = {name: each for name, each in item.items() if name != "connector"} if isinstance(item, dict) else {}
            self._check_own_keys(path, own, ConnectorEntry, [spec])
            self._check_values(Given(own, path if own else at, shared, at), spec, told)
            self._check_required(path, spec, shared | own)
        if not default and not any(isinstance(item, str | dict) for item in _listed(value)):
            # Without a named connector, the process chooses one later, with default settings.
            for name in shared:
                self._report((*at, name), "unknown key", suggest_key(schema, name, ()))
            return
        self._check_own_keys(at, shared, schema, specs)

    def _check_discovery(self, value: Any) -> None:
        """The section's other keys are its own, so each entry contains its connector's."""
        section = {"connector": value}
        self._check_entries(("discovery",), section, DiscoveryConfig, "connector", "discovery", None)

    def _check_strategies(self) -> None:
        pools = self._flat.get("pools")
        for name, pool in (pools if isinstance(pools, dict) else {}).items():
            for key in ("strategy", "fallback_strategy"):
                strategy = pool.get(key) if isinstance(pool, dict) else None
                if isinstance(strategy, str):
                    self._use(strategy, "rotation", ("pools", name, key))

    # -- one connector --------------------------------------------------------------------------------

    def _find(self, id: str, kind: str, path: Path, *, named: bool = True) -> ConnectorSpec | None:
        spec = self._registry.find(id, kind)
        if spec is not None:
            return spec
        if ended := self._registry.why_retired(id, kind):
            self._report(path, ended, None)
        else:
            near = self._registry.nearest(id, kind)
            what = "rotation policy" if kind == "rotation" else f"{kind} connector"
            message = f"unknown {what} {id!r}" if named else f"names no `connector`, and {id!r} is not one"
            self._report(path, message + self._registry.left_out(id), near)
        return None

    def _use(self, id: str, kind: str, path: Path) -> ConnectorSpec | None:
        """The connector that the configuration names here. Reports a problem if it cannot be used."""
        spec = self._find(id, kind, path)
        if spec is not None and spec.why_not_named:
            self._report(path, spec.why_not_named, None)
        elif spec is not None:
            self._check_usable(spec, path)
        return spec

    def _check_usable(self, spec: ConnectorSpec, path: Path) -> None:
        missing = self._registry.missing_packages(spec)
        if missing:
            self._report(
                path, f"{spec.id} needs the package {', '.join(missing)}; install it with {spec.install_hint}", None
            )
        elif why := self._registry.why_unusable(spec):
            self._report(path, why, None)

    def _check_own_keys(
        self, at: Path, own: dict[str, Any], schema: type[BaseModel], specs: list[ConnectorSpec | None]
    ) -> None:
        """Keys unknown to the section must be known to a connector it names."""
        if not own:
            return
        schemas = [spec.load_settings() for spec in specs if spec is not None]
        opaque = not schemas or any(settings is None for settings in schemas)
        known: list[type[BaseModel]] = [settings for settings in schemas if settings is not None]
        names = tuple(name for settings in known for name in keys_of(settings))
        for key in own:
            if key in names:
                continue
            near = suggest_key(schema, key, names)
            # Without a schema, only likely misspellings of the section's own keys are reported.
            if not opaque or near:
                self._report((*at, key), "unknown key", near)

    def _check_required(self, at: Path, spec: ConnectorSpec | None, given: dict[str, Any]) -> None:
        settings = spec.load_settings() if spec is not None else None
        for name, info in settings.model_fields.items() if settings is not None else ():
            if info.is_required() and given.get(name) is None:
                self._report((*at, name), "is missing", None)

    def _check_values(self, given: Given, spec: ConnectorSpec | None, told: set[Fault] | None = None) -> None:
        """told: what was reported before, since the keys of a section are read for each of its connectors."""
        settings = spec.load_settings() if spec is not None else None
        if settings is None:
            return
        told = set() if told is None else told
        for path, kind, message, near in self._faults_of(given, settings):
            if (path, message) not in told and kind != "missing":  # _check_required says where it belongs
                told.add((path, message))
                self._report(path, message, near)

    def _faults_of(self, given: Given, settings: type[BaseModel]) -> Iterator[tuple[Path, str, str, str | None]]:
        """(path, kind, message, suggestion) of each."""
        known = {key: value for key, value in given.together.items() if key in keys_of(settings) and value is not None}
        if not known:
            return
        try:
            settings.model_validate(known)
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_input=False):
                path = given.path_of(fault["loc"])
                if fault["type"] == "extra_forbidden":
                    near = likeliest(str(path[-1]), _keys_at(settings, fault["loc"][:-1]))
                    yield path, fault["type"], "unknown key", near
                else:
                    value = self._quote(path) if fault["loc"] else ""  # or all keys together are at fault
                    message = sentence(fault["type"], fault.get("ctx", {}), fault["msg"], value)
                    yield path, fault["type"], message, None


def _keys_at(settings: type[BaseModel], place: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys of the section at this place among a connector's own."""
    section = settings
    for step in place:
        kinds = get_args(section.model_fields[str(step)].annotation) if step in section.model_fields else ()
        section = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), BaseModel)
    return tuple(section.model_fields)


def is_hosted(entry: Mapping[str, Any], spec: ConnectorSpec) -> bool:
    """Whether a provider is a vendor's own service, which requires a key."""
    own = urlsplit(str(spec.row.get("base_url") or ""))
    try:
        given = urlsplit(_REFERENCE.sub("1", str(entry.get("base_url") or ""))).netloc
    except ValueError:
        return False
    return bool(own.netloc) and not spec.row.get("local") and (not given or given == own.netloc)


def _listed(value: Any) -> list[Any] | tuple[Any, ...]:
    return value if isinstance(value, list | tuple) else [value]


def own_settings(spec: ConnectorSpec | None, given: dict[str, Any]) -> dict[str, Any]:
    """This connector's part of the keys given for several, converted to their types and with its defaults.

    Invalid values stay as given: validation reports them.
    """
    settings = spec.load_settings() if spec is not None else None
    if settings is None:
        return dict(given)
    own = {key: value for key, value in given.items() if key in keys_of(settings) and value is not None}
    try:
        read = settings.model_validate(own)
    except ValidationError:
        return own
    return {key: getattr(read, key) for key in keys_of(settings) if getattr(read, key) is not None}
