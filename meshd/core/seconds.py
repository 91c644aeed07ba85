"""Seconds as they are shown to programs: with microseconds, in as few digits as that takes, or as nanoseconds."""

from __future__ import annotations

from typing import Final

NANOS: Final = 1_000_000_000
"""Nanoseconds in a second."""


def to_micros(seconds: float) -> float:
    """Rounded to microseconds. `round(seconds, 6)` takes ten times as long, as it is exact in decimal."""
    return int(seconds * 1e6 + 0.5) / 1e6


def to_nanos(seconds: float) -> int:
    return int(seconds * NANOS)


def from_nanos(nanos: float) -> float:
    return nanos / NANOS
