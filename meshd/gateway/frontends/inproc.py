"""The front end of the process itself: requests of the program that embeds the mesh, and of the other actors.

Owns: their request ids and replies. Must never: cross a thread (actors do that by messages).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from meshd.config.mesh_config import MeshConfig
from meshd.gateway.frontends.admission import Admission
from meshd.gateway.frontends.credit import CreditedReply
from meshd.gateway.frontends.exchange import ClientGone, Deadline, Request
from meshd.gateway.frontends.peer_identity import ourselves
from meshd.gateway.frontends.sent_answer import Answer
from meshd.host import clock
from modelmesh.errors import MeshError

_AHEAD = 8  # chunks of a stream that may wait to be read


class InprocReply(CreditedReply):
    """Call `whole`, or iterate over a stream's chunks and `close` it if you do not need the rest."""

    __slots__ = ("_admission", "_come", "_request_id", "answer", "mesh", "usage", "waiting")

    def __init__(self, admission: Admission, request_id: bytes, deadline: Deadline) -> None:
        super().__init__(deadline, _AHEAD)
        self.answer: Answer | None = None  # of a unary request, or an error
        self.usage: dict[str, Any] | None = None  # of a stream, at its end
        self.mesh: dict[str, Any] = {}
        self.waiting: list[bytes] = []
        self._admission = admission
        self._request_id = request_id
        self._come = asyncio.Event()

    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self.mesh = mesh
        self._finish(Answer(body, mesh, headers))

    def error(self, error: MeshError) -> None:
        self._finish(Answer(error=error))

    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        self.usage, self.mesh = usage, mesh
        self._finish(None)

    def _send_chunk(self, data: bytes) -> None:
        if self.done:
            raise ClientGone
        self.waiting.append(data)
        self._come.set()

    def _finish(self, answer: Answer | None) -> None:
        if not self.done:
            self.done = True
            self.answer = answer
            self._admission.ended(self._request_id, self, None)  # within a process, nothing is lost
            self._come.set()

    async def whole(self) -> bytes:
        """The body of a unary answer. Raises MeshError. If the caller is cancelled, so is the request."""
        try:
            while not self.done:
                self._come.clear()
                await self._come.wait()
        finally:
            self.close()
        answer = self.answer or Answer()
        if answer.error is not None:
            raise answer.error
        return answer.body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises MeshError."""
        try:
            while True:
                while self.waiting:
                    yield self.waiting.pop(0)
                    self.add_credit(1)
                if self.done:
                    break
                self._come.clear()
                await self._come.wait()
        finally:
            self.close()
        if self.answer is not None and self.answer.error is not None:
            raise self.answer.error

    def close(self) -> None:
        """Stop the request; the rest is not needed. Idempotent."""
        if not self.done:
            self._admission.lost(self._request_id)
            self.done = True
            self._come.set()


class InprocFrontend:
    """The front end whose caller is this process itself."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._receiving = True

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        stream: bool = False,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> InprocReply:
        """Begin a request. timeout: seconds; by default, and at most, the configured timeout. Raises MeshError if the
        mesh has ended."""
        if not self._receiving:
            raise MeshError("The mesh has ended.", code="not_running")
        request_id, limits = os.urandom(16), self._admission.limits
        arrived = clock.now()
        deadline = Deadline.after(arrived, min(timeout or limits.request_timeout, limits.request_timeout))
        reply = InprocReply(self._admission, request_id, deadline)
        request = Request(
            request_id,
            method,
            path,
            body,
            reply,
            headers=headers or {},
            caller=ourselves(),
            deadline=deadline,
            arrived=arrived,
            stream=stream,
        )
        self._admission.admit(request, len(body), self._admission.rights(request.caller))
        return reply

    async def ask(self, method: str, path: str, body: Mapping[str, Any], query: Mapping[str, str]) -> Any:
        """The decoded answer of one of the mesh's own operations. Raises MeshError."""
        asked = f"{path}?{urlencode(query)}" if query else path
        return msgspec.json.decode(await self.send(method, asked, msgspec.json.encode(body) if body else b"").whole())

    # -- the front end --------------------------------------------------------------------------------

    def objections(self, config: MeshConfig) -> tuple[str, ...]:
        return ()

    def open(self, loop: asyncio.AbstractEventLoop) -> None: ...

    def use(self, config: MeshConfig) -> None: ...

    def drain(self, reason: str, seconds: float) -> None: ...

    def stop_receiving(self) -> None:
        self._receiving = False

    def close(self) -> None:
        self._receiving = False
