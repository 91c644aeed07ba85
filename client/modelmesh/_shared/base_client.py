"""A client's settings, and its copies with other settings.

Must never: wait or send.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Self

from modelmesh import discovery
from modelmesh._connection.departures import DRAIN_SLACK_SECONDS
from modelmesh._openai_sdk.arguments import BASE_URL, NOT_GIVEN, checked_retries, given, warn_of_no_effect
from modelmesh._openai_sdk.not_offered import Offers
from modelmesh._shared.base_sender import Settings
from modelmesh._shared.options import merged_headers, seconds

DEFAULT_TIMEOUT = 600.0
DEFAULT_RETRIES = 2


class BaseClient(Settings, Offers):
    """Settings of a client.

    timeout: seconds for a whole call, retries included, and then for each chunk of a stream; or an `httpx.Timeout`;
    None for no limit of the client's own.
    max_retries: how often a refused call is tried again (never one that may have begun).
    """

    base_url = f"{BASE_URL}/"
    api_key = "modelmesh"
    """The daemon holds the keys."""
    organization = project = webhook_secret = None
    _sender: Any

    def __init__(
        self,
        socket: str | os.PathLike[str] | None = None,
        *,
        timeout: float | Any | None = NOT_GIVEN,
        max_retries: int | Any = NOT_GIVEN,
        default_headers: Mapping[str, str] | None = None,
        app: str | None = None,
        default_query: Mapping[str, Any] | None = None,
        drain_slack: float = DRAIN_SLACK_SECONDS,
        curve_server_key: str | None = None,
        curve_public_key: str | None = None,
        curve_secret_key: str | None = None,
        _models: Sequence[str] = (),
        **of_the_sdk: Any,
    ) -> None:
        if of_the_sdk:
            warn_of_no_effect(type(self).__name__, of_the_sdk)
        self.timeout = seconds(timeout) if given(timeout) else DEFAULT_TIMEOUT
        self.max_retries = checked_retries(max_retries) if given(max_retries) else DEFAULT_RETRIES
        self.default_headers = merged_headers({}, default_headers or {})
        self.default_query = dict(default_query or {})
        self.app = app
        keys = {
            "curve_server_key": curve_server_key,
            "curve_public_key": curve_public_key,
            "curve_secret_key": curve_secret_key,
        }
        self._sender = self._make_sender(partial(discovery.find, socket, keys), drain_slack, tuple(_models))

    def with_options(
        self,
        *,
        timeout: float | Any | None = NOT_GIVEN,
        max_retries: int | Any = NOT_GIVEN,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, Any] | None = None,
        set_default_headers: Mapping[str, str] | None = None,
        set_default_query: Mapping[str, Any] | None = None,
        **of_the_sdk: Any,
    ) -> Self:
        """The same client with other settings, over the same connection. `default_…` are merged, `set_…` replace."""
        if of_the_sdk:
            warn_of_no_effect("with_options", of_the_sdk)
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        if given(timeout):
            copy.timeout = seconds(timeout)
        if given(max_retries):
            copy.max_retries = checked_retries(max_retries)
        if default_headers:
            copy.default_headers = merged_headers(self.default_headers, default_headers)
        if default_query:
            copy.default_query = {**self.default_query, **default_query}
        if set_default_headers is not None:
            copy.default_headers = merged_headers({}, set_default_headers)
        if set_default_query is not None:
            copy.default_query = dict(set_default_query)
        copy._sender = self._sender.of(copy)
        for name in vars(self):
            if isinstance(getattr(type(self), name, None), cached_property):
                del copy.__dict__[name]  # a part has the sender of this client
        return copy

    copy = with_options

    @property
    def with_raw_response(self) -> Self:
        """The same client, whose methods return answers with headers; `.parse()` gives the object."""
        from modelmesh._shared.raw_response import RawResponse

        return self._answering(RawResponse)

    def is_closed(self) -> bool:
        """Whether this client, or one that shares its connection, is closed."""
        return bool(self._sender.handle.closed)

    def _answering(self, kind: Any) -> Self:
        """The same client, whose calls return raw responses of this kind."""
        copy: Self = self.with_options()
        copy._sender = copy._sender.answering(kind)
        return copy

    def _parts(self) -> list[str]:
        parts = [name for name in dir(type(self)) if isinstance(getattr(type(self), name), cached_property)]
        return ["chat.completions" if name == "chat" else name for name in parts]

    def _make_sender(self, find: Any, drain_slack: float, models: Sequence[str]) -> Any:
        """What sends its calls. find: the daemon's address."""
        raise NotImplementedError
