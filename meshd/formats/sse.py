"""Server-sent events: bytes in, at any split, payloads out.

Owns: the framing of an event stream (line endings, comments, multi-line data, event names). Lines outside any event are
passed on as `bare`: servers and proxies send errors that way.
Must never: look into a payload, or do I/O. Work is linear in the bytes fed, however they are split.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, NamedTuple, Protocol

# Without a bound, an endless line would fill the memory. The longest real events contain an image as base64, of some
# megabytes.
MAX_PENDING = 16 * 1024 * 1024
_NOTHING_TO_US = (b":", b"id:", b"retry:")  # comments, and fields for reconnecting
BLANK = b"\xef\xbb\xbf \t\r\n"
_BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":")


def begins_as_events(body: bytes | bytearray) -> bool:
    """Whether a body is an event stream, by its first bytes."""
    return bytes(body[:16]).lstrip(BLANK).startswith(_BEGINNINGS)


def comment(lines: Iterable[str]) -> bytes:
    """Lines in ASCII that readers of a stream skip."""
    said = "".join(f": {line}\n" for line in lines)
    return f"{said}\n".encode("ascii", "backslashreplace") if said else b""


class ServerEvent(NamedTuple):
    """bare: lines without `data:`, which a standard client ignores."""

    data: bytes
    name: bytes = b""
    bare: bool = False


class Splitter(Protocol):
    """Splits a stream into events. Both methods raise BrokenFraming."""

    def feed(self, chunk: bytes) -> list[ServerEvent]: ...

    def finish(self) -> list[ServerEvent]:
        """The events that the stream's end leaves complete."""


class BrokenFraming(ValueError):
    """The data is not framed as events. before: the events up to that point."""

    told: ClassVar[str] = "sent a stream that cannot be read"

    def __init__(self, message: str, before: list[ServerEvent] | None = None) -> None:
        super().__init__(message)
        self.before = before or []


class EventTooLarge(BrokenFraming):
    """More than MAX_PENDING bytes without the end of an event."""

    told: ClassVar[str] = "sent no event that ends"


class EventParser:
    """Feed it chunks to get complete events; `finish` returns those that an abrupt end left complete."""

    __slots__ = ("_bare", "_data", "_data_size", "_name", "_skip_lf", "_started", "_tail")

    def __init__(self) -> None:
        self._tail = bytearray()  # an unfinished line
        self._data: list[bytes] = []
        self._data_size = 0  # bytes of these, and of the bare ones
        self._bare: list[bytes] = []
        self._name = b""
        self._skip_lf = False  # the last chunk ended with CR: a following LF belongs to it
        self._started = False

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        if self._skip_lf and chunk:
            self._skip_lf = False
            if chunk[0] == 10:
                chunk = chunk[1:]
        cut = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        if not cut:
            self._tail += chunk
            if len(self._tail) + self._data_size > MAX_PENDING:
                raise EventTooLarge(f"no event ended within {MAX_PENDING} bytes")
            return []
        if self._tail:
            lines = bytes(self._tail) + chunk[:cut]
            self._tail.clear()
        else:
            lines = chunk if cut == len(chunk) else chunk[:cut]
        if cut < len(chunk):
            self._tail += chunk[cut:]
        if b"\r" in lines:
            self._skip_lf = cut == len(chunk) and lines.endswith(b"\r")
            lines = lines.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not self._started:
            self._started = True
            lines = lines.removeprefix(b"\xef\xbb\xbf")
        return self._read(lines)

    def finish(self) -> list[ServerEvent]:
        """The stream has ended: some servers omit the last blank line, or even the line's end."""
        return self.feed(b"\n\n")

    def _read(self, lines: bytes) -> list[ServerEvent]:
        events: list[ServerEvent] = []
        for line in lines.split(b"\n")[:-1]:
            if not line:
                if self._bare:
                    events.append(self._lines())
                if self._data or self._name:
                    events.append(self._event())
                    self._name = b""
            elif line[:5] == b"data:":
                if self._bare:
                    events.append(self._lines())
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
                self._data_size += len(line)
            elif line.startswith(b"event:"):
                self._name = line[6:].strip()
            elif line == b"data":
                self._data.append(b"")
            elif line.startswith(_NOTHING_TO_US) or line in (b"id", b"retry", b"event"):
                continue
            elif not self._data or line.lstrip().startswith(b"{"):
                if self._data:
                    events.append(self._event())
                self._bare.append(line)
                self._data_size += len(line)
        if self._data_size > MAX_PENDING:
            raise EventTooLarge(f"no event ended within {MAX_PENDING} bytes", events)
        return events

    def _event(self) -> ServerEvent:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        self._data_size = 0
        return ServerEvent(data, self._name)

    def _lines(self) -> ServerEvent:
        lines, self._bare, self._data_size = b"\n".join(self._bare), [], 0
        return ServerEvent(lines, self._name, bare=True)
