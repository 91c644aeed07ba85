"""How a client's calls are built: what both senders share.

Must never: wait or send.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from modelmesh import discovery
from modelmesh._connection.pending_call import PendingCall
from modelmesh._objects import lenient_json
from modelmesh._openai_sdk.arguments import NOT_GIVEN, given
from modelmesh._shared.options import encode_body, merged_headers, retry_delay, seconds, with_cache_wish, with_query
from modelmesh.errors import MeshError, ProtocolError, from_wire
from modelmesh.protocol import ERROR, RESPONSE, Message, RequestHead
from modelmesh.types import MeshDetails, Object

_JSON = {"content-type": "application/json"}
_OPTIONS = ("timeout", "extra_headers", "extra_query", "extra_body")


class Settings:
    """A client's settings, which a program may change at any time."""

    timeout: float | None
    max_retries: int
    default_headers: dict[str, str]
    default_query: dict[str, Any]
    app: str | None


class BaseSender:
    """Builds calls from the settings of a client. handle: its connections. models: those that the client is bound to.
    answers: the kind of raw response that its calls return, None for objects."""

    def __init__(self, settings: Settings, handle: Any, models: Sequence[str] = (), answers: Any = None) -> None:
        self.settings = settings
        self.handle = handle
        self._models = models
        self._answers = answers

    def of(self, settings: Settings) -> Self:
        """The same for a copy of the client."""
        return type(self)(settings, self.handle, self._models, self._answers)

    def answering(self, kind: Any) -> Self:
        """The same, whose calls return raw responses of this kind."""
        return type(self)(self.settings, self.handle, self._models, kind)

    def default_model(self, capability: str) -> str:
        """What a call without a model asks for: what the client is bound to, the profile's pool, or the call's
        capability."""
        for name in self._models:
            if name.rpartition(".")[2] == capability:
                return name
        if self._models:
            return self._models[0]
        pool = discovery.profile().get("pool")
        return pool if isinstance(pool, str) and pool else capability

    def call(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        files: Mapping[str, Any] | None = None,
        stream: bool = False,
        timeout: Any = NOT_GIVEN,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> PendingCall:
        """A call that is ready to be sent. params: what its body contains; with files, a form."""
        settings = self.settings
        limit = seconds(timeout) if given(timeout) else settings.timeout
        headers = _JSON if not settings.default_headers else {**_JSON, **settings.default_headers}
        if params and "cache" in params:
            params, headers = with_cache_wish(params, headers)
        if files is not None:
            from modelmesh._shared.forms import encode_form

            kind, body = encode_form({**(params or {}), **(extra_body or {})}, files)
            headers = {**headers, "content-type": kind}
        else:
            body = b"" if params is None and extra_body is None else encode_body(params or {}, extra_body)
        if extra_headers:
            headers = merged_headers(headers, extra_headers)
        if settings.default_query:
            extra_query = {**settings.default_query, **(extra_query or {})}
        head = RequestHead(
            method=method, path=with_query(path, extra_query), headers=headers, stream=stream, app=settings.app or ""
        )
        return PendingCall(head, body, limit)

    def model_call(self, path: str, capability: str, params: dict[str, Any], **options: Any) -> PendingCall:
        """A call from the parameters that a method was called with, including the options. capability: that of the
        model, if none is named."""
        taken = {name: params.pop(name) for name in _OPTIONS if name in params}
        asked = {**params, "model": params.get("model") or self.default_model(capability)}
        return self.call("POST", path, asked, **options, **taken)

    def back_off(self, call: PendingCall, error: MeshError) -> float:
        """Seconds until a failed call is tried again. Raises the error if it is not."""
        delay = retry_delay(error, call.retries) if call.retries < self.settings.max_retries else None
        if delay is None or (call.deadline is not None and time.monotonic() + delay >= call.deadline):
            raise error
        return delay


def checked(message: Message, call: PendingCall) -> Message:
    """The message, unless it is an ERROR. Raises the error that it describes."""
    if message.kind == ERROR:
        raise from_wire(message.head.status, message.head.error, message.head.mesh, call.name)
    return message


def as_read(answer: Any, read: Callable[[Any], Any]) -> Any:
    """What `read` makes of an answer. A raw response is read when it is parsed."""
    if callable(later := getattr(type(answer), "parsed_by", None)):
        later(answer, read)
        return answer
    return read(answer)


def parsed(message: Message, call: PendingCall, kind: type[Object]) -> Any:
    """The object of a RESPONSE, or its text. Raises ProtocolError for anything else."""
    if message.kind != RESPONSE:
        raise ProtocolError("expected a single answer but got a stream", request_id=call.name)
    if message.head.headers.get("content-type", "").startswith("text/plain"):
        return message.body.decode(errors="replace")
    try:
        json = lenient_json.decode(message.body)
    except ValueError as error:
        raise ProtocolError(f"the answer is not JSON: {error}", request_id=call.name) from None
    if not isinstance(json, dict):
        raise ProtocolError("the answer is not a JSON object", request_id=call.name)
    reply = kind.of(json)
    reply.mesh = MeshDetails.of(message.head.mesh)
    reply._request_id = call.name
    return reply
