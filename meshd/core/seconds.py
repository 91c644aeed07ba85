"""Seconds as they are shown to programs: with microseconds, in as few digits as that takes."""

from __future__ import annotations


def to_micros(seconds: float) -> float:
    """Rounded to microseconds. `round(seconds, 6)` takes ten times as long, as it is exact in decimal."""
    return int(seconds * 1e6 + 0.5) / 1e6
