"""One name's statistics over time, in bounded memory.

Owns: the periods that buckets cover: minutes for two hours, ten minutes for 26 hours (so that `--since 24h` is exact to
ten minutes), hours up to the retention. Buckets of the past are kept packed.
Must never: read a clock.

A name that is always busy has at most 120 + 144 packed buckets of about 60 to 250 bytes, and 24 for each day beyond:
190 kB after a month (measured by a test). An idle one has only its total.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from meshd.telemetry.statistics.bucket import Bucket

HOUR = 3600
_STEPS = ((2 * HOUR, 60), (26 * HOUR, 600))


class Chunk:
    """An hour. step: the length of its buckets. buckets: seconds into the hour → packed bucket."""

    __slots__ = ("buckets", "step")

    def __init__(self, step: int = 60, buckets: dict[int, bytes] | None = None) -> None:
        self.step = step
        self.buckets = buckets if buckets is not None else {}

    def put(self, offset: int, bucket: Bucket) -> None:
        offset -= offset % self.step
        packed = self.buckets.get(offset)
        if packed is not None:
            before = Bucket.unpack(packed)
            before.add(bucket)
            bucket = before
        self.buckets[offset] = bucket.pack()


class Series:
    """total: everything since counting began. hours: start of an hour → its chunk."""

    __slots__ = ("changed", "hours", "total")

    def __init__(self) -> None:
        self.total = Bucket()
        self.hours: dict[int, Chunk] = {}
        self.changed: set[int] = set()

    def put(self, minute: int, bucket: Bucket) -> None:
        """Add a bucket of the minute that begins at `minute`."""
        self.total.add(bucket)
        hour = minute - minute % HOUR
        self.hours.setdefault(hour, Chunk()).put(minute - hour, bucket)
        self.changed.add(hour)

    def since(self, start: float, end: float = math.inf) -> Bucket:
        """The sum of every bucket that had not ended by `start`, and had begun before `end`."""
        found = Bucket()
        for hour, chunk in self.hours.items():
            if hour + HOUR > start and hour < end:
                for offset, packed in chunk.buckets.items():
                    if hour + offset + chunk.step > start and hour + offset < end:
                        found.add(Bucket.unpack(packed))
        return found

    def coarsen(self, now: float, retention: float) -> None:
        """Merge old buckets into longer ones, drop those older than the retention."""
        for hour, chunk in list(self.hours.items()):
            age = now - hour - HOUR
            if age > retention:
                del self.hours[hour]
                self.changed.add(hour)
                continue
            step = next((step for limit, step in _STEPS if age <= limit), HOUR)
            if step > chunk.step:
                merged = Chunk(step)
                for offset, packed in chunk.buckets.items():
                    merged.put(offset, Bucket.unpack(packed))
                self.hours[hour] = merged
                self.changed.add(hour)

    def size(self) -> int:
        """Bytes of packed buckets."""
        return sum(len(packed) for chunk in self.hours.values() for packed in chunk.buckets.values())


def rows_of(name: str, series: Series) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """A series' rows changed since the last call: (key, value), None for removed ones."""
    if not series.changed:
        return
    yield f"{name}\0total", {"bucket": series.total.pack()}
    for hour in series.changed:
        chunk = series.hours.get(hour)
        if chunk is None:
            yield f"{name}\0{hour}", None
        else:
            buckets = {str(offset): packed for offset, packed in chunk.buckets.items()}
            yield f"{name}\0{hour}", {"step": chunk.step, "buckets": buckets}
    series.changed.clear()


def restore(series: Series, part: str, value: dict[str, Any]) -> None:
    """Add a stored row. Raises ValueError, KeyError or TypeError for an invalid one."""
    if part == "total":
        series.total.add(Bucket.unpack(value["bucket"]))
        return
    chunk = series.hours.setdefault(int(part), Chunk(int(value["step"])))
    for offset, packed in value["buckets"].items():
        chunk.put(int(offset), Bucket.unpack(packed))
