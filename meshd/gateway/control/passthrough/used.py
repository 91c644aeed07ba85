"""What an answer that is passed on reports about tokens, if its form is known.

Must never: hold more than a bounded part of an answer, or delay it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.openai.records import WireUsage
from meshd.formats.openai.usage import usage_of
from meshd.formats.sse import EventParser, EventTooLarge
from meshd.sdk.provider import Usage
from meshd.sdk.reading.lenient import UNREADABLE

_MOST = 1024**2  # bytes of a JSON answer that is read
_PLACES = ("response", "message")  # where events of streams have a usage inside


class PassedUsage:
    """What one answer used. content_type: that of its header; only JSON and event streams are read. size: bytes of the
    answer so far."""

    def __init__(self, content_type: str) -> None:
        kind = content_type.partition(";")[0].strip().lower()
        self.size = 0
        self._events = EventParser() if kind == "text/event-stream" else None
        self._body = bytearray() if kind == "application/json" else None
        self._found = Usage()

    def feed(self, data: bytes) -> None:
        self.size += len(data)
        if self._events is not None:
            try:
                events = self._events.feed(data)
            except EventTooLarge:
                self._events = None
                return
            for event in events:
                if b'"usage"' in event.data:
                    self._read(event.data)
        elif self._body is not None:
            self._body += data
            if len(self._body) > _MOST:
                self._body = None

    def total(self) -> Usage:
        """All that is known, with zero for the rest. Call it once, at the end."""
        if self._body:
            self._read(bytes(self._body))
        return self._found

    def _read(self, data: bytes) -> None:
        try:
            said: Any = msgspec.json.decode(data)
        except UNREADABLE:
            return
        if not isinstance(said, dict):
            return
        inside = [said, *(said[place] for place in _PLACES if isinstance(said.get(place), dict))]
        for each in inside:
            usage = each.get("usage")
            if isinstance(usage, dict):
                self._add(usage)

    def _add(self, usage: dict[str, Any]) -> None:
        """Some APIs report the prompt at the beginning of a stream and the rest at its end."""
        try:
            found = usage_of(msgspec.convert(usage, WireUsage))
        except UNREADABLE:
            return
        if found is not None:
            before = self._found
            self._found = Usage(
                max(found.input_tokens, before.input_tokens, 0),
                max(found.output_tokens, before.output_tokens, 0),
                max(found.cached_tokens, before.cached_tokens, 0),
            )
