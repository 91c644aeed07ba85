"""Frames of `application/vnd.amazon.eventstream`: bytes in, at any split, events out.

Owns: the framing, its checksums and its bounds; that each frame becomes an object with one member, the event's type, so
that an exception becomes one with the member `error`.
Must never: look into the payload of an event, or do I/O. Work is linear in the bytes fed, however they are split.

A frame: its length and that of its headers (4 bytes each), the CRC-32 of these eight, the headers, the payload, and the
CRC-32 of all before. A header: the length of its name (1 byte), the name, its type (1 byte), the value.
https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html (event stream encoding);
https://smithy.io/2.0/aws/amazon-eventstream.html, 2026-11-28
"""

from __future__ import annotations

import re
import struct
from binascii import crc32

import msgspec

from meshd.formats.sse import MAX_PENDING, BrokenFraming, EventTooLarge, ServerEvent
from meshd.sdk.reading.lenient import UNREADABLE

_PRELUDE, _CHECKSUM = 12, 4
_MOST_HEADERS = 128 * 1024  # bytes
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a value by its type: true, false, byte, short, int, long, timestamp, UUID."""
_SIZED = (6, 7)  # bytes and text, after their length in two bytes
_TEXT = 7
_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9]{0,63}")
_encode = msgspec.json.Encoder().encode


class FrameParser:
    """Feed it chunks to get complete events. Raises BrokenFraming."""

    __slots__ = ("_held", "_needed")

    def __init__(self) -> None:
        self._held = bytearray()
        self._needed = _PRELUDE  # bytes until something more can be read

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        self._held += chunk
        events: list[ServerEvent] = []
        try:
            self._complete(events)
        except BrokenFraming as why:
            self._held.clear()
            self._needed = _PRELUDE
            why.before = events
            raise
        return events

    def _complete(self, events: list[ServerEvent]) -> None:
        at = 0
        while len(self._held) - at >= self._needed:
            if self._needed == _PRELUDE:
                self._needed = _length(self._held[at : at + _PRELUDE])
                continue
            event = _event(bytes(self._held[at : at + self._needed]))
            if event is not None:
                events.append(event)
            at += self._needed
            self._needed = _PRELUDE
        del self._held[:at]

    def finish(self) -> list[ServerEvent]:
        """The stream has ended. What is held is only a part of a frame."""
        return []


def _length(prelude: bytes | bytearray) -> int:
    length, of_headers, checksum = struct.unpack("!III", prelude)
    if crc32(prelude[:8]) != checksum:
        raise BrokenFraming("a frame's checksum is wrong")
    if length > MAX_PENDING or of_headers > _MOST_HEADERS:
        raise EventTooLarge(f"a frame of {length} bytes, {of_headers} of them headers")
    if length < _PRELUDE + of_headers + _CHECKSUM:
        raise BrokenFraming("a frame is shorter than its headers")
    return int(length)


def _event(frame: bytes) -> ServerEvent | None:
    """None for a frame without anything for the answer."""
    (checksum,) = struct.unpack("!I", frame[-_CHECKSUM:])
    if crc32(frame[:-_CHECKSUM]) != checksum:
        raise BrokenFraming("a frame's checksum is wrong")
    end = _PRELUDE + struct.unpack("!I", frame[4:8])[0]
    headers, payload = _headers(frame[_PRELUDE:end]), frame[end:-_CHECKSUM]
    kind = headers.get(b":message-type", b"event")
    if kind == b"event":
        name = headers.get(b":event-type", b"")
        if not _NAME.fullmatch(name) or payload[:1] != b"{":
            return None  # `initial-response`, which contains nothing for us
        return ServerEvent(b'{"%b":%b}' % (name, payload), name)
    code = headers.get(b":exception-type") or headers.get(b":error-code") or kind
    return ServerEvent(_error(code, headers.get(b":error-message", b""), payload))


def _error(code: bytes, message: bytes, payload: bytes) -> bytes:
    error: dict[str, object] = {"code": code.decode(errors="replace"), "message": message.decode(errors="replace")}
    try:
        said = msgspec.json.decode(payload)
    except UNREADABLE:
        said = None
    if isinstance(said, dict):
        error |= {name: value for name, value in said.items() if name != "code"}
    return _encode({"error": error})


def _headers(raw: bytes) -> dict[bytes, bytes]:
    """Those that are texts."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(raw):
        end = at + 1 + raw[at]
        name, kind, at = raw[at + 1 : end], raw[end : end + 1], end + 1
        if not kind:
            raise BrokenFraming("a frame's header has no value")
        size = _FIXED.get(kind[0])
        if kind[0] in _SIZED and at + 2 <= len(raw):
            size, at = struct.unpack("!H", raw[at : at + 2])[0], at + 2
        if size is None or at + size > len(raw):
            raise BrokenFraming("a frame's header cannot be read")
        if kind[0] == _TEXT:
            found[name] = raw[at : at + size]
        at += size
    return found
