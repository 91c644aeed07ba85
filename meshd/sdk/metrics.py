"""Measurements at one instant: the form in which sinks get metrics.

Owns: `Reading`, `Family`, `Distribution`. Names, units and labels are OpenTelemetry's; a sink turns them into its own.
Must never: count anything.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["counter", "gauge", "histogram"]


class Distribution(msgspec.Struct, frozen=True, gc=False):
    """counts: how many values are up to each bound but above the one before; the last: above all bounds. total: the sum
    of the values."""

    counts: tuple[int, ...]
    total: float


Value = int | float | Distribution
Row = tuple[tuple[str, ...], Value]
"""The values of the labels, and what is measured for them."""


class Family(msgspec.Struct, frozen=True):
    """One metric. unit: in UCUM, such as `s`, `By`, `{token}`; "1": none. labels: their names. bounds: of a histogram.
    Counters and histograms count from `Reading.since_ns`."""

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...]
    rows: tuple[Row, ...]
    bounds: tuple[float, ...] = ()


class Reading(msgspec.Struct, frozen=True):
    """All metrics. since_ns, at_ns: UTC, in nanoseconds."""

    since_ns: int
    at_ns: int
    families: tuple[Family, ...]
