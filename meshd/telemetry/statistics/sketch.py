"""A latency distribution in little memory: counts in buckets whose bounds grow by a constant factor.

Owns: the bucket rule. Any quantile is within 2 % of a real value, whatever the distribution: this is DDSketch's bound
for α = 0.02, where bounds grow by γ = (1+α)/(1-α) and a bucket is represented by the point that is at most α from both
its bounds. Two sketches are added exactly by adding their counts.
Must never: keep the values themselves. From 0.1 ms to 1 h there are 436 buckets; real ones use a few dozen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

ERROR = 0.02
_GAMMA = (1 + ERROR) / (1 - ERROR)
_SCALE = 1 / math.log(_GAMMA)
_SMALLEST = 1e-4  # s: smaller values all count as this
_LAST = math.ceil(math.log(3600 / _SMALLEST) * _SCALE)
_log = math.log


def bucket_of(seconds: float) -> int:
    if seconds <= _SMALLEST:
        return 0
    return min(_LAST, math.ceil(_log(seconds * 1e4) * _SCALE))


def value_of(bucket: int) -> float:
    return _SMALLEST * _GAMMA**bucket * (2 / (1 + _GAMMA)) if bucket else _SMALLEST


def quantile(counts: Mapping[int, int], q: float) -> float | None:
    """The q-quantile in seconds, None if empty."""
    total = sum(counts.values())
    if not total:
        return None
    rank = q * (total - 1)
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen > rank:
            return value_of(bucket)
    return value_of(max(counts))


def add(into: dict[int, int], counts: Mapping[int, int]) -> None:
    for bucket, count in counts.items():
        into[bucket] = into.get(bucket, 0) + count
