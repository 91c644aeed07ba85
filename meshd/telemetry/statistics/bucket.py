"""The counters of one name in one stretch of time, and their packed form.

Must never: hold a float; times are whole microseconds, so that sums are exact in any order.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.telemetry.statistics import sketch
from meshd.telemetry.statistics.measures import MEASURES, PLACES, value_of

# The positions of measures that are counted by rules of their own.
REQUESTS = PLACES["requests_total"]
SUCCESS = PLACES["requests_success"]
FAILED = PLACES["requests_failed"]
LATENCY = PLACES["latency"]
DOWNTIME = PLACES["downtime_total"]
STANDBY = PLACES["standby_events"]
QUOTA_RESETS = PLACES["quota_resets"]
ROTATIONS = PLACES["rotation_events"]
RETRIES = PLACES["retries"]
QUEUE = PLACES["queue_time"]
CACHE_HITS = PLACES["cache_hits"]
SAVED = PLACES["requests_saved"]
USED = (REQUESTS, *(place for name, place in PLACES.items() if name.startswith("outside_")))
"""One of these says that something was used."""

_MOST = 2**62
_encode = msgspec.msgpack.Encoder().encode


class _Packed(msgspec.Struct, array_like=True):
    """units: older ones lack it, and so do those without any."""

    n: list[int]
    latency: dict[int, int]
    ttft: dict[int, int]
    units: dict[str, int] = {}


_decode = msgspec.msgpack.Decoder(_Packed).decode


class Bucket:
    """n: the measures, in their order. latency, ttft: sketches. units: what was used besides tokens, by the names of
    `core/prices.py`."""

    __slots__ = ("latency", "n", "ttft", "units")

    def __init__(self) -> None:
        self.n = [0] * len(MEASURES)
        self.latency: dict[int, int] = {}
        self.ttft: dict[int, int] = {}
        self.units: dict[str, int] = {}

    def add(self, other: Bucket) -> None:
        for index, count in enumerate(other.n):
            if count:
                self.n[index] += count
        sketch.add(self.latency, other.latency)
        sketch.add(self.ttft, other.ttft)
        if other.units:
            self.add_units(other.units)

    def add_units(self, units: Mapping[str, int]) -> None:
        for name, count in units.items():
            self.units[name] = min(self.units.get(name, 0) + max(count, 0), _MOST)

    def pack(self) -> bytes:
        # Packed values have to fit into 64 bits.
        n = self.n if max(self.n) <= _MOST and min(self.n) >= 0 else [max(0, min(count, _MOST)) for count in self.n]
        return _encode((n, self.latency, self.ttft, *self.packed_units()))

    def packed_units(self) -> tuple[dict[str, int], ...]:
        """Nothing where there are none, as in most buckets."""
        return (self.units,) if self.units else ()

    @classmethod
    def unpack(cls, data: bytes | str) -> Bucket:
        """Raises ValueError."""
        # Storages keep JSON, in which bytes become base64.
        try:
            packed = _decode(b64decode(data) if isinstance(data, str) else data)
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from error
        bucket = cls()
        for index, count in enumerate(packed.n[: len(MEASURES)]):
            bucket.n[index] = count
        bucket.latency, bucket.ttft, bucket.units = packed.latency, packed.ttft, packed.units
        return bucket

    def row(self) -> dict[str, Any]:
        """A row of the answer to `QueryStatistics`: seconds, and 10⁻⁹ USD."""
        samples = sum(self.latency.values())
        counted = zip(MEASURES, self.n, strict=True)
        return {
            **{measure.name: value_of(measure, count) for measure, count in counted if not measure.derived},
            "units": dict(self.units),
            "latency_avg": self.n[LATENCY] / samples / 1e6 if samples else None,
            "latency_p50": sketch.quantile(self.latency, 0.50),
            "latency_p95": sketch.quantile(self.latency, 0.95),
            "latency_p99": sketch.quantile(self.latency, 0.99),
            "ttft_p50": sketch.quantile(self.ttft, 0.50),
            "ttft_p95": sketch.quantile(self.ttft, 0.95),
        }
