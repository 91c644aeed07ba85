"""One stream of a response's events."""

from __future__ import annotations

from typing import Any

from meshd.formats.errors.response_failures import failure_from_no_answer
from meshd.formats.openai.answer import Unanswered
from meshd.formats.openai.wire import Broken, unread
from meshd.formats.responses import answer, wire
from meshd.formats.responses.stream.ending import Ending
from meshd.formats.responses.stream.unary import as_events
from meshd.formats.stream import event_reader
from meshd.net.http import BodyInHand, UpstreamBody
from meshd.sdk.provider import StreamEvent


class EventReader(event_reader.EventReader):
    member = b"type"
    # A tool of the provider that failed: the model reads that, and answers.
    names = frozenset({b"response.mcp_call.failed", b"response.mcp_list_tools.failed"})

    _ending: Ending

    def __init__(self, body: UpstreamBody | BodyInHand, **watched: Any) -> None:
        super().__init__(body, Ending(), **watched)
        self._reading = wire.Events()

    def read_object(self, data: bytes, name: bytes, bare: bool) -> StreamEvent | None:
        try:
            event, progress = self._reading.read(data, name)
        except Broken:
            self._lose(data)
            return None if bare or self._failure is None else unread(data)
        except wire.Told as told:
            self._failure = told.failure()
            return None
        except wire.Nothing as nothing:
            self._ending.doubt = self._ending.doubt or nothing.doubtful
            if nothing.end:
                self._end(done=True)
            return None
        self._ending.content = self._ending.content or event.content
        event = self._passed(event, progress)
        if self._reading.ended:
            self._ending.ended = True
            self._end(done=True)
        return event

    def read_unary(self, body: bytes) -> list[StreamEvent]:
        try:
            reading = answer.read_answer(body)
        except Broken:
            raise failure_from_no_answer(self._url, body) from None
        except wire.Told as told:
            raise told.failure() from None
        except Unanswered as why:
            raise self._bad(f"answered {why}", body, why.usage) from None
        return as_events(reading.body)
