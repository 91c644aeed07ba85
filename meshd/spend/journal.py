"""The spend journal: what the router appends during a request, and how it is read back.

Owns: the form of a record on disk, `JournalWriter` (router) and `read_segment` (state actor).
Must never: raise into a request, block on anything but one append to a file, or compute sums.

A segment is `MAGIC` and then records: `marker(2) length(2) crc32(4) payload(length)`, little-endian; the payload
is a MessagePack array that begins with the record's kind. A `kill -9` can leave a torn record only at the end of a
segment, a full disk also in its middle: the marker and the checksum let the reader tell the two apart.
"""

from __future__ import annotations

import contextlib
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from struct import Struct as Packer
from typing import Any, Final

import msgspec

from meshd.host.build import mypyc_attr
from meshd.spend.records import BEGIN, SETTLE, Begin, Settle

MAGIC: Final = b"MESHJNL1"
MARKER: Final = b"\xa5\x4d"
HEADER: Final = Packer("<2sHI")
BACKLOG_LIMIT = 8 * 1024 * 1024
RETRY_AFTER: Final = 1.0  # s between attempts to write after a failed one

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Begin | Settle).decode


@mypyc_attr(allow_interpreted_subclasses=True)
class JournalWriter:
    """Appends records to an open segment. One per router life; used from its thread alone.

    fd: a segment opened `O_WRONLY | O_APPEND`, or -1 while there is none. on_error: called once per outage. While the
    disk refuses writes, records wait in memory (8 MiB at most, then the newest are dropped and counted) and are written
    first afterwards, so a shorter outage loses nothing.

    later: calls a function at the end of this turn of the loop. If there is one, records of ends are written then, or
    with the next record of a beginning: each write costs a system call, at which another thread may take the
    interpreter. A crash before that counts an attempt as all that it had reserved, never as less than it cost.
    """

    def __init__(self, fd: int = -1, on_error: Callable[[str], None] | None = None) -> None:
        self._fd = fd
        self._on_error = on_error
        self._backlog = bytearray()
        self._ended = bytearray()  # records of ends that are written later
        self._ended_at = 0.0
        self._retry_at = 0.0
        self.later: Callable[[Callable[[], None]], object] | None = None
        self.error: str | None = None
        self.dropped = 0

    def begin(
        self,
        request: bytes,
        at: float,
        provider: str,
        model: str,
        pool: str,
        app: str,
        reserved: int,
        deadline: float,
        attempt: int = 0,
        day: str = "",
        tokens_in: int = 0,
        tokens_out: int = 0,
        *,
        units: Mapping[str, int] | None = None,
    ) -> None:
        names = (provider, model, pool, app)
        most = (reserved, deadline, attempt, day, tokens_in, tokens_out)
        beside = (units,) if units else ()
        record = _record(_encode((BEGIN, request, at, *names, *most, *beside)))
        if self._ended:
            record = bytes(self._ended) + record
            self._ended.clear()
        self._write(record, at)

    def settle(
        self,
        request: bytes,
        at: float,
        tokens_in: int,
        tokens_out: int,
        tokens_cached: int,
        cost: int,
        ok: bool,
        attempt: int = 0,
        sent: bool = True,
        *,
        units: Mapping[str, int] | None = None,
    ) -> None:
        used = (tokens_in, tokens_out, tokens_cached, cost)
        beside = (units,) if units else ()
        record = _record(_encode((SETTLE, request, at, *used, ok, attempt, sent, *beside)))
        if self.later is None:
            self._write(record, at)
            return
        if not self._ended:
            self.later(self._write_ended)
        self._ended += record
        self._ended_at = at

    def reopen(self, fd: int, now: float) -> None:
        """Write to another segment from now on. The old one is closed; what waits goes to the new one."""
        self._write_ended()
        self._close()
        self._fd = fd
        self._retry_at = 0.0
        self.retry(now)

    def retry(self, now: float) -> None:
        """Write what waits, if the disk accepts it. New records also try this, once a second."""
        if self._backlog:
            self._flush_backlog(now)

    def close(self, now: float = 0.0) -> None:
        self._write_ended()
        self.retry(now)
        self._close()

    @property
    def fd(self) -> int:
        """Of the segment, -1 while there is none."""
        return self._fd

    @property
    def waiting(self) -> int:
        """Bytes that could not be written yet."""
        return len(self._backlog)

    def _write_ended(self) -> None:
        if self._ended:
            records = bytes(self._ended)
            self._ended.clear()
            self._write(records, self._ended_at)

    def _write(self, records: bytes, now: float) -> None:
        if self.error is None:
            try:
                written = os.write(self._fd, records)
            except OSError as error:
                self._failed(self._reason(error), records, now)
            else:
                if written != len(records):
                    # A torn record is written again later as a whole; the reader skips the torn one.
                    self._failed("No space left on device", records[_whole_records(records, written) :], now)
            return
        self._keep(records)
        if now >= self._retry_at:
            self._flush_backlog(now)

    def _failed(self, why: str, records: bytes, now: float) -> None:
        self._retry_at = now + RETRY_AFTER
        self._keep(records)
        if self.error is None:
            self.error = why
            if self._on_error is not None:
                with contextlib.suppress(Exception):  # this is part of a request, so nothing may escape
                    self._on_error(why)

    def _keep(self, records: bytes) -> None:
        if len(self._backlog) + len(records) > BACKLOG_LIMIT:
            self.dropped += sum(1 for _ in _ends(records))
        else:
            self._backlog += records

    def _flush_backlog(self, now: float) -> None:
        try:
            written = os.write(self._fd, self._backlog)
        except OSError as error:
            self.error = self._reason(error)
            self._retry_at = now + RETRY_AFTER
            return
        if written == len(self._backlog):
            self._backlog.clear()
            self.error = None
            return
        # Records that were written completely must not be repeated; a torn one is written again from its start.
        del self._backlog[: _whole_records(self._backlog, written)]
        self._retry_at = now + RETRY_AFTER

    def _reason(self, error: OSError) -> str:
        return "no file could be made for it" if self._fd < 0 else error.strerror or str(error)

    def _close(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
        self._fd = -1


def _record(payload: bytes) -> bytes:
    return HEADER.pack(MARKER, len(payload), zlib.crc32(payload)) + payload


def _ends(records: bytes | bytearray) -> Iterator[int]:
    """Where each record ends; the data contains nothing else."""
    end = 0
    while end < len(records):
        end += HEADER.size + int(HEADER.unpack_from(records, end)[1])
        yield end


def _whole_records(records: bytes | bytearray, limit: int) -> int:
    """How many of the first `limit` bytes are whole records."""
    return max((end for end in _ends(records) if end <= limit), default=0)


def create_segment(path: str | os.PathLike[str]) -> None:
    """Create a new segment that contains only its magic bytes. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, MAGIC) != len(MAGIC):
            raise OSError("No space left on device")
    finally:
        os.close(fd)


def open_segment(path: str | os.PathLike[str]) -> int:
    """A descriptor for `JournalWriter`. Raises OSError."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)


def read_segment(path: str | os.PathLike[str], offset: int = 0) -> tuple[list[Begin | Settle], int]:
    """The complete records from `offset` on, and the offset to continue from. Raises OSError."""
    (found,) = read_pieces(path, offset, sys.maxsize)
    return found


def read_pieces(path: str | os.PathLike[str], offset: int, most: int) -> Iterator[tuple[list[Begin | Settle], int]]:
    """The same, that number of records at a time; the last piece has fewer.

    Stops before an incomplete record, which is either being written or was torn by a crash; invalid bytes between good
    records (left by a full disk) are skipped. Raises OSError.
    """
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read()
    records: list[Begin | Settle] = []
    position = 0
    if offset == 0:
        if not data.startswith(MAGIC):
            yield records, 0
            return
        position = len(MAGIC)
    while True:
        record, end = _record_at(data, position)
        if record is None:
            end = _next_record(data, position + 1)
            if end < 0:
                yield records, offset + position
                return
        else:
            records.append(record)
            if len(records) == most:
                yield records, offset + end
                records = []
        position = end


def _record_at(data: bytes, position: int) -> tuple[Any, int]:
    """The record that begins here and where it ends; (None, position) if none does."""
    start = position + HEADER.size
    if start > len(data):
        return None, position
    marker, length, checksum = HEADER.unpack_from(data, position)
    end = start + length
    if marker != MARKER or end > len(data):
        return None, position
    payload = data[start:end]
    if zlib.crc32(payload) != checksum:
        return None, position
    try:
        return _decode(payload), end
    except msgspec.MsgspecError:  # a complete record of a later version
        return None, position


def _next_record(data: bytes, position: int) -> int:
    while True:
        position = data.find(MARKER, position)
        if position < 0 or _record_at(data, position)[0] is not None:
            return position
        position += 1
