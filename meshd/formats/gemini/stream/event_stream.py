"""One stream of a response's chunks."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from meshd.formats.body import Body
from meshd.formats.errors.not_answers import NotAnAnswer, NotAnEvent
from meshd.formats.gemini import answer, wire
from meshd.formats.gemini.stream.ending import Ending
from meshd.formats.stream import event_reader
from meshd.sdk.provider import StreamEvent, Usage


class EventReader(event_reader.EventReader):
    member = b"candidates"

    _ending: Ending

    def __init__(self, body: Body, **watched: Any) -> None:
        super().__init__(body, Ending(), **watched)
        self._units: dict[str, int] = {}  # units reported so far, as each chunk reports only its own

    def read_object(self, data: bytes, name: bytes, bare: bool) -> StreamEvent | None:
        try:
            event = wire.read_event(data)
        except (NotAnAnswer, NotAnEvent) as why:
            return self.instead(why, data, name, bare)
        if event.usage is not None and (event.usage.units or self._units):
            event = self._with_units(event, event.usage)
        return self._passed(event, self._ending.note(event))

    def _with_units(self, event: StreamEvent, usage: Usage) -> StreamEvent:
        for name, count in usage.units:
            self._units[name] = self._units.get(name, 0) + count
        return replace(event, usage=replace(usage, units=tuple(self._units.items())))

    def read_unary(self, body: bytes) -> list[StreamEvent]:
        return [wire.read_event(data) for data in answer.as_chunks(body)]
