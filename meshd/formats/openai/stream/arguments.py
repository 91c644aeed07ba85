"""Whether the arguments of a stream's calls are complete, if no finish reason says that the answer is.

Owns: the arguments received so far. Must never: refuse a call that a provider says is complete.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import msgspec

from meshd.sdk.reading.lenient import UNREADABLE

_scan = json.JSONDecoder().raw_decode


class _Function(msgspec.Struct, gc=False):
    arguments: str | None = None


class _Call(msgspec.Struct, gc=False):
    index: int | None = 0
    function: _Function | None = None


_calls = msgspec.json.Decoder(list[_Call]).decode


@dataclass
class Arguments:
    """The arguments of all calls of one stream. pieces: by choice and index."""

    pieces: dict[tuple[int, int | None], list[str]] = field(default_factory=dict)

    def note(self, choice: int, extra: str) -> None:
        """extra: what an event contains besides text, as JSON; anything but pieces of calls is ignored."""
        try:
            calls = _calls(extra)
        except UNREADABLE:
            return
        for call in calls:
            if call.function is not None:
                self.add(choice, call.index, call.function.arguments or "")

    def add(self, choice: int, index: int | None, piece: str) -> None:
        self.pieces.setdefault((choice, index), []).append(piece)

    @property
    def are_whole(self) -> bool:
        return all(_is_whole("".join(pieces)) for pieces in self.pieces.values())


def _is_whole(text: str) -> bool:
    """Whether it is JSON, once or several times: some servers give all calls one index."""
    text = text.strip()
    if not text:
        return False
    try:
        while text:
            _, end = _scan(text)
            text = text[end:].lstrip()
    except (ValueError, RecursionError):
        return False
    return True
