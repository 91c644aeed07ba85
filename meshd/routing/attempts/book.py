"""The attempts of one request: what each holds while it is in flight, and the record of those that ended.

Owns: the attempts in flight, with their reservations, places and probations; the record of the others.
Must never: choose a model, or judge a failure (`plan.py`).

Invariants: what an attempt reserved is settled when it is closed, once; its place and the probation that it took are
given back then.
"""

from __future__ import annotations

from typing import Any

from meshd.core.events.records import Attempt
from meshd.core.prices import units_of
from meshd.core.seconds import to_micros
from meshd.routing.attempts.counters import Counters, Taken
from meshd.routing.attempts.step import NOTHING, AttemptStep
from meshd.routing.availability import recovery
from meshd.routing.availability.state import MeshState
from meshd.routing.request.estimate import cost_of
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec
from meshd.sdk.provider import RateLimits, Usage

MOST_COST = 10**15
"""The cost limit of one attempt, a million dollars: so sums fit into 64 bits, whatever prices are configured."""


class AttemptBook:
    """For one request. open: attempts in flight, by number; done: the record of those that ended, in order; tokens_in,
    tokens_out, units: their sums."""

    def __init__(self, state: MeshState, counters: Counters) -> None:
        self.state = state
        self.counters = counters
        self.open: dict[int, AttemptStep] = {}
        self.done: list[Attempt] = []
        self.tokens_in = self.tokens_out = 0
        self.units: dict[str, int] = {}
        self._begun = 0

    # -- an attempt begins ----------------------------------------------------------------------------

    def begin(
        self,
        question: Question,
        model: ModelSpec,
        wait: float,
        rotated_from: str | None,
        hedge: bool,
        taken: Taken | None,
    ) -> AttemptStep:
        """Begin an attempt, and take the place of its probation. taken: None if the attempt has to wait first."""
        self._begun += 1
        step = AttemptStep(model, question.pool, self._begun, wait, rotated_from, hedge, taken=taken)
        self.open[step.number] = step
        provider, known = self.state.provider(model.provider), self.state.model(model.id)
        states = (provider.availability, known.availability, self.state.member(step.pool.name, model.id).availability)
        for availability in (*states, *self.state.rates.rests(question, model)):
            if availability.standby:
                step.resting = True
                recovery.begin_probation(availability, self, question.now + wait)
                if availability.tester is self:
                    step.tests += (availability,)
        known.in_flight += 1
        provider.in_flight += 1
        return step

    def only(self) -> AttemptStep:
        """The only attempt in flight."""
        assert len(self.open) == 1, f"{len(self.open)} attempts are in flight"
        return next(iter(self.open.values()))

    # -- an attempt ends ------------------------------------------------------------------------------

    def close(
        self,
        step: AttemptStep,
        now: float,
        usage: Usage = NOTHING,
        limits: RateLimits | None = None,
        *,
        sent: bool = True,
        left: bool = True,
        billed: bool = False,
    ) -> None:
        """Settle what the attempt had reserved, and give back its place. left: this machine could send it.
        billed: even if no tokens were used. The probation is `release`d separately, once the attempt's end has been
        judged."""
        del self.open[step.number]
        model, tokens = step.model, usage.input_tokens + usage.output_tokens
        known, provider = self.state.model(model.id), self.state.provider(model.provider)
        known.in_flight -= 1
        provider.in_flight -= 1
        step.usage, step.sent = usage, sent
        if tokens or usage.units or billed:
            percent = step.taken.reservation.write_percent if step.taken is not None else 100
            step.cost = min(cost_of(usage, model, percent), MOST_COST)
            known.tokens_in += usage.input_tokens
            known.tokens_out += usage.output_tokens
            known.cost += step.cost
            provider.cost += step.cost
        if step.taken is not None:
            self.counters.settle(step.taken, now, tokens, step.cost, limits, sent=sent, left=left)

    def note(self, step: AttemptStep, ok: bool, reason: str, message: str, status: int, duration: float) -> None:
        usage, units, trace = step.usage, units_of(step.usage), step.trace
        self.tokens_in += usage.input_tokens
        self.tokens_out += usage.output_tokens
        for name, count in units.items():
            self.units[name] = self.units.get(name, 0) + count
        self.done.append(
            Attempt(
                step.model.id,
                step.model.provider,
                ok,
                reason,
                message or step.remark,
                status,
                duration,
                tokens_in=usage.input_tokens,
                tokens_out=usage.output_tokens,
                cost=step.cost,
                hedge=step.hedge,
                units=units,
                began=trace.began if trace is not None else 0.0,
                calls=trace.calls if trace is not None else (),
            )
        )

    def release(self, step: AttemptStep) -> None:
        for availability in step.tests:
            # A hedge at the same provider continues the test.
            if not any(availability is held for other in self.open.values() for held in other.tests):
                recovery.end_probation(availability, self)

    # -- in words -------------------------------------------------------------------------------------

    def as_maps(self) -> list[dict[str, Any]]:
        """The attempts that ended, as errors and answers list them."""
        return [
            {
                "model": attempt.model,
                "provider": attempt.provider,
                "status": attempt.status,
                "reason": attempt.reason,
                "message": attempt.message,
                "duration": to_micros(attempt.duration),
            }
            for attempt in self.done
        ]
