"""The parts of a batch that are sent to a provider: consecutive lines, as many as one of its batches may have.

Owns: where one part ends, and the bytes of the parts, one after another in one file. Must never: send them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from meshd.formats.batches.protocol import BatchApi
from meshd.gateway.batches.records import Part
from meshd.gateway.files import disk
from meshd.sdk.calls.passing import Written
from meshd.sdk.provider import FailureKind, ProviderFailure

MOST = 100
"""Parts of a batch."""
T = TypeVar("T")


class Work(Protocol):
    """Does something in the thread for files. Raises OSError."""

    async def __call__(self, work: Callable[[], T]) -> T: ...


class Limits(NamedTuple):
    """The limits of one batch at the provider. None: unlimited. payload: bytes."""

    items: int | None = None
    payload: int | None = None

    def tighter(self, other: Limits) -> Limits:
        return Limits(_least(self.items, other.items), _least(self.payload, other.payload))


class Planned(NamedTuple):
    """A part that is not sent yet, and its bytes in the file."""

    part: Part
    begin: int
    size: int


class Parts:
    """path: of the file, which is emptied first."""

    def __init__(self, path: Path, api: BatchApi, limits: Limits, work: Work) -> None:
        self.planned: list[Planned] = []
        self.asked = ""  # where all requests are sent, below the base URL
        self._path = path
        self._api = api
        self._limits = limits
        self._around = len(api.begin) + len(api.end)
        self._work = work
        self._fd = -1
        self._whole = True  # no further line joins the last part

    async def open(self) -> None:
        """Raises OSError."""
        self._fd = await self._work(partial(disk.append_to, self._path))
        await self._work(partial(os.ftruncate, self._fd, 0))

    async def close(self) -> None:
        """Only read from now on."""
        if self._fd >= 0:
            await self._work(partial(os.close, self._fd))
            self._fd = -1

    def end_part(self) -> None:
        """Whatever is added next begins a new part."""
        self._whole = True

    async def add(self, number: int, name: str, written: Written) -> bool:
        """Add a request in the form of the provider. Returns False if it has more bytes than any batch there may have.
        Raises ProviderFailure, OSError."""
        if self.asked not in ("", written.path):
            raise ProviderFailure(FailureKind.UNSUPPORTED, "its requests are for several paths", unsent=True)
        self.asked = written.path
        line = self._api.line(name, written.path, written.body)
        if self._limits.payload is not None and self._around + len(line) > self._limits.payload:
            self.end_part()
            return False
        last = self.planned[-1] if self.planned else None
        if last is not None and not self._whole and self._fits(last, len(line)):
            line = self._api.between + line
            part = Part(last.part.first, number, last.part.count + 1)
            self.planned[-1] = Planned(part, last.begin, last.size + len(line))
        else:
            self._begin(number, 0 if last is None else last.begin + last.size, len(line))
        await self._work(partial(disk.append, self._fd, line))
        return True

    def _begin(self, number: int, at: int, size: int) -> None:
        if len(self.planned) >= MOST:
            raise ProviderFailure(FailureKind.UNSUPPORTED, f"it would be more than {MOST} batches there", unsent=True)
        self.planned.append(Planned(Part(number, number), at, size))
        self._whole = False

    def _fits(self, last: Planned, size: int) -> bool:
        items, payload = self._limits
        longer = self._around + last.size + len(self._api.between) + size
        return (items is None or last.part.count < items) and (payload is None or longer <= payload)

    async def file(self, planned: Planned) -> PartFile:
        """To be closed. Raises OSError."""
        fd = await self._work(partial(disk.read_from, self._path))
        return PartFile(fd, planned, self._api.begin, self._api.end, self._work)

    async def remove(self) -> None:
        await self.close()
        await self._work(partial(disk.remove, self._path))


class PartFile:
    """The requests of a part, sent while they are read. length: all bytes, including those around the requests; size:
    bytes read so far."""

    def __init__(self, fd: int, planned: Planned, begin: bytes, end: bytes, work: Work) -> None:
        self.length: int | None = None
        self.size = 0
        self._fd, self._planned = fd, planned
        self._work = work
        self.between(begin, end)

    def between(self, begin: bytes, end: bytes) -> None:
        self._begin, self._end = begin, end
        self.length = len(begin) + self._planned.size + len(end)

    async def read(self) -> bytes:
        head = len(self._begin)
        tail = head + self._planned.size
        if self.size < head:
            data = self._begin[self.size :]
        elif self.size < tail:
            at = self._planned.begin + self.size - head
            data = await self._work(partial(os.pread, self._fd, min(disk.PIECE, tail - self.size), at))
        else:
            data = self._end[self.size - tail :]
        self.size += len(data)
        return data

    async def close(self) -> None:
        await self._work(partial(os.close, self._fd))


def _least(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)
