"""One stream of a response's events."""

from __future__ import annotations

from typing import Any

from meshd.formats.body import Body
from meshd.formats.errors.not_answers import NotAnAnswer, NotAnEvent
from meshd.formats.responses import answer, wire
from meshd.formats.responses.stream.ending import Ending
from meshd.formats.responses.stream.unary import as_events
from meshd.formats.stream import event_reader
from meshd.sdk.provider import StreamEvent


class EventReader(event_reader.EventReader):
    member = b"type"
    # A tool of the provider has failed: the model reads that, and answers.
    names = frozenset({b"response.mcp_call.failed", b"response.mcp_list_tools.failed"})

    _ending: Ending

    def __init__(self, body: Body, **watched: Any) -> None:
        super().__init__(body, Ending(), **watched)
        self._reading = wire.Events()

    def read_object(self, data: bytes, name: bytes, bare: bool) -> StreamEvent | None:
        try:
            event, progress = self._reading.read(data, name)
        except (NotAnAnswer, NotAnEvent) as why:
            return self.instead(why, data, name, bare)
        self._ending.content = self._ending.content or event.content
        event = self._passed(event, progress)
        if self._reading.ended:
            self._ending.ended = True
            self._end(done=True)
        return event

    def read_unary(self, body: bytes) -> list[StreamEvent]:
        return as_events(answer.read_answer(body).body)
