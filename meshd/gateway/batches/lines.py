"""The lines of a batch's file: read one at a time, and checked before the first is sent.

Owns: what a line may be. Must never: hold more than one line, or more of the others than a digest of their ids.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from meshd.gateway.batches.records import Fault
from meshd.gateway.files import disk
from meshd.sdk.reading.lenient import UNREADABLE
from modelmesh.wording import short

MOST_FAULTS = 100
"""The most faults of a file that are reported."""
LONGEST_ID = 512
_AT_ONCE = 1024**2  # bytes that one step checks
_REST = 0.002  # s after a step: a thread that computes competes with the router's for the interpreter


class Line(msgspec.Struct):
    """One request. body: its JSON, as bytes."""

    custom_id: str
    url: str
    body: msgspec.Raw
    method: str = "POST"


class _Body(msgspec.Struct):
    model: str | None = None
    stream: bool | None = None


class Found(NamedTuple):
    """A line of the file. number: from 1. begin: its first byte."""

    number: int
    begin: int
    data: bytes


decode = msgspec.json.Decoder(Line).decode
_body = msgspec.json.Decoder(_Body).decode


class LineReader:
    """most: the limit for a line, in bytes. All methods read from the disk and raise OSError."""

    def __init__(self, path: Path, most: int) -> None:
        self._file = os.fdopen(disk.read_from(path), "rb", buffering=256 * 1024)
        self._most = most
        self._number = 0
        self._begin = 0

    def next(self) -> Found | None:
        """The next line that is not empty; a longer one is cut off one byte after `most`. None at the end."""
        while True:
            self._file.seek(self._begin)
            data = self._file.readline(self._most + 1)
            if not data:
                return None
            begin, self._number = self._begin, self._number + 1
            self._begin += len(data)
            if len(data) > self._most and not data.endswith(b"\n"):
                self._skip()
            if data.strip():
                return Found(self._number, begin, data.strip())

    def again(self, found: Found) -> bytes:
        """The line that begins there."""
        data = os.pread(self._file.fileno(), self._most, found.begin)
        return data.partition(b"\n")[0].strip()

    def close(self) -> None:
        self._file.close()

    def _skip(self) -> None:
        """The rest of a line that is too long."""
        while data := self._file.readline(1024**2):
            self._begin += len(data)
            if data.endswith(b"\n"):
                return


class Validation:
    """Checks all lines, a part of them with each `step`. total: requests so far. faults: MOST_FAULTS at most. model:
    the name that all requests have as `model`; "" if they differ."""

    def __init__(self, path: Path, endpoint: str, most_bytes: int, most_lines: int) -> None:
        self.total = 0
        self.model = ""
        self.faults: list[Fault] = []
        self._path = path
        self._endpoint = endpoint
        self._most_bytes = most_bytes
        self._most_lines = most_lines
        self._reader: LineReader | None = None
        self._ids: set[bytes] = set()

    def step(self) -> bool:
        """Returns whether there is more. Raises OSError."""
        if self._reader is None:
            self._reader = LineReader(self._path, self._most_bytes)
        seen = 0
        while seen < _AT_ONCE:
            found = self._reader.next()
            if found is None or self.total >= self._most_lines or len(self.faults) >= MOST_FAULTS:
                self._end(found)
                return False
            seen += len(found.data)
            self.total += 1
            fault = self._fault(found)
            if fault is not None:
                self.faults.append(fault)
        time.sleep(_REST)
        return True

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _end(self, found: Found | None) -> None:
        if found is not None and self.total >= self._most_lines:
            self.faults.append(
                Fault("too_many_tasks", f"The file has more than {self._most_lines} requests (batches.max_lines).")
            )
        if not self.total:
            self.faults.append(Fault("empty_file", "The file has no requests."))

    def _fault(self, found: Found) -> Fault | None:
        if len(found.data) > self._most_bytes:
            return Fault("line_too_long", f"The line has more than {self._most_bytes} bytes.", found.number)
        try:
            line = decode(found.data)
        except UNREADABLE as error:
            return Fault("invalid_json_line", f"The line is not a request: {error}"[:300], found.number)
        why, param = self._objection(line)
        if not why:
            return None
        return Fault("invalid_request" if param else "duplicate_custom_id", why, found.number, param or None)

    def _objection(self, line: Line) -> tuple[str, str]:
        """(why the line cannot be sent, the field)."""
        if not 0 < len(line.custom_id) <= LONGEST_ID:
            return f"`custom_id` must have 1 to {LONGEST_ID} characters.", "custom_id"
        if line.method != "POST":
            return f"`method` must be POST, not {short(repr(line.method))}.", "method"
        if line.url != self._endpoint:
            return f"`url` must be the batch's endpoint, {self._endpoint}, not {short(repr(line.url))}.", "url"
        try:
            body = _body(line.body)
        except UNREADABLE as error:
            return f"`body` is not a request: {error}"[:300], "body"
        if not body.model:
            return "`body.model` is missing.", "body.model"
        if body.stream:
            return "`body.stream` is not possible in a batch.", "body.stream"
        if body.model != self.model:
            self.model = body.model if self.total == 1 else ""
        digest = hashlib.blake2b(line.custom_id.encode(errors="replace"), digest_size=12).digest()
        if digest in self._ids:
            return f"`custom_id` {short(repr(line.custom_id))} is used on an earlier line.", ""
        self._ids.add(digest)
        return "", ""
