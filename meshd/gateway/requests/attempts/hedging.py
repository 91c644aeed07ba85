"""Hedging: a second attempt while the first has sent no byte; the first answer wins.

Owns: the race between two attempts; the loser is cancelled and settled.
Must never: let both answer, or leave one running.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Literal

from meshd.gateway.frontends.exchange import ClientGone
from meshd.gateway.requests.attempts.attempt import UpstreamAttempt
from meshd.gateway.requests.attempts.attempt_plan import Fate
from meshd.routing.attempts.step import AttemptStep
from meshd.routing.availability.latencies import Latencies

_ENOUGH = 20  # latencies, for a meaningful 95th percentile


def hedge_delay(after: float | Literal["p95"] | None, latencies: Latencies) -> float | None:
    """Seconds after which a second attempt begins; None: never."""
    if after == "p95":
        return latencies.percentile(0.95) if latencies.count >= _ENOUGH else None
    return after


class Race:
    """The attempts of one hedged step. The first attempt with an answer calls `claim`.

    attempt: makes an attempt of a step. second: returns the step of the second attempt, None if no other model is free.
    """

    def __init__(
        self, attempt: Callable[[AttemptStep, Race], UpstreamAttempt], second: Callable[[], AttemptStep | None]
    ) -> None:
        self._attempt = attempt
        self._second = second
        self.winner: UpstreamAttempt | None = None
        self._runners: dict[UpstreamAttempt, asyncio.Task[Fate]] = {}
        self._claimed = asyncio.Event()

    def claim(self, attempt: UpstreamAttempt) -> None:
        """Raises CancelledError if another attempt was first."""
        if self.winner is None:
            self.winner = attempt
            self._claimed.set()
        elif self.winner is not attempt:
            raise asyncio.CancelledError

    def lost(self, attempt: UpstreamAttempt) -> bool:
        return self.winner is not None and self.winner is not attempt

    async def run(self, step: AttemptStep, delay: float) -> tuple[Fate, UpstreamAttempt]:
        """The fate of the step, and the attempt that decided it. Raises as an attempt does."""
        try:
            first = self._send(step)
            await self._something_happens(delay)
            if not first.done() and self.winner is None:
                second = self._second()
                if second is not None:
                    self._send(second)
            while self._running() and self.winner is None:
                await self._something_happens(None)
            return await self._decide()
        finally:
            await self._end()

    def _send(self, step: AttemptStep) -> asyncio.Task[Fate]:
        attempt = self._attempt(step, self)
        task = asyncio.ensure_future(attempt.run())
        self._runners[attempt] = task
        return task

    def _running(self) -> list[asyncio.Task[Fate]]:
        return [task for task in self._runners.values() if not task.done()]

    async def _something_happens(self, seconds: float | None) -> None:
        claimed = asyncio.ensure_future(self._claimed.wait())
        try:
            await asyncio.wait([*self._running(), claimed], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            claimed.cancel()

    async def _decide(self) -> tuple[Fate, UpstreamAttempt]:
        winner = self.winner
        if winner is None:  # all attempts failed before they had an answer
            fates = {attempt: task.result() for attempt, task in self._runners.items()}
            return next(((fate, attempt) for attempt, fate in fates.items() if fate is not Fate.AGAIN), None) or (
                Fate.AGAIN,
                next(reversed(fates)),
            )
        for attempt, task in self._runners.items():
            if attempt is not winner:
                task.cancel()
        return await self._runners[winner], winner

    async def _end(self) -> None:
        for task in self._running():
            task.cancel()
        for task in self._runners.values():
            with contextlib.suppress(asyncio.CancelledError, ClientGone):
                await task
