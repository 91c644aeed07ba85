"""Assembles a stream's events into the unary response that was asked for.

Owns: finding the response in the events. Must never: judge whether the stream was whole (`event_stream.py`).
"""

from __future__ import annotations

from typing import Any

from meshd.formats.responses.wire import COMPLETED, INCOMPLETE, output_of
from meshd.sdk.reading import lenient

_DONE = "response.output_item.done"


class Assembly:
    """`add` every event, then `answer`."""

    def __init__(self) -> None:
        self._response: dict[str, Any] = {}
        self._items: dict[int, Any] = {}

    def add(self, data: bytes) -> None:
        if b"response.output_item.done" not in data and b'"response"' not in data:
            return  # a delta: the last event repeats it
        event = lenient.decode(data)
        response, index = event.get("response"), event.get("output_index")
        if isinstance(response, dict):
            self._response |= response
            if event.get("type") in (COMPLETED, INCOMPLETE):
                self._response["status"] = response.get("status") or event["type"].rpartition(".")[2]
        elif event.get("type") == _DONE and event.get("item"):
            self._items[index if isinstance(index, int) else len(self._items)] = event["item"]

    def answer(self) -> bytes:
        if not output_of(self._response):  # some servers leave it empty in the last event
            self._response["output"] = [self._items[index] for index in sorted(self._items)]
        return lenient.encode(self._response)
