"""An app's end of a request, without a front end: `Asked` says what its reply was told."""

from __future__ import annotations

import json
from typing import Any

from meshd.core.caller import Caller, Peer
from meshd.gateway.control.dispatcher import Dispatcher
from meshd.gateway.frontends.credit import CreditedReply
from meshd.gateway.frontends.exchange import Deadline, Request
from meshd.host import clock
from modelmesh import MeshError


class _Reply(CreditedReply):
    __slots__ = ("_app",)

    def __init__(self, app: Asked, deadline: Deadline, credit: int) -> None:
        super().__init__(deadline, credit)
        self._app = app

    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        if not self.done:
            self.done = True
            self._app.on_respond(body, mesh, headers)

    def error(self, error: MeshError) -> None:
        if not self.done:
            self.done = True
            self._app.on_error(error)

    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        if not self.done:
            self.done = True
            self._app.on_end(usage, mesh)

    def _send_chunk(self, data: bytes) -> None:
        self._app.on_chunk(data)


class Asked(Request):
    """Subclasses say what is done with an answer: `on_respond`, `on_error`, `on_chunk` and `on_end`. timeout,
    first_chunk: seconds."""

    reply: _Reply

    def __init__(
        self,
        body: bytes = b"{}",
        *,
        method: str = "POST",
        path: str = "/v1/chat/completions",
        caller: Caller | None = None,
        timeout: float = 60.0,
        first_chunk: float | None = None,
        credit: int = 64,
        stream: bool = False,
        headers: dict[str, str] | None = None,
        request_id: bytes = bytes(16),
        label: str = "",
    ) -> None:
        arrived = clock.now()
        deadline = Deadline.after(arrived, timeout, first_chunk)
        super().__init__(
            request_id,
            method,
            path,
            body,
            _Reply(self, deadline, credit),
            headers=headers or {},
            caller=caller or Peer(),
            deadline=deadline,
            arrived=arrived,
            stream=stream,
            label=label,
        )

    def on_respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None) -> None: ...

    def on_error(self, error: MeshError) -> None: ...

    def on_end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None: ...

    def on_chunk(self, data: bytes) -> None: ...


class _Waiting(Asked):
    """Keeps its answer."""

    answer: bytes = b""
    failure: MeshError | None = None

    def on_respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None) -> None:
        self.answer = body

    def on_error(self, error: MeshError) -> None:
        self.failure = error


async def answer_of(
    dispatcher: Dispatcher,
    method: str,
    path: str,
    body: bytes = b"",
    caller: Caller | None = None,
    headers: dict[str, str] | None = None,
) -> Any:
    """The decoded answer of one of the mesh's own operations. Raises MeshError."""
    asked = _Waiting(body, method=method, path=path, caller=caller, headers=headers)
    await dispatcher.run(asked)
    if asked.failure is not None:
        raise asked.failure
    return json.loads(asked.answer)
