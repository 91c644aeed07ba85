"""A model's last latencies: percentiles and averages for strategies, hedging and views."""

from __future__ import annotations

from collections import deque
from typing import Any

_HISTORY = 128  # latencies kept per model: enough for a p95, few enough for thousands of models


class Latencies:
    """The last latencies, in seconds; percentiles are exact over them. smoothed: an exponential average in which each
    new value counts an eighth; None while there is none."""

    __slots__ = ("_ordered", "_recent", "_sum", "count", "smoothed")

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_HISTORY)
        self._ordered: list[float] | None = None  # the recent ones, until there is another
        self._sum = 0.0
        self.count = 0
        self.smoothed: float | None = None

    def add(self, seconds: float) -> None:
        self._remember(seconds)
        self._sum += seconds
        self.count += 1

    def _remember(self, seconds: float) -> None:
        self._recent.append(seconds)
        self._ordered = None
        self.smoothed = seconds if self.smoothed is None else self.smoothed + (seconds - self.smoothed) / 8

    @property
    def average(self) -> float | None:
        """Over all latencies ever."""
        return self._sum / self.count if self.count else None

    def percentile(self, fraction: float) -> float | None:
        """The percentile of the recent ones; None if there are none."""
        if not self._recent:
            return None
        ordered = self._ordered
        if ordered is None:
            ordered = self._ordered = sorted(self._recent)
        return ordered[min(int(fraction * len(ordered)), len(ordered) - 1)]

    def dump(self) -> dict[str, Any] | None:
        """None when there is nothing worth keeping."""
        if not self.count:
            return None
        return {"recent": [round(each, 4) for each in self._recent], "sum": round(self._sum, 4), "count": self.count}

    @classmethod
    def load(cls, saved: dict[str, Any] | None) -> Latencies:
        found = cls()
        if saved:
            for each in saved.get("recent", ()):
                found._remember(float(each))
            found._sum, found.count = float(saved.get("sum", 0.0)), int(saved.get("count", 0))
        return found

    def summary(self) -> dict[str, float | None]:
        return {"average": self.average, "p50": self.percentile(0.5), "p95": self.percentile(0.95)}
