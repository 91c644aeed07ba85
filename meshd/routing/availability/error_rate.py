"""The share of recent requests that failed, for `deactivation.error_rate_threshold`.

Owns: a member's last outcomes, counted in a fixed number of slots, however many requests there are.
Must never: decide what a rate means (`consequences.py`), or read a clock.

The window slides by twelfths: an outcome is forgotten between 11/12 and 12/12 of the window after it happened.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

SLOTS: Final = 12
LEAST_SAMPLES = 5
"""Outcomes within a window below which their rate says nothing: one failure of one request is not an outage."""


class ErrorRate(NamedTuple):
    """failed of requests, within the window."""

    failed: int = 0
    requests: int = 0

    @property
    def fraction(self) -> float | None:
        """0…1; None while there are too few to tell."""
        return self.failed / self.requests if self.requests >= LEAST_SAMPLES else None


class OutcomeWindow:
    """now: UTC seconds. window: seconds; a changed window (a reload) starts over."""

    __slots__ = ("_slots", "_window")

    def __init__(self) -> None:
        self._window = 0.0
        self._slots: deque[list[int]] = deque()  # [number of the slot since the epoch, requests, failed]

    def add(self, ok: bool, now: float, window: float) -> None:
        if window != self._window:
            self._window = window
            self._slots.clear()
        number = self._trim(now)
        if not self._slots or self._slots[-1][0] < number:
            self._slots.append([number, 0, 0])
        last = self._slots[-1]
        last[1] += 1
        last[2] += not ok

    def rate(self, now: float) -> ErrorRate:
        self._trim(now)
        return ErrorRate(sum(slot[2] for slot in self._slots), sum(slot[1] for slot in self._slots))

    def clear(self) -> None:
        self._slots.clear()

    def _trim(self, now: float) -> int:
        """Forget what is too old, or lies in the future after a clock was set back; the number of the current slot."""
        number = int(now * SLOTS / self._window) if self._window else 0
        while self._slots and not number - SLOTS < self._slots[0][0] <= number:
            self._slots.popleft()
        while self._slots and self._slots[-1][0] > number:
            self._slots.pop()
        return number
