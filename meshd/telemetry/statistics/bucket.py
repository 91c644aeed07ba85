"""The counters of one name in one stretch of time, and their packed form.

Owns: the list of counters and its order in storage (only ever appended to).
Must never: hold a float; times are whole microseconds, so that sums are exact in any order.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import msgspec

from meshd.telemetry.statistics import sketch

COUNTERS = (
    "requests_total",
    "requests_success",
    "requests_failed",
    "tokens_in",
    "tokens_out",
    "tokens_cached",
    "cost_total",
    "latency_us",
    "downtime_us",
    "standby_events",
    "quota_resets",
    "rotation_events",
    "retries",
    "queue_us",
    "hedges",
    "cache_hits",
)
(
    REQUESTS,
    SUCCESS,
    FAILED,
    TOKENS_IN,
    TOKENS_OUT,
    TOKENS_CACHED,
    COST,
    LATENCY,
    DOWNTIME,
    STANDBY,
    QUOTA_RESETS,
    ROTATIONS,
    RETRIES,
    QUEUE,
    HEDGES,
    CACHE_HITS,
) = range(len(COUNTERS))

_MOST = 2**62
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[int], dict[int, int], dict[int, int]]).decode


class Bucket:
    """n: the counters. latency, ttft: sketches."""

    __slots__ = ("latency", "n", "ttft")

    def __init__(self) -> None:
        self.n = [0] * len(COUNTERS)
        self.latency: dict[int, int] = {}
        self.ttft: dict[int, int] = {}

    def add(self, other: Bucket) -> None:
        for index, count in enumerate(other.n):
            if count:
                self.n[index] += count
        sketch.add(self.latency, other.latency)
        sketch.add(self.ttft, other.ttft)

    def pack(self) -> bytes:
        # Packed values have to fit 64 bits.
        n = self.n if max(self.n) <= _MOST and min(self.n) >= 0 else [max(0, min(count, _MOST)) for count in self.n]
        return _encode((n, self.latency, self.ttft))

    @classmethod
    def unpack(cls, data: bytes | str) -> Bucket:
        """Raises ValueError."""
        # Storages keep JSON, in which bytes become base64.
        try:
            n, latency, ttft = _decode(b64decode(data) if isinstance(data, str) else data)
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from error
        bucket = cls()
        for index, count in enumerate(n[: len(COUNTERS)]):
            bucket.n[index] = count
        bucket.latency = latency
        bucket.ttft = ttft
        return bucket

    def row(self) -> dict[str, Any]:
        """A row of the answer to `QueryStatistics`: seconds, and 10⁻⁹ USD."""
        n = self.n
        samples = sum(self.latency.values())
        return {
            "requests_total": n[REQUESTS],
            "requests_success": n[SUCCESS],
            "requests_failed": n[FAILED],
            "tokens_in": n[TOKENS_IN],
            "tokens_out": n[TOKENS_OUT],
            "tokens_cached": n[TOKENS_CACHED],
            "cost_total": n[COST],
            "latency_avg": n[LATENCY] / samples / 1e6 if samples else None,
            "latency_p50": sketch.quantile(self.latency, 0.50),
            "latency_p95": sketch.quantile(self.latency, 0.95),
            "latency_p99": sketch.quantile(self.latency, 0.99),
            "ttft_p50": sketch.quantile(self.ttft, 0.50),
            "ttft_p95": sketch.quantile(self.ttft, 0.95),
            "downtime_total": n[DOWNTIME] / 1e6,
            "standby_events": n[STANDBY],
            "quota_resets": n[QUOTA_RESETS],
            "rotation_events": n[ROTATIONS],
            "retries": n[RETRIES],
            "hedges": n[HEDGES],
            "cache_hits": n[CACHE_HITS],
            "queue_time": n[QUEUE] / 1e6,
        }
