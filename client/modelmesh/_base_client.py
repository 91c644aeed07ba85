"""What the blocking and the asyncio client share: settings, and building a call.

Must never: wait or send.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from modelmesh import _discovery, _json
from modelmesh._call import Call
from modelmesh._http_view import BASE_URL
from modelmesh._options import (
    NOT_GIVEN,
    checked_retries,
    encode_body,
    given,
    merged_headers,
    retry_delay,
    seconds,
    warn_of_no_effect,
    with_cache_wish,
    with_query,
)
from modelmesh._raw import ClientAnswers, RawResponse
from modelmesh._types import MeshDetails, Object
from modelmesh.errors import MeshError, ProtocolError, from_wire
from modelmesh.protocol import ERROR, RESPONSE, Message, RequestHead

_JSON = {"content-type": "application/json"}
DEFAULT_TIMEOUT = 600.0
DEFAULT_RETRIES = 2


class Operation:
    """One call of the API: what is sent, and the kind of object expected back."""

    __slots__ = ("body", "deadline", "headers", "kind", "limit", "method", "path", "retries", "started", "stream")

    def __init__(
        self,
        method: str,
        path: str,
        body: bytes,
        kind: type[Object],
        limit: float | None,
        headers: dict[str, str],
        stream: bool,
    ) -> None:
        self.method = method
        self.path = path
        self.body = body
        self.kind = kind
        self.limit = limit
        self.started = time.monotonic()
        self.deadline = None if limit is None else self.started + limit
        self.headers = headers
        self.stream = stream
        self.retries = 0


class BaseClient(ClientAnswers):
    """Settings of a client.

    timeout: seconds for a whole call, retries included, and then for each chunk of a stream; or an `httpx.Timeout`;
    None for no limit of the client's own.
    max_retries: how often a refused call is tried again (never one that may have begun).
    """

    base_url = f"{BASE_URL}/"
    api_key = "modelmesh"
    """The daemon holds the keys."""
    organization = project = webhook_secret = None
    _asynchronous = False
    _answers: type[RawResponse] | None = None

    def __init__(
        self,
        socket: str | os.PathLike[str] | None = None,
        *,
        timeout: float | Any | None = NOT_GIVEN,
        max_retries: int | Any = NOT_GIVEN,
        default_headers: Mapping[str, str] | None = None,
        app: str | None = None,
        default_query: Mapping[str, Any] | None = None,
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
        self._socket = socket
        self._models = tuple(_models)
        self._line = self._make_line()
        self._make_resources()

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
        copy = self._copied(timeout, max_retries, default_headers, default_query, of_the_sdk)
        if set_default_headers is not None:
            copy.default_headers = merged_headers({}, set_default_headers)
        if set_default_query is not None:
            copy.default_query = dict(set_default_query)
        return copy

    copy = with_options

    def is_closed(self) -> bool:
        """Whether this client, or one that shares its connection, is closed."""
        return bool(self._line.hung_up)

    def _parts(self) -> list[str]:
        return ["chat.completions", "completions", "embeddings", "mesh", "models"]

    def _address(self) -> str:
        return _discovery.find(self._socket)

    def _copied(
        self,
        timeout: Any = NOT_GIVEN,
        max_retries: Any = NOT_GIVEN,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, Any] | None = None,
        of_the_sdk: Mapping[str, Any] | None = None,
    ) -> Self:
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
        copy._make_resources()
        return copy

    def _answering(self, kind: type[RawResponse]) -> Self:
        """The same client, whose calls return answers of this kind."""
        copy = self._copied()
        copy._answers = kind
        return copy

    def _make_line(self) -> Any:
        """Its connections, which its copies share."""
        raise NotImplementedError

    def _make_resources(self) -> None:
        raise NotImplementedError

    def _default_model(self, capability: str) -> str:
        """What a call without a model asks for: what the client is bound to, the profile's pool, or the call's
        capability."""
        for name in self._models:
            if name.rpartition(".")[2] == capability:
                return name
        if self._models:
            return self._models[0]
        pool = _discovery.profile().get("pool")
        return pool if isinstance(pool, str) and pool else capability

    def _operation(
        self,
        method: str,
        path: str,
        kind: type[Object] = Object,
        params: Mapping[str, Any] | None = None,
        *,
        stream: bool = False,
        timeout: Any = NOT_GIVEN,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> Operation:
        limit = seconds(timeout) if given(timeout) else self.timeout
        headers = _JSON if not self.default_headers else {**_JSON, **self.default_headers}
        if params and "cache" in params:
            params, headers = with_cache_wish(params, headers)
        body = b"" if params is None and extra_body is None else encode_body(params or {}, extra_body)
        if extra_headers:
            headers = merged_headers(headers, extra_headers)
        if self.default_query:
            extra_query = {**self.default_query, **(extra_query or {})}
        return Operation(method, with_query(path, extra_query), body, kind, limit, headers, stream)

    def _call(self, operation: Operation) -> Call:
        head = RequestHead(
            method=operation.method,
            path=operation.path,
            headers=operation.headers,
            stream=operation.stream,
            app=self.app or "",
        )
        call = Call(head, operation.body, operation.limit)
        call.deadline = operation.deadline
        return call

    def _back_off(self, operation: Operation, error: MeshError) -> float:
        """Seconds until a failed call is tried again. Raises the error if it is not."""
        delay = retry_delay(error, operation.retries) if operation.retries < self.max_retries else None
        if delay is None or (operation.deadline is not None and time.monotonic() + delay >= operation.deadline):
            raise error
        operation.retries += 1
        return delay


def checked(message: Message, call: Call) -> Message:
    """The message, unless it is an ERROR. Raises the error that it describes."""
    if message.kind == ERROR:
        raise from_wire(message.head.status, message.head.error, message.head.mesh, call.name)
    return message


def parsed(message: Message, call: Call, kind: type[Object]) -> Object:
    """The object of a RESPONSE. Raises ProtocolError for one that is not a JSON object."""
    if message.kind != RESPONSE:
        raise ProtocolError("one answer was asked for, and a stream came", request_id=call.name)
    try:
        json = _json.decode(message.body)
    except ValueError as error:
        raise ProtocolError(f"the answer is not JSON: {error}", request_id=call.name) from None
    if not isinstance(json, dict):
        raise ProtocolError("the answer is not a JSON object", request_id=call.name)
    reply = kind.of(json)
    reply.mesh = MeshDetails.of(message.head.mesh)
    reply._request_id = call.name
    return reply
