"""One request's sequence of attempts: which model next, and when.

Owns: the state machine of a request (`RequestPlan`). It receives each attempt's outcome and says what to do next.
Must never: wait, send or read a clock; `gateway/requests/request.py` does what it says.

Invariants: see `results.py`; the number of attempts at one model never exceeds `retry.max_attempts` (and one more for
each further key of its provider).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from meshd.routing.attempts import last_resort
from meshd.routing.attempts.errors import ended
from meshd.routing.attempts.errors.no_model import Consulted
from meshd.routing.attempts.results import Results
from meshd.routing.attempts.step import AttemptStep
from meshd.routing.attempts.waiting import Wait, free_at, line_of, wait_of
from meshd.routing.availability import recovery
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec
from modelmesh.errors import MeshError


@dataclass(slots=True)
class GiveUp:
    error: MeshError


class RequestPlan(Results):
    """next → (the attempt is made) → succeeded | failed | cancelled | lost | ran_out → next → …

    A step is decided first, from what is known, and then taken (`Counters.take`); refused, it is decided again without
    that model.
    """

    _gone = ""  # the model that had no room any more when it was to be taken

    def next(self, now: float) -> AttemptStep | Wait | GiveUp:
        """The next step. Every `AttemptStep` has to end with succeeded, failed, cancelled, lost or ran_out."""
        assert not self.book.open, "an attempt is not closed"
        self.changes += recovery.wake(self.state, now)
        if self.fatal or self.once:
            return GiveUp(ended.exhausted(self, now))
        if self.late or now >= self.deadline:
            return GiveUp(ended.shortage(self) or ended.timed_out(self))
        step = self._decided(now, ())
        if step is not None:
            return step
        full: set[str] = set()
        while self._gone not in full:
            full.add(self._gone)
            step = self._decided(now, full)
            if isinstance(step, AttemptStep):
                return step
        return Wait(now + _DECIDE_AGAIN, dict.fromkeys(full, "another process took the room that it had"))

    def _decided(self, now: float, full: Collection[str]) -> AttemptStep | Wait | GiveUp | None:
        """None: there was no room any more where it was to go (`_gone`). full: models of which this is known."""
        last = self.last
        if last is not None and self.stays and last.id not in full:
            question = self.question(now)
            if self._stays_with(last, question):
                return self._begin(question, last)
        exclude = full
        if self.given_up or self.spent or self.not_before:
            resting = [id for id, ready in self.not_before.items() if ready > now and not self.is_back(id)]
            exclude = self.given_up.union(self.spent, full, resting)
        consulted: list[Consulted] = []
        for pool in self.pools:
            question = self.question(now, pool)
            decision = self.pipeline.decide(question, exclude, self.scope())
            error = self.pipeline.refuses(question, decision)
            if error is not None:
                return GiveUp(error)
            if decision.model is not None:
                return self._begin(question, decision.model)
            consulted.append(Consulted(question, decision))
        return self._none_now(consulted, now)

    def note_begun(self) -> None:
        """The app has the first chunk of a stream, so from here on only the latest time counts."""
        self.deadline = self.latest

    def hedge(self, now: float) -> AttemptStep | None:
        """A second attempt in parallel with the current one, at another model; None if no model is free."""
        question = self.question(now)
        busy = {each.model.id for each in self.book.open.values()}
        decision = self.pipeline.decide(question, self.given_up | busy | set(self.not_before), self.scope())
        if decision.model is None or now >= self.deadline:
            return None
        step = self._begin(question, decision.model, hedge=True)
        self.hedges += step is not None
        return step

    def start(self, step: AttemptStep, now: float) -> bool:
        """Before an attempt that had to wait leaves: take for it. False: it no longer fits, and has ended."""
        if step.taken is not None:
            return True
        question, model = self.question(now, step.pool), step.model
        up = step.resting or self.pipeline.is_up(question, model.id)
        if up and self.state.model(model.id).deactivated is None and self._fits(model, question):
            step.taken = self.book.counters.take(question, model)
        if step.taken is not None:
            return True
        self.book.close(step, now)
        self.book.release(step)
        self.tries[model.id] -= 1
        self.not_before[model.id] = now
        return False

    def _none_now(self, consulted: list[Consulted], now: float) -> AttemptStep | Wait | GiveUp | None:
        """No model may be asked at this instant: wait for one, ask one that failed again, or give up."""
        resting = last_resort.resting_models(self, now)
        waits_for = last_resort.soonest(self, consulted)
        told = {id for id, each in resting.items() if each.told}
        at_limit = self._at_limit(consulted, told, now)
        if waits_for is not None and (at_limit is None or self.not_before[waits_for[1].id] <= now):
            return self._begin(*waits_for)
        if at_limit is not None:
            # A refusing model is not tested while another may have room, a failing one not while another will have some
            # soon.
            resting = {id: each for id, each in resting.items() if not each.refuses}
            if at_limit.soon:
                return at_limit
        for each in sorted(resting.values(), key=lambda each: each.refuses):
            if each.at <= now:
                self.not_before.setdefault(each.model.id, now)
                return self._begin(each.question, each.model)
        if at_limit is not None:
            return at_limit.no_later_than(last_resort.known_times(resting))
        if resting:
            return last_resort.wait_for(self, resting).no_later_than(free_at(consulted, self.pipeline, now))
        return GiveUp(ended.nothing_left(self, consulted, now))

    def out_of_patience(self, now: float) -> GiveUp:
        """The request has waited long enough for a model on standby."""
        consulted = []
        for pool in self.pools:
            question = self.question(now, pool)
            consulted.append(Consulted(question, self.pipeline.decide(question, self.given_up, self.scope())))
        return GiveUp(ended.nothing_left(self, consulted, now))

    def _at_limit(self, consulted: list[Consulted], told: Collection[str], now: float) -> Wait | None:
        """If some models, other than those in `told`, are only at a limit: when there may be room."""
        again = {model: ready for model, ready in self.not_before.items() if model not in self.given_up}
        return wait_of(consulted, self.pipeline, again, now, told)

    def line(self, now: float) -> str:
        """The queue in which it waits, behind requests of the same app for the same models."""
        questions = [self.question(now, pool) for pool in self.pools]
        return line_of(questions, self.pipeline, self.given_up, self.not_before, self.scope())

    def _stays_with(self, model: ModelSpec, question: Question) -> bool:
        """Whether to wait for the model that just failed, though others may be free: it is to be asked again, is still
        up, and only the back-off has to pass."""
        if not self.may_be_asked_again(model.id):
            return False
        return self._fits(model, question) and self.pipeline.is_up(question, model.id)

    def _fits(self, model: ModelSpec, question: Question) -> bool:
        return all(stage.objection(model, question) is None for stage in self.pipeline.at_retry)

    def _begin(self, question: Question, model: ModelSpec, hedge: bool = False) -> AttemptStep | None:
        """None: there is no room any more. An attempt that has to wait takes nothing yet."""
        wait, taken = max(self.not_before.get(model.id, question.now) - question.now, 0.0), None
        if not wait:
            taken = self.book.counters.take(question, model)
            if taken is None:
                self._gone = model.id
                return None
        self.not_before.pop(model.id, None)
        before = self.pipeline.chosen(question, model)
        if self.last is not None and not hedge:
            if self.last.id == model.id:
                self.retries += 1
            else:
                self.rotations += 1
        self.first = self.first or model
        self.last = model
        self.pool = question.pool
        self.tries[model.id] = self.tries.get(model.id, 0) + 1
        return self.book.begin(question, model, wait, before, hedge, taken)


_DECIDE_AGAIN: Final = 0.05  # s, if other processes took all the room that a decision had seen
