"""One stream of a chat's events. Owns: telling when it is complete."""

from __future__ import annotations

from typing import Any

from meshd.formats.body import Body
from meshd.formats.cohere import answer, wire
from meshd.formats.cohere.stream.ending import Ending
from meshd.formats.errors.not_answers import NotAnAnswer, NotAnEvent
from meshd.formats.stream import event_reader
from meshd.sdk.provider import StreamEvent


class EventReader(event_reader.EventReader):
    member = b"type"
    names = frozenset(name.encode() for name in wire.EVENTS)

    _ending: Ending

    def __init__(self, body: Body, **watched: Any) -> None:
        super().__init__(body, Ending(), **watched)

    def read_object(self, data: bytes, name: bytes, bare: bool) -> StreamEvent | None:
        try:
            read = wire.read_event(data, name)
        except (NotAnAnswer, NotAnEvent) as why:
            return self.instead(why, data, name, bare)
        progress = self._ending.note(read)
        if self._ending.stopped:
            self._end(done=True)
            if self._failure is not None:
                return None
        return self._passed(read.event, progress)

    def read_unary(self, body: bytes) -> list[StreamEvent]:
        reading = answer.read_answer(body)
        return [wire.read_event(data).event for data in answer.as_stream(reading.body)]
