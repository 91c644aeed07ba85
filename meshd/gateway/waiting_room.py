"""Requests that wait at a limit: until there is room, until `queue_timeout`, or not at all.

Owns: the waiting itself, and the one timer that tries again when time alone makes room.
Must never: decide who is next (`routing/attempts/fair_queue.py`) or whether there is room (`routing/attempts/plan.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from meshd.gateway.frontends.shares.fair_share import FairShare
from meshd.host import clock
from meshd.host.awake import Timeout
from meshd.routing.attempts.errors.no_model import no_room_in_time
from meshd.routing.attempts.fair_queue import FairQueue, Waiter
from meshd.routing.attempts.plan import GiveUp, RequestPlan
from meshd.routing.attempts.step import AttemptStep
from meshd.routing.attempts.waiting import Wait

_SOONEST = 0.001  # s; a limit that frees up at this very instant must not make the loop spin
_UNKNOWN = 5.0  # s to wait for a model that has never answered: it may be misconfigured
_GENEROSITY = 3.0  # places in the queue that one app or user may have for each free place
_HEARD = 0.2  # s before its deadline, at most, when a request is told why no model could answer


class WaitingRoom:
    """max_queue, queue_timeout: functions, because a reload may change the values."""

    def __init__(self, max_queue: Callable[[], int], queue_timeout: Callable[[], float]) -> None:
        self.queue = FairQueue()
        self._max_queue = max_queue
        self._places = FairShare(max_queue(), _GENEROSITY)
        self._queue_timeout = queue_timeout
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0  # kept here because uvloop's handle does not know the time of a timer that is due at once
        self._soon: asyncio.Handle | None = None

    def step(self, plan: RequestPlan, now: float) -> AttemptStep | Wait | GiveUp:
        """The plan's next step. Waiting requests that can continue now go first, and so do requests of the same app
        that wait for the same models."""
        if len(self.queue):
            if self._soon is not None:
                self._serve()
            asks, gives_way = plan.requester, plan.requester.gives_way
            if not plan.attempts and self.queue.waits(asks.label, plan.line(now), gives_way, asks.turn):
                others = "other requests" if gives_way else "other requests of the same app"
                return Wait(None, {plan.pool.name: f"{others} wait for the same models"})
        return plan.next(now)

    def freed(self) -> None:
        """There may be room for waiting requests. They are tried once for everything that ends in the same turn of the
        loop, after the answer that just ended."""
        if len(self.queue) and self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self._serve)

    def _serve(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        self.queue.serve()

    async def wait(self, plan: RequestPlan, wait: Wait) -> AttemptStep | GiveUp:
        """The step after the wait. If it is cancelled, nothing stays reserved."""
        began = time.monotonic()
        longest, until_deadline = self._queue_timeout(), max(plan.deadline - clock.now(), 0.0)
        if wait.resting:  # limits the whole wait for models on standby, to leave time for telling the app why
            if not wait.known:
                longest = min(longest, _UNKNOWN)
            longest = min(longest - (clock.now() - plan.arrived), until_deadline - min(_HEARD, until_deadline / 10))
            if longest <= 0:
                return plan.out_of_patience(clock.now())
        asks, line = plan.requester, plan.line(clock.now())
        app, turn = asks.app, asks.turn
        self._places.capacity = self._max_queue()
        if not self._places.fits(turn, operator=asks.operator):
            return GiveUp(no_room_in_time(wait.reasons, self._in(wait.until), waited=0.0, full=True))
        waiting = _Waiting(plan, wait, self._try_again)
        waiter = Waiter(asks.label, line, waiting.attempt, app.weight, app.priority, asks.gives_way, turn)
        self._places.take(turn)
        self.queue.add(waiter)
        self._try_again(wait.until)
        try:
            with Timeout(min(longest, until_deadline)):
                return await asyncio.shield(waiting.step)
        except TimeoutError:
            if waiting.step.done():  # in the same turn of the loop
                return waiting.step.result()
            if until_deadline <= longest:  # timers may be early by a part of a millisecond
                step = plan.next(max(clock.now(), plan.deadline))
                assert isinstance(step, GiveUp), "the deadline has passed"
                return step
            return self._waited_too_long(plan, waiting.wait, time.monotonic() - began)
        except asyncio.CancelledError:
            taken = waiting.taken()
            if taken is not None:
                plan.cancelled(clock.now(), step=taken, sent=False)
                self.freed()
            raise
        finally:
            self._places.give(turn)
            self.queue.remove(waiter)
            if not waiting.step.done():
                self.freed()  # a request behind this one may need less

    def _waited_too_long(self, plan: RequestPlan, wait: Wait, waited: float) -> AttemptStep | GiveUp:
        """waited: seconds."""
        if not wait.resting:
            step = plan.next(clock.now())  # a request behind others does not know yet what all of them wait for
            if not isinstance(step, Wait):
                return step
            wait = step
        if wait.resting:
            return plan.out_of_patience(clock.now())
        return GiveUp(no_room_in_time(wait.reasons, self._in(wait.until), waited=waited, full=False))

    def close(self) -> None:
        for handle in (self._timer, self._soon):
            if handle is not None:
                handle.cancel()

    def _try_again(self, until: float | None) -> None:
        """Try again at that time (UTC s), or sooner if another request's time comes first."""
        if until is None:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + max(until - clock.now(), _SOONEST)
        if self._timer is not None:
            if self._timer_at <= at and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer, self._timer_at = loop.call_at(at, self._time_came), at

    def _time_came(self) -> None:
        self._timer = None
        self._serve()

    @staticmethod
    def _in(until: float | None) -> float | None:
        return None if until is None else max(until - clock.now(), 0.0)


class _Waiting:
    """A request that waits. step: its next step, once there is one. wait: what it waits for until then."""

    def __init__(self, plan: RequestPlan, wait: Wait, try_again: Callable[[float | None], None]) -> None:
        self.step: asyncio.Future[AttemptStep | GiveUp] = asyncio.get_running_loop().create_future()
        self.wait = wait
        self._plan = plan
        self._try_again = try_again

    def attempt(self) -> bool:
        """Ask for the next step. Returns whether the wait is over."""
        if self.step.done():
            return True
        try:
            step = self._plan.next(clock.now())
        except Exception as bug:  # of the waiting request, not of the one that made room
            self.step.set_exception(bug)
            return True
        if isinstance(step, Wait):
            self.wait = step
            self._try_again(step.until)
            return False
        self.step.set_result(step)
        return True

    def taken(self) -> AttemptStep | None:
        """The attempt that it may make, if there is one already."""
        if not self.step.done() or self.step.exception() is not None:
            return None
        step = self.step.result()
        return step if isinstance(step, AttemptStep) else None
