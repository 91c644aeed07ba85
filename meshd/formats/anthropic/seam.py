"""Where another attempt continues a stream of a message's events: its blocks become the rest of the first attempt's.

The app's stream may end early in a block or between two. The rest of the text continues the open block if that is a
text block; otherwise a text block is opened for it. Later blocks, such as a tool call, get the next numbers.
"""

from __future__ import annotations

from typing import Any

from meshd.formats.anthropic.usage import usage_map
from meshd.formats.anthropic.wire import index_of
from meshd.sdk.provider import StreamEvent, Usage
from meshd.sdk.reading import lenient

_START, _DELTA, _STOP = "content_block_start", "content_block_delta", "content_block_stop"
_TEXT = "text"
_OF_TEXT = ("text_delta", "citations_delta")
_THOUGHTS = ("thinking", "redacted_thinking")


class MessageSeam:
    """last: the last event that the app has got."""

    def __init__(self, last: bytes) -> None:
        event = _object(last)
        kind, index = event.get("type"), index_of(event)
        self._at = index if kind in (_START, _DELTA) else -1  # the app's open block, -1: none is open
        self._text = self._at >= 0 and _is_text(event)  # whether that is a text block
        self._next = index + 1 if kind in (_START, _DELTA, _STOP) else 0
        self._theirs: dict[int, int] = {}  # the continuing stream's block numbers, and the app's for them
        self._before: list[bytes] = []

    def hold(self, event: StreamEvent) -> bool:
        """Citations belong to the open block, whatever its text, so they need not wait."""
        return False

    def starts_at(self, place: int) -> None:
        """Citations have no places in the text."""

    def event(self, event: StreamEvent, text: str, usage: Usage | None) -> bytes | None:
        """text: instead of the event's own. usage: of the whole stream, where the event reports any. None if there is
        nothing for the app in it: the beginning of a message, thoughts, the start of a text that is already open."""
        said = _object(event.data)
        if said.get("type") in ("message_delta", "message_stop"):
            return self._ended(said, text, usage)
        more = not event.text and self._is_more_than_text(said)
        if not more:
            return self.text(text) if text else None
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

    def _is_more_than_text(self, said: dict[str, Any]) -> bool:
        """Whether it is the start of a block that is more than text, a piece of one, or a citation for the open
        text."""
        if said.get("type") == _START:
            return _kind_of(said.get("content_block")) not in (_TEXT, "", *_THOUGHTS)
        if said.get("type") != _DELTA:
            return False
        return index_of(said) in self._theirs or (self._text and _kind_of(said.get("delta")) == "citations_delta")

    def _more_than_text(self, said: dict[str, Any]) -> bytes:
        index = index_of(said)
        if said.get("type") == _DELTA:
            return lenient.encode({**said, "index": self._theirs.get(index, self._at)})
        self._close()
        self._start(said.get("content_block"))
        self._theirs[index] = self._at
        return self._before.pop()

    def _ended(self, said: dict[str, Any], text: str, usage: Usage | None) -> bytes:
        if text:
            self._say(text)
        self._close()
        if isinstance(said.get("usage"), dict) and usage is not None:
            said["usage"] = {**said["usage"], **usage_map(usage)}
        return lenient.encode(said)


def _is_text(event: dict[str, Any]) -> bool:
    """Whether the block of a start or a delta is of text."""
    return _kind_of(event.get("content_block")) == _TEXT or _kind_of(event.get("delta")) in _OF_TEXT


def _kind_of(block: Any) -> str:
    """Of a block or a delta; "" if it says none."""
    kind = block.get("type") if isinstance(block, dict) else None
    return kind if isinstance(kind, str) else ""


def _object(data: bytes) -> dict[str, Any]:
    """An event, however oddly it is written."""
    event = lenient.decode(data)
    return event if isinstance(event, dict) else {}
