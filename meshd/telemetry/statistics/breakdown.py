"""Statistics by any combination of dimensions, over any period that is kept.

Owns: cells over time, in stretches that become longer as they age, up to the retention: for the usual statistics a
minute (for two hours), ten minutes (for 26 hours), an hour (for eight days) and a day. A stretch is packed as one
compressed block of 10 to 60 bytes per cell.
Must never: read a clock, or grow without bound: a stretch has at most so many cells (beyond that the apps with the
fewest requests are merged), all stretches so many bytes (beyond that the oldest are dropped).
"""

from __future__ import annotations

import math
import time
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from meshd.telemetry.statistics import bucket as b
from meshd.telemetry.statistics.bucket import Bucket
from meshd.telemetry.statistics.cells import ATTEMPT, PLACE, REQUEST, Key, cell_in
from meshd.telemetry.statistics.dimensions import OF_ATTEMPTS, TIMES

MOST_CELLS = 500
MOST_BYTES = 2_000_000
OTHERS = "(others)"
"""The name for everything beyond the limits, counted together."""
SCOPE = "breakdown"
"""The first part of the keys its rows are stored under."""

_HOUR, _DAY = 3600, 86400
_WIDTHS = (60, 600, _HOUR, _DAY)

Cells = dict[Key, Bucket]


class Shape(NamedTuple):
    """What a breakdown keeps. scope: the first part of the keys its rows are stored under. places: a dimension's
    position in a key. steps: up to which age (s) stretches have which length (s), after which they are days. fold:
    makes at most so many cells of more."""

    scope: str
    places: Mapping[str, int]
    steps: tuple[tuple[int, int], ...]
    most_cells: int
    most_bytes: int
    fold: Callable[[Cells, int], Cells]


class _Packed(msgspec.Struct, array_like=True):
    """units: older ones lack it, and so do those without any."""

    key: Key
    n: list[int]
    latency: dict[int, int]
    ttft: dict[int, int]
    units: dict[str, int] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Packed]).decode


class Stretch(NamedTuple):
    """step: its length in seconds."""

    step: int
    packed: bytes

    def cells(self) -> Cells:
        """Raises ValueError."""
        return unpack(self.packed)


def pack(cells: Cells) -> bytes:
    rows = [(key, cell.n, cell.latency, cell.ttft, *cell.packed_units()) for key, cell in cells.items()]
    return zlib.compress(_encode(rows), 1)


def unpack(data: bytes | str) -> Cells:
    """Raises ValueError."""
    # Storages keep JSON, in which bytes become base64.
    try:
        rows = _decode(zlib.decompress(b64decode(data) if isinstance(data, str) else data))
    except (msgspec.MsgspecError, zlib.error) as error:
        raise ValueError(str(error)) from error
    cells = {}
    for row in rows:
        cell = cells[row.key] = Bucket()
        cell.n[: len(row.n)] = row.n[: len(cell.n)]
        cell.latency, cell.ttft, cell.units = row.latency, row.ttft, row.units
    return cells


class Beside(Protocol):
    """What is kept of the cells unpacked. A stretch is dropped before it is kept with other cells."""

    def keep(self, begin: int, step: int, cells: Cells) -> None: ...

    def drop(self, begin: int) -> None: ...


class Breakdown:
    """shape: by default that of the usual statistics."""

    def __init__(self, shape: Shape | None = None, beside: Beside | None = None) -> None:
        self._shape = shape or usual()
        self._beside = beside
        self._stretches: dict[int, Stretch] = {}  # its start, UTC s
        self._changed: set[int] = set()
        self._size = 0

    def put(self, minute: int, cells: Cells) -> None:
        """Add the cells of the minute that begins at `minute`. Its buckets stay the caller's own."""
        for width in reversed(_WIDTHS):
            start = minute - minute % width
            if start in self._stretches and self._stretches[start].step >= width:
                self._add(start, width, cells)
                return
        finest = self._shape.steps[0][1]
        self._add(minute - minute % finest, finest, cells)

    def query(
        self, by: tuple[str, ...], where: Mapping[str, str], start: float = -math.inf, end: float = math.inf
    ) -> dict[tuple[str, ...], Bucket]:
        """Sums of every stretch that had not ended by `start` and had begun before `end`: group → sum."""
        wanted, place_of = ATTEMPT if OF_ATTEMPTS.intersection((*by, *where)) else REQUEST, self._shape.places
        places = [(place_of.get(name, 0), TIMES.get(name, 0)) for name in by]
        filters = [(place_of[name], value) for name, value in where.items()]
        found: dict[tuple[str, ...], Bucket] = {}
        for begin, stretch in self._stretches.items():
            if begin + stretch.step <= start or begin >= end:
                continue
            times = {width: moment(begin, width) for _, width in places if width}
            for key, cell in stretch.cells().items():
                if not key[0] & wanted or any(key[place] != value for place, value in filters):
                    continue
                group = tuple(times[width] if width else str(key[place]) for place, width in places)
                sums = found.get(group)
                if sums is None:
                    sums = found[group] = Bucket()
                sums.add(cell)
        return found

    def coarsen(self, now: float, retention: float) -> None:
        """Merge old stretches into longer ones, drop those older than the retention."""
        for begin, stretch in sorted(self._stretches.items()):
            age = now - begin - stretch.step
            step = next((step for limit, step in self._shape.steps if age <= limit), _DAY)
            if age > retention:
                self._remove(begin)
            elif step > stretch.step:
                self._remove(begin)
                self._add(begin - begin % step, step, stretch.cells())

    def size(self) -> int:
        """Bytes of packed cells."""
        return self._size

    # -- keeping --------------------------------------------------------------------------------------

    def changes(self) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Rows changed since the last call: (key, value), None for removed ones."""
        for begin in sorted(self._changed):
            stretch = self._stretches.get(begin)
            value = None if stretch is None else {"step": stretch.step, "cells": stretch.packed}
            yield f"{self._shape.scope}\0\0{begin}", value
        self._changed.clear()

    def restore(self, part: str, value: dict[str, Any]) -> None:
        """Add a stored row. Raises ValueError, KeyError or TypeError for an invalid one."""
        begin, step = int(part), int(value["step"])
        if step not in _WIDTHS or begin % step:
            raise ValueError(f"no stretch of {step} s begins at {begin}")
        packed = value["cells"]
        cells = unpack(packed)
        if any(len(key) != 1 + len(self._shape.places) for key in cells):
            raise ValueError(f"the cells of {begin} have other dimensions")
        if begin in self._stretches:
            self._add(begin, step, cells)
        else:
            self._keep(begin, Stretch(step, b64decode(packed) if isinstance(packed, str) else packed), cells)

    # -- inside ---------------------------------------------------------------------------------------

    def _add(self, begin: int, step: int, cells: Cells) -> None:
        before = self._stretches.get(begin)
        if before is not None:
            step = max(step, before.step)
            cells = merged(before.cells(), cells)
        if len(cells) > self._shape.most_cells:
            cells = self._shape.fold(cells, self._shape.most_cells)
        self._remove(begin)
        self._changed.add(begin)
        self._keep(begin, Stretch(step, pack(cells)), cells)

    def _keep(self, begin: int, stretch: Stretch, cells: Cells) -> None:
        self._stretches[begin] = stretch
        self._size += len(stretch.packed)
        if self._beside is not None:
            self._beside.keep(begin, stretch.step, cells)
        while self._size > self._shape.most_bytes and len(self._stretches) > 1:
            self._remove(min(self._stretches))

    def _remove(self, begin: int) -> None:
        stretch = self._stretches.pop(begin, None)
        if stretch is not None:
            self._size -= len(stretch.packed)
            self._changed.add(begin)
            if self._beside is not None:
                self._beside.drop(begin)


def merged(into: Cells, cells: Cells) -> Cells:
    for key, cell in cells.items():
        cell_in(into, key).add(cell)
    return into


def usual() -> Shape:
    steps = ((2 * _HOUR, 60), (26 * _HOUR, 600), (8 * _DAY, _HOUR))
    return Shape(SCOPE, PLACE, steps, MOST_CELLS, MOST_BYTES, folded)


def folded(cells: Cells, most: int) -> Cells:
    """At most so many: the busiest cells unchanged, others without app, user and unit, the rest merged by kind."""
    kept: Cells = {}
    ranked = sorted(cells.items(), key=lambda item: -item[1].n[b.REQUESTS])
    exact, named = most * 8 // 10, most - 3
    for key, cell in ranked:
        if len(kept) >= exact:
            part, pool, model, provider, *_, operation, status = key
            key = (part, pool, model, provider, OTHERS, OTHERS, OTHERS, operation, status)
            if key not in kept and len(kept) >= named:
                key = (part, OTHERS, OTHERS, OTHERS, OTHERS, OTHERS, OTHERS, OTHERS, OTHERS)
        merged(kept, {key: cell})
    return kept


def moment(begin: int, width: int) -> str:
    """The start of the minute, hour or day that contains it, UTC."""
    return time.strftime("%Y-%m-%d" if width == _DAY else "%Y-%m-%d %H:%M", time.gmtime(begin - begin % width))
