"""The frames of a connection, and how many useless ones a server may send.

Owns: their bounds, before anything else reads them.
Must never: know what is in a frame, except for GOAWAY.
"""

from __future__ import annotations

from typing import NamedTuple

from meshd.net.failures import NotHttp

MOST_FRAME = 16_384
"""Bytes of a frame's payload: the lowest limit that may be set, and what servers send."""
MOST_HEADERS = 65_536
"""Bytes of an answer's headers, both compressed and decoded: h2 reads them in one go, in Python."""
GOAWAY = 7
MOST_SPARE = 1000
"""Useless frames in a row, such as PING, SETTINGS or empty DATA."""
_SPARE_A_SECOND = 100.0
_HEADER = 9
_WITH_HEADERS = frozenset({1, 5, 9})  # HEADERS, PUSH_PROMISE, CONTINUATION
_END_HEADERS = 4
_LAST_STREAM = 0x7FFFFFFF


class Frame(NamedTuple):
    """data: the frame, including its header."""

    kind: int
    stream: int
    data: bytes


class Frames:
    """Cuts what arrives into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._headers = 0  # bytes, while they come

    def add(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Frame | None:
        """The next frame, None if it is not complete. Raises NotHttp."""
        buffer = self._buffer
        if len(buffer) < _HEADER:
            return None
        length = int.from_bytes(buffer[:3], "big")
        if length > MOST_FRAME:
            raise NotHttp(f"a frame of {length} bytes")
        end = _HEADER + length
        if len(buffer) < end:
            return None
        if buffer[3] in _WITH_HEADERS:
            self._headers += length
            if self._headers > MOST_HEADERS:
                raise NotHttp(f"the headers of its answer have more than {MOST_HEADERS} bytes")
            if buffer[4] & _END_HEADERS:
                self._headers = 0
        stream = int.from_bytes(buffer[5:_HEADER], "big") & _LAST_STREAM
        frame = Frame(buffer[3], stream, bytes(buffer[:end]))
        del buffer[:end]  # this does not move the rest
        return frame


class Spare:
    """How many useless frames a server may send. Each costs one; useful frames and time give it back."""

    def __init__(self, now: float) -> None:
        self._left = float(MOST_SPARE)
        self._since = now

    def spend(self, now: float) -> None:
        """For one frame. Raises NotHttp."""
        self._left = min(MOST_SPARE, self._left + (now - self._since) * _SPARE_A_SECOND) - 1.0
        self._since = now
        if self._left < 0.0:
            raise NotHttp("a flood of useless frames")

    def earn(self, frames: int) -> None:
        self._left = min(MOST_SPARE, self._left + frames)


def going_away(frame: Frame) -> tuple[int, int]:
    """The last stream that the server has processed, and its reason. Raises NotHttp."""
    data = frame.data[_HEADER:]
    if len(data) < 8 or frame.stream:
        raise NotHttp("a malformed GOAWAY frame")
    return int.from_bytes(data[:4], "big") & _LAST_STREAM, int.from_bytes(data[4:8], "big")
