"""Replies that keep an answer in the store of responses.

Owns: seeing an answer as its app gets it. Must never: delay an answer, or let one fail because it cannot be kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshd.formats.keeping import Keeping
from meshd.gateway.frontends.exchange import Reply, ReplyInFront
from modelmesh.errors import MeshError


class KeepingReply(ReplyInFront):
    """Wraps an app's reply. keep: takes a whole response, before the app gets it; None if it is not to be kept.
    previous: the response that the request follows, which the answer names."""

    __slots__ = ("_assembly", "_keep", "_keeping", "_previous")

    def __init__(self, app: Reply, keeping: Keeping, previous: str, keep: Callable[[bytes], None] | None) -> None:
        super().__init__(app)
        self._keeping = keeping
        self._previous = previous
        self._keep = keep
        self._assembly = keeping.assembling()

    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self.done = True
        body = self._named(body)
        if self._keep is not None:
            self._keep(body)
        self._app.respond(body, mesh, headers)

    async def chunk(self, data: bytes) -> None:
        data = self._named(data)
        if self._keep is not None:
            self._assembly.add(data)
            if self._keeping.is_last(data):  # its app may ask for the next at once
                self._keep(self._assembly.answer())
        await self._app.chunk(data)
        self.sent += 1

    def _named(self, data: bytes) -> bytes:
        return self._keeping.follows(data, self._previous) if self._previous else data


class BackgroundReply(Reply):
    """The reply of a request whose app does not wait. ended: called once, with the answer or the error."""

    __slots__ = ("_ended",)

    def __init__(self, ended: Callable[[bytes, MeshError | None], None]) -> None:
        super().__init__()
        self._ended = ended

    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._end(body, None)

    def error(self, error: MeshError) -> None:
        self._end(b"", error)

    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        self._end(b"", MeshError("The answer came as a stream."))

    async def chunk(self, data: bytes) -> None:
        """Not expected, as no stream was requested."""

    def _end(self, body: bytes, error: MeshError | None) -> None:
        if not self.done:
            self.done = True
            self._ended(body, error)


class StreamedReply(BackgroundReply):
    """The same for a stream. passed: called with each event but the last. answered: called with the whole answer as
    soon as it is complete; `ended` gets it again."""

    __slots__ = ("_answer", "_answered", "_assembly", "_keeping", "_passed")

    def __init__(
        self,
        keeping: Keeping,
        passed: Callable[[bytes], None],
        answered: Callable[[bytes], None],
        ended: Callable[[bytes, MeshError | None], None],
    ) -> None:
        super().__init__(ended)
        self._keeping = keeping
        self._passed = passed
        self._answered = answered
        self._assembly = keeping.assembling()
        self._answer = b""

    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        lacking = MeshError("The answer's stream ended without its last event.")
        self._end(self._answer, None if self._answer else lacking)

    async def chunk(self, data: bytes) -> None:
        self.chunk_now(data)

    def chunk_now(self, data: bytes) -> bool:
        self.sent += 1
        self._assembly.add(data)
        if self._keeping.is_last(data):
            self._answer = self._assembly.answer()
            self._answered(self._answer)
        else:
            self._passed(data)
        return True
