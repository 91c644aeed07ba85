"""Captures what apps ask and get, if the log or traces want it (`observability.logging.level`, `.tracing.content`).

Must never: delay an answer, change it, or hold more than the room that all requests share.
"""

from __future__ import annotations

from typing import Any

from meshd.config.schema.observability import ObservabilityConfig
from meshd.core.events.content import Content, ContentRoom
from meshd.gateway.frontends.exchange import Reply, ReplyInFront, Request
from meshd.gateway.spoken import Spoken

_LEAST = 1024 * 1024
"""The most bytes that are held, for a prompt and for an answer. JSON is read as a whole, and a stream is longer than
its text."""


class ContentCapture:
    """For one router. wanted: whether requests are to be captured."""

    def __init__(self) -> None:
        self.wanted = False
        self._most = _LEAST
        self._room = ContentRoom()

    def configure(self, observability: ObservabilityConfig) -> None:
        logging = observability.logging
        self.wanted = logging.level != "metadata" or observability.tracing.content
        self._most = max(_LEAST, 2 * logging.max_payload_size)

    def begin(self, request: Request, spoken: Spoken) -> None:
        """From here on, the request and its answer are captured."""
        content = Content(self._room, str(spoken.operation), spoken.format_name, request.body, self._most)
        request.content = content
        request.way_back = SeenReply(request.way_back, request.reply, content)


class SeenReply(ReplyInFront):
    """Wraps `app`, the reply of a request. first: the reply that knows whether the answer is a file."""

    __slots__ = ("_content", "_first")

    def __init__(self, app: Reply, first: Reply, content: Content) -> None:
        super().__init__(app)
        self._first = first
        self._content = content

    # The framing of the answer is up to the app's own reply.
    @property
    def file(self) -> str | None:
        return self._app.file

    @file.setter
    def file(self, content_type: str | None) -> None:
        if content_type is not None:
            self._app.file = content_type

    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self.done = True
        content_type = (headers or {}).get("content-type", "application/json")
        self._content.is_file = "json" not in content_type and not content_type.startswith("text/")
        self._content.add(body, streamed=False)
        self._app.respond(body, mesh, headers)

    async def chunk(self, data: bytes) -> None:
        await self._app.chunk(data)
        self._saw(data)

    def chunk_now(self, data: bytes) -> bool:
        if not self._app.chunk_now(data):
            return False
        self._saw(data)
        return True

    def _saw(self, data: bytes) -> None:
        self.sent += 1
        self._content.is_file = self._first.file is not None
        self._content.add(data, streamed=True)
