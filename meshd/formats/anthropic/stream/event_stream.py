"""One stream of a message's events.

Owns: telling when it is complete. A stream without the last event and one that was cut after the stop reason are
treated alike: all of the answer has come, and the app gets the missing event.
"""

from __future__ import annotations

from typing import Any

from meshd.formats.anthropic import answer, wire
from meshd.formats.anthropic.stream.ending import Ending
from meshd.formats.body import Body
from meshd.formats.errors.not_answers import NotAnAnswer, NotAnEvent
from meshd.formats.stream import event_reader
from meshd.sdk.provider import StreamEvent, Usage

_STOP = b'{"type":"message_stop"}'


class EventReader(event_reader.EventReader):
    member = b"type"
    names = frozenset(name.encode() for name in wire.EVENTS)

    _ending: Ending

    def __init__(self, body: Body, **watched: Any) -> None:
        super().__init__(body, Ending(), **watched)
        self._reported: Usage | None = None

    def read_object(self, data: bytes, name: bytes, bare: bool) -> StreamEvent | None:
        try:
            read = wire.read_event(data, name, self._reported)
        except (NotAnAnswer, NotAnEvent) as why:
            return self.instead(why, data, name, bare)
        event = read.event
        self._reported = event.usage or self._reported
        progress = self._ending.note(read)
        if self._ending.stopped:
            self._end(done=True)
            if self._failure is not None:
                return None
        return self._passed(event, progress)

    def rest(self) -> None:
        if not self._ending.stopped and self._ending.is_regular(done=False):
            self._ending.stopped = True
            self._more.append(StreamEvent(_STOP))

    def read_unary(self, body: bytes) -> list[StreamEvent]:
        reading = answer.read_answer(body)
        return [wire.read_event(data).event for data in answer.as_stream(reading.body)]
