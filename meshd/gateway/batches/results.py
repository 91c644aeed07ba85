"""The results of one batch: each line's answer or error, appended to a file as it comes.

Owns: which lines are answered. The files themselves are the record of that, so that a crash loses no answer that is
written, and repeats none. Must never: hold an answer.

A result's `id` ends with its line's number, at a fixed place near the line's beginning, so that a later run finds which
lines are answered without reading JSON.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from meshd.gateway.batches.records import BatchRecord
from meshd.gateway.files import disk
from meshd.sdk.reading.lenient import UNREADABLE
from modelmesh.errors import MeshError

_BEGIN = b'{"id":"batch_req_'
_ID = 32  # hexadecimal digits
_NUMBER = slice(len(_BEGIN) + _ID - 8, len(_BEGIN) + _ID)
_encode = msgspec.json.Encoder().encode
_EXPIRED = {
    "code": "batch_expired",
    "message": "This request could not be executed before the completion window expired.",
}
_INTERRUPTED = {
    "code": "request_interrupted",
    "message": "The daemon ended while this request was at its provider; it may have been billed, and is not sent "
    "again by itself.",
}


class Results:
    """output, errors: the files. completed, failed: lines in them. sizes: their bytes. `open` comes first, and needs
    the disk."""

    def __init__(self, record: BatchRecord, output: Path, errors: Path) -> None:
        self.completed = self.failed = 0
        self.sizes = [0, 0]
        self._record = record
        self._paths = (output, errors)
        self._fds: list[int] = []
        self._done = bytearray()  # bits by number

    def open(self) -> None:
        """Read which lines are answered, and get ready for more. A line that a crash cut off is removed. Raises
        OSError."""
        counts = []
        self.sizes, self._done = [0, 0], bytearray()
        for number, path in enumerate(self._paths):
            fd = disk.append_to(path)
            self._fds.append(fd)
            counts.append(self._scan(number, path, fd))
        self.completed, self.failed = counts

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    @property
    def size(self) -> int:
        """Bytes of both."""
        return sum(self.sizes)

    def is_done(self, number: int) -> bool:
        place = number >> 3
        return place < len(self._done) and bool(self._done[place] >> (number & 7) & 1)

    def answer(self, number: int, custom_id: str, request_id: str, body: bytes) -> bytes:
        """A result in the form in which it is written."""
        return self._written(number, custom_id, {"status_code": 200, "request_id": request_id, "body": _json(body)})

    def error(self, number: int, custom_id: str, request_id: str, error: MeshError) -> bytes:
        if error.code == _INTERRUPTED["code"]:
            return self.interrupted(number, custom_id)
        status, body, _ = error.to_wire()
        response = {"status_code": status, "request_id": request_id, "body": {"error": body}}
        return self._written(number, custom_id, response)

    def interrupted(self, number: int, custom_id: str, why: str = "") -> bytes:
        """why: a message, unless the daemon's end is the reason."""
        return self._written(number, custom_id, None, {**_INTERRUPTED, "message": why} if why else _INTERRUPTED)

    def expired(self, number: int, custom_id: str) -> bytes:
        return self._written(number, custom_id, None, _EXPIRED)

    def append(self, number: int, written: bytes, *, ok: bool) -> None:
        """Keep a line's result, unless it has one. Raises OSError, and then nothing is kept."""
        if self.is_done(number):
            return
        if not self._fds:
            raise OSError("the batch has ended")
        disk.append(self._fds[0 if ok else 1], written)
        self._mark(number)
        self.sizes[0 if ok else 1] += len(written)
        if ok:
            self.completed += 1
        else:
            self.failed += 1

    # -- inside ---------------------------------------------------------------------------------------

    def _written(self, number: int, custom_id: str, response: Any, error: Any = None) -> bytes:
        id = f"batch_req_{self._record.id[-24:]}{number:08x}"
        return _encode({"id": id, "custom_id": custom_id, "response": response, "error": error}) + b"\n"

    def _scan(self, which: int, path: Path, fd: int) -> int:
        count = end = 0
        with open(path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    os.ftruncate(fd, end)
                    break
                end += len(line)
                self._mark(int(line[_NUMBER], 16))
                count += 1
        self.sizes[which] = end
        return count

    def _mark(self, number: int) -> None:
        place = number >> 3
        if place >= len(self._done):
            self._done.extend(bytes(place + 1 - len(self._done)))
        self._done[place] |= 1 << (number & 7)


def _json(body: bytes) -> msgspec.Raw | str:
    """On one line."""
    if b"\n" not in body and b"\r" not in body:
        return msgspec.Raw(body)
    try:
        return msgspec.Raw(msgspec.json.format(body, indent=-1))
    except UNREADABLE:
        return body.decode(errors="replace")
