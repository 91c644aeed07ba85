"""One stream of frames with a message's events.

Owns: telling when it is complete. A stream without the last event, which reports the usage, is treated like one that
was cut after the stop reason: all of the answer has come.
"""

from __future__ import annotations

from typing import Any

from meshd.formats.bedrock import answer, wire
from meshd.formats.bedrock.stream.ending import Ending
from meshd.formats.bedrock.stream.frames import FrameParser
from meshd.formats.body import Body
from meshd.formats.errors.not_answers import NotAnAnswer, NotAnEvent
from meshd.formats.stream import event_reader
from meshd.sdk.provider import StreamEvent

MEDIA_TYPE = "application/vnd.amazon.eventstream"


class EventReader(event_reader.EventReader):
    member = b"contentBlockIndex"
    names = frozenset(name.encode() for name in wire.EVENTS)

    _ending: Ending

    def __init__(self, body: Body, **watched: Any) -> None:
        super().__init__(body, Ending(), parser=FrameParser(), **watched)

    def read_object(self, data: bytes, name: bytes, bare: bool) -> StreamEvent | None:
        try:
            read = wire.read_event(data)
        except (NotAnAnswer, NotAnEvent) as why:
            return self.instead(why, data, name, bare)
        event = read.event
        progress = self._ending.note(read)
        if self._ending.stopped:
            self._end(done=True)
            if self._failure is not None:
                return None
        return self._passed(event, progress)

    def read_unary(self, body: bytes) -> list[StreamEvent]:
        reading = answer.read_answer(body)
        return [wire.read_event(data).event for data in answer.as_stream(reading.body)]
