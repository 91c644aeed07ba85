"""A measured figure beside what it has to be."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """`value` has to be at most (or at least) `target`, in the same unit. `detail`: what it was made from."""

    name: str
    value: float
    target: float
    unit: str = "×"
    at_least: bool = False
    detail: str = ""

    @property
    def reached(self) -> bool:
        return self.value >= self.target if self.at_least else self.value <= self.target

    def cells(self) -> list[str]:
        sign = "≥" if self.at_least else "≤"
        return [
            self.name,
            f"{self.value:.3g} {self.unit}",
            f"{sign} {self.target:g} {self.unit}",
            "yes" if self.reached else "NO",
            self.detail,
        ]


def p50(call: Callable[[], object], times: int, warmup: int) -> float:
    """Seconds one call takes, at the median."""
    for _ in range(warmup):
        call()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def percentile(values: list[float], fraction: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * fraction), len(ordered) - 1)]
