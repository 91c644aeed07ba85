"""Where another attempt continues a stream of a message's events: its blocks become the rest of the first one's.

The app's stream may end early in a block or between two. The rest of the text continues the block that is open, if it
is of text; otherwise a block of text is opened for it. Later blocks, such as a tool call, get the next numbers.
"""

from __future__ import annotations

from typing import Any

from meshd.formats.anthropic.usage import usage_map
from meshd.formats.anthropic.wire import index_of
from meshd.sdk.provider import StreamEvent, Usage
from meshd.sdk.reading import lenient

_START, _DELTA, _STOP = "content_block_start", "content_block_delta", "content_block_stop"
_TEXT = "text"


class MessageSeam:
    """last: the last event that the app has got."""

    def __init__(self, last: bytes) -> None:
        event = _object(last)
        kind, index = event.get("type"), index_of(event)
        self._at = index if kind in (_START, _DELTA) else -1  # the app's open block, -1: none is open
        self._text = self._at >= 0 and _is_text(event)  # whether it is of text
        self._next = index + 1 if kind in (_START, _DELTA, _STOP) else 0
        self._theirs: dict[int, int] = {}  # the continuing stream's blocks, by the app's numbers
        self._before: list[bytes] = []

    def event(self, event: StreamEvent, text: str, usage: Usage | None) -> bytes | None:
        """text: instead of the event's own. usage: of the whole stream, where the event reports any. None if there is
        nothing for the app in it: the beginning of a message, thoughts, the start of a text that is open already."""
        said = _object(event.data)
        if event.finish_reason is not None or said.get("type") in ("message_delta", "message_stop"):
            return self._ended(said, text, usage)
        if event.text or (text and not event.extra):
            return self.text(text) if text else None
        if not event.extra and not (event.content and said.get("type") == _DELTA and not event.reasoning):
            return None
        if text:
            self._say(text)
        return self._more_than_text(said)

    def text(self, text: str) -> bytes:
        """An event with only this text."""
        self._open_text()
        delta = {"type": "text_delta", "text": text}
        return lenient.encode({"type": _DELTA, "index": self._at, "delta": delta})

    def before(self) -> list[bytes]:
        """What has to be sent before the event that was made last."""
        before, self._before = self._before, []
        return before

    def _say(self, text: str) -> None:
        self._before.append(self.text(text))

    def _open_text(self) -> None:
        if not self._text:
            self._close()
            self._start({"type": _TEXT, "text": ""})
            self._text = True

    def _start(self, block: Any) -> None:
        self._at, self._next = self._next, self._next + 1
        self._before.append(lenient.encode({"type": _START, "index": self._at, "content_block": block}))

    def _close(self) -> None:
        if self._at >= 0:
            self._before.append(lenient.encode({"type": _STOP, "index": self._at}))
        self._at, self._text = -1, False

    def _more_than_text(self, said: dict[str, Any]) -> bytes | None:
        """A block of another kind: its start, or a piece of it."""
        index = index_of(said)
        if said.get("type") == _START:
            self._close()
            self._start(said.get("content_block"))
            self._theirs[index] = self._at
            return self._before.pop()
        if said.get("type") != _DELTA:
            return None
        mine = self._theirs.get(index)
        if mine is None and self._text:  # a citation of the text
            mine = self._at
        return None if mine is None else lenient.encode({**said, "index": mine})

    def _ended(self, said: dict[str, Any], text: str, usage: Usage | None) -> bytes:
        if text:
            self._say(text)
        self._close()
        if isinstance(said.get("usage"), dict) and usage is not None:
            said["usage"] = {**said["usage"], **usage_map(usage)}
        return lenient.encode(said)


def _is_text(event: dict[str, Any]) -> bool:
    """Whether the block of a start or a delta is of text."""
    block, delta = event.get("content_block"), event.get("delta")
    if isinstance(block, dict):
        return block.get("type") == _TEXT
    return isinstance(delta, dict) and delta.get("type") in ("text_delta", "citations_delta")


def _object(data: bytes) -> dict[str, Any]:
    """An event, however oddly it is written."""
    event = lenient.decode(data)
    return event if isinstance(event, dict) else {}
