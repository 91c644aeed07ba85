"""One request's sequence of attempts: which model next, when, and with what error it ends.

Owns: the state machine of a request (`RequestPlan`). It receives each attempt's outcome and says what to do next.
Must never: wait, send or read a clock; `gateway/requests/request.py` does what it says.

Invariants: an attempt that began is always closed by succeeded, failed, cancelled, lost or ran_out; what it reserved
is settled then, and a probation place that it took given back; the number of attempts at one model never exceeds
`retry.max_attempts` (and one more for each further key of its provider).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from meshd.routing.attempts.book import NOTHING, AttemptBook, AttemptStep
from meshd.routing.attempts.errors import (
    THE_APPS_OWN,
    Consulted,
    as_another_was_refused,
    lacking,
    listed,
    none_left,
    nothing_there,
    of_one_provider,
    over_budget,
    passed_on,
    refusal_of,
)
from meshd.routing.attempts.retry import Verdict, asks_for_another, classify, delay, is_final, is_refusal
from meshd.routing.attempts.waiting import Wait, free_at, line_of, wait_of
from meshd.routing.availability import failures, recovery
from meshd.routing.availability.retry_after import bound_wait
from meshd.routing.availability.state import INDEFINITELY, Availability, Change, availabilities
from meshd.routing.decision import features
from meshd.routing.decision.maintenance import MaintenanceStage
from meshd.routing.decision.pipeline import Pipeline
from meshd.routing.decision.stages import BudgetStage, LimitStage, StateStage
from meshd.routing.durations import format_duration
from meshd.routing.request.question import Question
from meshd.routing.table.access import pools_to_try
from meshd.routing.table.specs import ModelSpec, PoolSpec, ProviderSpec
from meshd.sdk.provider import FailureKind, ProviderFailure, RateLimits, Usage
from modelmesh.errors import AllProvidersExhaustedError, MeshError, RequestCancelledError, RequestTimeoutError
from modelmesh.wording import short, told

__all__ = ["AttemptStep", "GiveUp", "RequestPlan", "Wait"]


@dataclass(slots=True)
class GiveUp:
    error: MeshError


@dataclass(slots=True)
class Standing:
    """A model that may be tested where no other can answer, `at` that time (UTC s) at the earliest, INDEFINITELY: when
    another request ends and makes room. refuses: it rests for a cause that mostly lasts. told: its provider asked to be
    left alone for longer, or refused all its keys."""

    model: ModelSpec
    question: Question
    at: float
    refuses: bool
    told: bool


class RequestPlan:
    """next → (the attempt is made) → succeeded | failed | cancelled | lost | ran_out → next → …

    deadline: UTC seconds. latest: what it becomes with the first chunk of a stream. `changes` collects what attempts
    did to availability. pool: the one in use, the request's own or one of its fallback pools.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        question: Question,
        deadline: float,
        latest: float | None = None,
    ) -> None:
        pool, now = question.pool, question.now
        self.pipeline = pipeline
        self.table = question.table
        self.state = state = pipeline.state
        self.pool = pool
        self.needs = question.needs
        self.requester = question.requester
        limit = pool.retry.deadline
        self.deadline = deadline if limit is None else min(deadline, now + limit)
        latest = deadline if latest is None else latest
        self.latest = latest if limit is None else min(latest, now + limit)
        self.arrived = now
        self.book = AttemptBook(state)
        self.attempts = self.book.done
        self.changes: list[Change] = []
        self.rotations = 0
        self.retries = 0
        self.hedges = 0
        self.pools = pools_to_try(pool, self.requester.app, self.table) if pool.fallback_pools else [pool]
        self._random = self.requester.random
        self._tries: dict[str, int] = {}
        self._given_up: set[str] = set()
        self._spent: set[str] = set()  # used up their attempts; asked again if no other can answer
        self._not_before: dict[str, float] = {}  # model that failed → when it may be asked again
        self._failed: dict[str, float] = {}  # model → when it failed this request last
        self._alone: dict[str, int] = {}  # model → how often it failed while it answered others
        self._costly: dict[str, int] = {}  # model → failed attempts that may have cost something
        self._refusals: dict[str, int] = {}  # model → refused attempts
        self._told_by: tuple[ModelSpec, Availability] | None = None  # the outcome of another request's test
        self._first: ModelSpec | None = None
        self._last: ModelSpec | None = None
        self._failure: ProviderFailure | None = None
        self._stays = False  # a back-off at the model that failed is worth waiting for
        self._fatal = False
        self._late = False  # the request's deadline ended an attempt
        self._lacks = 0  # attempts in a row that this machine could not send
        self._lacks_since = now
        names = (BudgetStage.name, LimitStage.name, MaintenanceStage.name)
        self._ignoring_state = [stage for stage in pipeline.stages if stage.name in names]
        self._refused_keys: dict[str, set[str]] = {}  # by provider, the keys that this request was refused with

    # -- what to do next ------------------------------------------------------------------------------

    def next(self, now: float) -> AttemptStep | Wait | GiveUp:
        """The next step. Every `AttemptStep` has to end with succeeded, failed, cancelled, lost or ran_out."""
        assert not self.book.open, "an attempt is not closed"
        self.changes += recovery.wake(self.state, now)
        if self._fatal:
            return GiveUp(self._exhausted(now))
        if self._late or now >= self.deadline:
            return GiveUp(self._lacking() or self._timed_out())
        last = self._last
        if last is not None and self._stays:
            question = self._question(now)
            if self._stays_with(last, question):
                return self._begin(question, last)
        resting = {model for model, ready in self._not_before.items() if ready > now and not self._is_back(model, now)}
        exclude = self._given_up | self._spent
        if resting:
            exclude |= resting
        consulted: list[Consulted] = []
        for pool in self.pools:
            question = self._question(now, pool)
            decision = self.pipeline.decide(question, exclude, self._scope())
            consulted.append(Consulted(question, decision))
            refused = self._refused(consulted[-1])
            if refused is not None:
                return refused
            if decision.model is not None:
                return self._begin(question, decision.model)
        return self._none_now(consulted, now)

    def note_begun(self) -> None:
        """The app has the first chunk of a stream: from here on only the latest time counts."""
        self.deadline = self.latest

    def hedge(self, now: float) -> AttemptStep | None:
        """A second attempt beside the current one, at another model; None if none is free."""
        question = self._question(now)
        busy = {each.model.id for each in self.book.open.values()}
        decision = self.pipeline.decide(question, self._given_up | busy | set(self._not_before), self._scope())
        if decision.model is None or now >= self.deadline:
            return None
        self.hedges += 1
        return self._begin(question, decision.model, hedge=True)

    def start(self, step: AttemptStep, now: float) -> bool:
        """Before an attempt that had to wait leaves: reserve for it. False: it no longer fits, and has ended."""
        if step.reservation is not None:
            return True
        question = self._question(now, step.pool)
        gone = not self.pipeline.is_up(question, step.model.id) and not step.resting
        if gone or not self._fits(step.model, question) or self.state.model(step.model.id).deactivated is not None:
            self.book.close(step, now)
            self.book.release(step)
            self._tries[step.model.id] -= 1
            self._not_before[step.model.id] = now
            return False
        self.book.reserve(step, question)
        return True

    def _none_now(self, consulted: list[Consulted], now: float) -> AttemptStep | Wait | GiveUp:
        """No model may be asked at this instant: wait for one, ask one that failed again, or give up."""
        standing = self._last_standing(now)
        waits_for = self._soonest(consulted)
        told = {id for id, each in standing.items() if each.told}
        no_room = self._crowd(consulted, told, now)
        if waits_for is not None and (no_room is None or self._not_before[waits_for[1].id] <= now):
            return self._begin(*waits_for)
        if no_room is not None:
            # A refusing model is not tested while another may have room, a failing one not while another will have some
            # soon.
            standing = {id: each for id, each in standing.items() if not each.refuses}
            if no_room.soon:
                return no_room
        for last in sorted(standing.values(), key=lambda each: each.refuses):
            if last.at <= now:
                self._not_before.setdefault(last.model.id, now)
                return self._begin(last.question, last.model)
        if no_room is not None:
            return no_room.no_later_than(_known(standing))
        if standing:
            return self._wait_for(standing).no_later_than(free_at(consulted, self.pipeline, now))
        return self._nothing_left(consulted, now)

    def out_of_patience(self, now: float) -> GiveUp:
        """It has waited long enough for a resting model."""
        consulted = []
        for pool in self.pools:
            question = self._question(now, pool)
            consulted.append(Consulted(question, self.pipeline.decide(question, self._given_up, self._scope())))
        return self._nothing_left(consulted, now)

    def _nothing_left(self, consulted: list[Consulted], now: float) -> GiveUp:
        if self.attempts:
            return GiveUp(self._exhausted(now))
        if self._told_by is not None:
            model, availability = self._told_by
            rests_for = recovery.recovers_in(availability, now)
            return GiveUp(as_another_was_refused(model, self._provider(model), availability, rests_for))
        return GiveUp(none_left(consulted, self.pipeline))

    def _last_standing(self, now: float) -> dict[str, Standing]:
        """No other model can answer: the models whose cause of rest may be over by now, or that used up their
        attempts."""
        scope, found = self._scope(), {}
        self._told_by = None
        for pool in self.pools:
            question = self._question(now, pool)
            for id in self.pipeline.preferred(question):
                model = self.table.models[id]
                if id in found or id in self._given_up or (scope is not None and not scope(model)):
                    continue
                standing = self._tested_from(model, question)
                if standing is not None:
                    found[id] = standing
        return found

    def _wait_for(self, standing: dict[str, Standing]) -> Wait:
        """The wait for one of them, or for the outcome of another request's test."""
        reasons = {
            id: self.pipeline.down_because(each.question, each.model)
            or "it has failed this request, and is asked again soon"
            for id, each in standing.items()
        }
        known = any(self.state.model(id).has_answered for id in standing)
        return Wait(min(_known(standing), default=None), reasons, resting=True, known=known)

    def _tested_from(self, model: ModelSpec, question: Question) -> Standing | None:
        """When this request may test it, even if another is doing so; None: not at all."""
        state, now, once = self.state, question.now, question.pool.retry.max_attempts <= 1
        if not self._may_test(model.id, question.pool) or state.model(model.id).deactivated:
            return None
        if self.table.providers[model.provider].disabled:
            return None
        at = now if self._is_back(model.id, now) else max(self._not_before.get(model.id, now), now)
        told = [] if once else state.rates.rests(question, model)
        believed = once or recovery.has_calendar(question.pool.recovery, self._provider(model))
        refuses = False
        for availability in (*availabilities(state, question.pool.name, model.id, model.provider), *told):
            wait = recovery.tested_in(availability, now)
            if wait is None:
                return None
            if recovery.refuses(availability, now):
                refuses = True
                if (believed and availability.cause == FailureKind.QUOTA) or self._is_told_by(model, availability):
                    return None
            elif availability.standby and availability.cause not in recovery.PASSING and wait > 0:
                return None
            at = max(at, now + wait)
            if recovery.tested_by_another(availability, self.book, now):
                at = max(at, min(availability.tested_at + recovery.LONGEST_TEST, self.deadline - _AT_LAST))
        for stage in self.pipeline.stages:
            if stage.name not in (StateStage.name, LimitStage.name) and stage.objection(model, question) is not None:
                return None
        fits_from = self._fits_from(model, question, resting=once, at_limit=True)
        if fits_from is None:
            return None
        at = max(at, fits_from)
        return None if self.deadline <= at < INDEFINITELY else Standing(model, question, at, refuses, bool(told))

    def _is_told_by(self, model: ModelSpec, availability: Availability) -> bool:
        """Whether another request has just been refused, so that this one need not ask."""
        if model.id in self._failed:
            return False
        if not recovery.refused_since(availability, self.arrived, self.state.model(model.id).answered):
            return False
        self._told_by = model, availability
        return True

    def _may_test(self, model: str, pool: PoolSpec) -> bool:
        """Whether this request may ask it again, if no other model can answer and retries are on: for as long as it may
        wait while no other request is answered, but only a few times if attempts may cost something, or if only this
        request fails there."""
        tries, most = self._tries.get(model, 0), pool.retry.max_attempts
        if tries < max(most, 1):
            return True
        if most <= 1 or self._costly.get(model, 0) >= max(most, LAST_COSTLY):
            return False
        return self._alone.get(model, 0) < max(most, LAST_ATTEMPTS)

    def _is_back(self, model: str, now: float) -> bool:
        """Whether it has been shown to work since it failed this request: no need to back off."""
        failed = self._failed.get(model)
        if failed is None:
            return False
        provider = self.table.models[model].provider
        return any(
            each.recovered_at > failed and not each.standby
            for pool in self.pools
            for each in availabilities(self.state, pool.name, model, provider)
        )

    def _refused(self, consulted: Consulted) -> GiveUp | None:
        """Where `on_budget_exceeded` is `error`: a model that would be asked does not fit a budget."""
        question, decision = consulted
        if question.pool.on_budget_exceeded != "error":
            return None
        for drop in decision.dropped:
            if drop.stage == "budget":
                refusal = refusal_of(question, drop.model, self.pipeline)
                if refusal is not None and refusal.allowance.source == "budget":
                    return GiveUp(over_budget(refusal))
        return None

    def _crowd(self, consulted: list[Consulted], told: Collection[str], now: float) -> Wait | None:
        """If some models, other than those in `told`, are only at a limit: when there may be room."""
        again = {model: ready for model, ready in self._not_before.items() if model not in self._given_up}
        return wait_of(consulted, self.pipeline, again, now, told)

    def line(self, now: float) -> str:
        """Where it waits: behind requests of the same app for the same models."""
        questions = [self._question(now, pool) for pool in self.pools]
        return line_of(questions, self.pipeline, self._given_up, self._not_before, self._scope())

    def _stays_with(self, model: ModelSpec, question: Question) -> bool:
        """Whether to wait for the model that just failed, though others may be free: it is to be asked again, is still
        up, and only the back-off has to pass."""
        if not self._may_be_asked_again(model.id):
            return False
        return self._fits(model, question) and self.pipeline.is_up(question, model.id)

    def _fits(self, model: ModelSpec, question: Question) -> bool:
        return all(stage.objection(model, question) is None for stage in self._ignoring_state)

    def _fits_from(
        self, model: ModelSpec, question: Question, *, resting: bool = True, at_limit: bool = False
    ) -> float | None:
        """As `_fits`, of a model that is to be waited for: from when on (UTC s), where its provider asked, perhaps
        another request, to leave it alone till then; `at_limit`: or where it is at a limit (INDEFINITELY: until another
        request ends). None where it does not fit. resting: see `rates.no_room`."""
        no_room = self.state.rates.no_room(question, model, resting=resting)
        if no_room is not None and not no_room.told and not at_limit:
            return None
        if any(
            stage.objection(model, question) is not None
            for stage in self._ignoring_state
            if stage.name != LimitStage.name
        ):
            return None
        if no_room is None:
            return question.now
        return INDEFINITELY if no_room.frees_in is None else question.now + no_room.frees_in

    def _soonest(self, consulted: list[Consulted]) -> tuple[Question, ModelSpec] | None:
        """No other model is left: the one to wait for among those that failed this request and may be asked again, at
        worst one that its failure put on standby."""
        best: tuple[bool, float] | None = None
        found: tuple[Question, ModelSpec] | None = None
        for question in (each.question for each in consulted):
            for model_id, ready in self._not_before.items():
                model = self.table.models[model_id]
                if (
                    model_id in self._spent
                    or model_id not in question.pool.positions
                    or not self._may_be_asked_again(model_id)
                ):
                    continue
                if self._is_tested(model, question.pool, question.now):
                    continue
                fits_from = self._fits_from(model, question)
                if fits_from is None or fits_from >= self.deadline:
                    continue
                if fits_from > question.now + recovery.LONGEST_KEPT and question.pool.retry.max_attempts > 1:
                    continue
                self._not_before[model_id] = ready = max(ready, fits_from)
                rank = (not self.pipeline.is_up(question, model_id), ready)
                if best is None or rank < best:
                    best, found = rank, (question, model)
        return found

    def _may_be_asked_again(self, model: str) -> bool:
        return (
            model in self._not_before
            and model not in self._given_up
            and self._not_before[model] < self.deadline
            and self.state.model(model).deactivated is None
        )

    def _is_tested(self, model: ModelSpec, pool: PoolSpec, now: float) -> bool:
        """Whether another request tests it."""
        return any(
            recovery.tested_by_another(availability, self.book, now)
            for availability in availabilities(self.state, pool.name, model.id, model.provider)
        )

    def _scope(self) -> Callable[[ModelSpec], bool] | None:
        first = self._first
        if first is None or self.pool.retry.scope == "any":
            return None
        if self.pool.retry.scope == "same_model":
            return lambda model: model.id == first.id
        return lambda model: model.provider == first.provider

    def _question(self, now: float, pool: PoolSpec | None = None) -> Question:
        return Question(self.table, pool or self.pool, self.needs, now, self.requester)

    def _begin(self, question: Question, model: ModelSpec, hedge: bool = False) -> AttemptStep:
        wait = max(self._not_before.pop(model.id, question.now) - question.now, 0.0)
        before = self.pipeline.take(question, model)
        if self._last is not None and not hedge:
            if self._last.id == model.id:
                self.retries += 1
            else:
                self.rotations += 1
        self._first = self._first or model
        self._last = model
        self.pool = question.pool
        self._tries[model.id] = self._tries.get(model.id, 0) + 1
        return self.book.begin(question, model, wait, before, hedge)

    # -- how it went ----------------------------------------------------------------------------------

    def succeeded(
        self,
        now: float,
        duration: float,
        status: int = 200,
        *,
        step: AttemptStep | None = None,
        usage: Usage = NOTHING,
        limits: RateLimits | None = None,
    ) -> None:
        """step: which of the attempts in flight, None: the only one."""
        step = step or self.book.only()
        self.book.close(step, now, usage, limits, billed=True)
        self.book.note(step, True, "", "", status, duration)
        features.note_answer(self.state, step.model.id, self.needs)
        self.state.rates.answered(step.ticket)
        self.changes += failures.record_success(
            self.state, step.pool, step.model, self._provider(step.model), now, step.tests
        )
        self.book.release(step)

    def failed(
        self,
        failure: ProviderFailure,
        now: float,
        duration: float,
        *,
        step: AttemptStep | None = None,
        usage: Usage = NOTHING,
        begun: bool = False,
    ) -> Verdict:
        """Note the failure; the verdict on it (RETRY may still become a rotation in `next`). begun: the app has part of
        the answer already, which another model is to continue at once."""
        step = step or self.book.only()
        longer = bound_wait(failure, step.pool.retry, step.pool.recovery)
        left = not (failure.kind is FailureKind.LOCAL and failure.unsent)
        self.book.close(step, now, usage, failure.limits, sent=not failure.unsent, left=left)
        model, provider = step.model, self._provider(step.model)
        self._failure, self._stays = failure, False
        if failure.kind is FailureKind.LOCAL:
            return self._lacked(step, failure, now, duration)
        self._lacks = 0
        alone = self._failed.get(model.id, now - duration) < self.state.model(model.id).answered_at
        self._alone[model.id] = self._alone.get(model.id, 0) + alone
        self._failed[model.id] = now
        self._costly[model.id] = self._costly.get(model.id, 0) + (step.usage != NOTHING)
        self.book.note(step, False, failure.kind, failure.message, failure.status, duration)
        if failure.refused:
            features.note_refusal(self.state, model.id, self.needs, failure.refused, now)
        usable, untried = self._another_key(step, failure, now)
        if untried:
            self.book.release(step)
            self._tries[model.id] -= 1
            self._not_before[model.id] = now
            return Verdict.RETRY
        surprising = is_refusal(failure) and self._note_refusal(model, now, now - duration)
        last_key = not usable and step.ticket is not None and bool(step.ticket.key) and failure.kind in _REFUSED
        self.changes += failures.record_failure(
            self.state, step.pool, model, provider, failure, now, self.book,
            last_key=last_key, timezone=self.table.timezone, began=now - duration,
        )  # fmt: skip
        for availability in step.tests:
            recovery.test_failed(availability, now, failure.kind)
        self.book.release(step)
        if failure.retry_after and failure.kind in _PASSES and step.ticket is not None:
            self.state.rates.leave_alone(step.ticket, now, failure.retry_after, failure.message, longer)
        verdict = classify(failure, step.pool.retry, provider)
        if verdict is Verdict.FATAL:
            self._fatal = True
        elif verdict is Verdict.RETRY and self._tries[model.id] < step.pool.retry.max_attempts:
            told_to_wait = step.pool.retry.honor_retry_after and (failure.retry_after or 0.0) > 0.0
            self._stays = not (begun or told_to_wait or failure.kind is FailureKind.CONNECTION)
            self._not_before[model.id] = now + self._back_off(failure, step)
        elif not begun and self._may_pass(failure, verdict, step, surprising) and self._may_test(model.id, step.pool):
            self._spent.add(model.id)
            self._not_before[model.id] = now + self._pause(failure, step)
        else:
            self._given_up.add(model.id)
            self._not_before[model.id] = now + (failure.retry_after or 0.0)
        return verdict

    def _lacked(self, step: AttemptStep, failure: ProviderFailure, now: float, duration: float) -> Verdict:
        """Not the model's fault, and not counted as an attempt: again soon, for as long as others wait in the queue."""
        model = step.model.id
        self._lacks_since = self._lacks_since if self._lacks else now
        if not self._lacks:
            self.book.note(step, False, failure.kind, failure.message, failure.status, duration)
        self._lacks += 1
        self.book.release(step)
        if failure.unsent:
            self._tries[model] -= 1
        wait = min(LACK_FIRST * 2.0 ** min(self._lacks - 1, 8), LACK_LONGEST) * (0.5 + self._random() / 2)
        self._not_before[model] = now + wait
        if now + wait - self._lacks_since >= LACK_PATIENCE or not self._may_test(model, step.pool):
            self._given_up.add(model)
        return Verdict.RETRY

    def cancelled(
        self,
        now: float,
        duration: float = 0.0,
        *,
        step: AttemptStep | None = None,
        usage: Usage = NOTHING,
        sent: bool = True,
    ) -> None:
        """The attempt in flight ended without a verdict, as the app went away. sent: it may have cost something."""
        self._end_blameless(step, FailureKind.CANCELLED, "cancelled", 499, now, duration, usage, sent)
        self._failure, self._fatal = ProviderFailure(FailureKind.CANCELLED, "cancelled"), True

    def lost(
        self, now: float, duration: float, *, step: AttemptStep | None = None, usage: Usage = NOTHING, sent: bool = True
    ) -> None:
        """Another attempt of this request answered first."""
        why = "another model answered first"
        self._end_blameless(step, FailureKind.CANCELLED, why, 499, now, duration, usage, sent)

    def ran_out(
        self, now: float, duration: float, *, step: AttemptStep | None = None, usage: Usage = NOTHING, sent: bool = True
    ) -> None:
        """The request's own deadline ended the attempt in flight. A short deadline must not take a model from others
        that it answers in time."""
        why = "the request's own deadline passed"
        step = step or self.book.only()
        self.changes += failures.record_overdue(self.state, step.pool, step.model, duration, now, self.book)
        self._end_blameless(step, FailureKind.TIMEOUT, why, 0, now, duration, usage, sent)
        self._late = True

    def _end_blameless(
        self,
        step: AttemptStep | None,
        kind: FailureKind,
        message: str,
        status: int,
        now: float,
        duration: float,
        usage: Usage,
        sent: bool,
    ) -> None:
        step = step or self.book.only()
        self.book.close(step, now, usage, sent=sent)
        self.book.release(step)
        self.book.note(step, False, kind, message, status, duration)

    def _another_key(self, step: AttemptStep, failure: ProviderFailure, now: float) -> tuple[bool, bool]:
        """Whether the key was refused and the provider has another usable one; and whether this request has not yet
        been refused with so many keys that it would repeat them."""
        ticket = step.ticket
        if ticket is None or not ticket.key or failure.kind not in _OF_A_KEY:
            return False, False
        policy, provider = step.pool.recovery, step.model.provider
        rest = policy.max_cooldown if failure.kind in _REFUSED else failure.retry_after or policy.cooldown
        told = failure.retry_after or 0.0 if step.pool.retry.honor_retry_after else 0.0
        usable = self.state.rates.key_refused(ticket, failure.message, failure.kind, now, rest, told)
        refused = self._refused_keys.setdefault(provider, set())
        again = ticket.key in refused
        refused.add(ticket.key)
        return usable, usable and not again and len(refused) < len(self.table.providers[provider].keys)

    def _note_refusal(self, model: ModelSpec, now: float, began: float) -> bool:
        """Note the refusal; whether it is a surprise, as the model has answered since it last refused."""
        known = self.state.model(model.id)
        self._refusals[model.id] = self._refusals.get(model.id, 0) + 1
        before, known.refused_at = known.refused_at, now
        return known.answered and (known.answered_at > before or began < before - _MOMENT)

    def _may_pass(self, failure: ProviderFailure, verdict: Verdict, step: AttemptStep, surprising: bool) -> bool:
        """Whether waiting may help. A conflict concerns what the request is about, and is passed on. A refusal is tried
        again if it is a surprise, or if its status says that another attempt may succeed, as long as that is plausible.
        """
        if verdict is Verdict.RETRY:
            return failure.status != 409
        if not is_refusal(failure) or is_final(failure, step.pool.retry, self._provider(step.model)):
            return False
        refusals = self._refusals[step.model.id]
        if not asks_for_another(failure.status):
            return refusals < LAST_SURPRISES and surprising
        question = self._question(self._failed[step.model.id], step.pool)
        policy = step.pool.recovery
        if failure.kind is FailureKind.QUOTA and recovery.has_calendar(policy, self._provider(step.model)):
            return False
        since = min(
            each.since if recovery.refuses(each, question.now) else question.now
            for each in availabilities(self.state, step.pool.name, step.model.id, step.model.provider)
        )
        return refusals < LAST_REFUSALS and question.now < since + policy.cooldown

    def _pause(self, failure: ProviderFailure, step: AttemptStep) -> float:
        """Seconds until this request asks the last model standing again: as often as a resting model if asking costs
        nothing."""
        policy = step.pool.retry
        pause = max(self._back_off(failure, step), recovery.FIRST_RETRY)
        if step.usage != NOTHING:
            return pause
        told = failure.retry_after or 0.0 if policy.honor_retry_after else 0.0
        return max(min(pause, recovery.LONGEST_RETRY), told if told <= recovery.LONGEST_KEPT else 0.0)

    def _back_off(self, failure: ProviderFailure, step: AttemptStep) -> float:
        """A long pause that the provider asks for is kept in the state instead."""
        policy = step.pool.retry
        if (failure.retry_after or 0.0) > recovery.LONGEST_KEPT:
            policy = replace(policy, honor_retry_after=False)
        return delay(failure, policy, self._tries[step.model.id], self._random)

    def _provider(self, model: ModelSpec) -> ProviderSpec:
        return self.table.providers[model.provider]

    # -- with what error it ends ----------------------------------------------------------------------

    def _lacking(self) -> MeshError | None:
        """The error, if this machine's own shortage ended it."""
        if self._failure is None or self._failure.kind is not FailureKind.LOCAL:
            return None
        return lacking(self._failure, self.book.as_maps())

    def _timed_out(self) -> MeshError:
        tried = listed((attempt.model, attempt.message or attempt.reason or "ok") for attempt in self.attempts)
        return RequestTimeoutError(
            told("No answer came before the request's deadline; ask again, or give it a longer timeout.", *tried),
            attempts=self.book.as_maps(),
        )

    def _exhausted(self, now: float) -> MeshError:
        failure = self._failure
        assert failure is not None, "nothing failed"
        if failure.kind is FailureKind.CANCELLED:
            return RequestCancelledError("The request was cancelled.", attempts=self.book.as_maps())
        lack = self._lacking()
        if lack is not None:
            return lack
        # If one was only down, the request itself may be valid.
        if self._fatal or all(attempt.reason in THE_APPS_OWN or attempt.status == 409 for attempt in self.attempts):
            last = self.attempts[-1]
            lost = failure.status == 404 and self.state.provider(last.provider).answering == "nothing"
            if lost and failure.kind is FailureKind.UNSUPPORTED:
                return nothing_there(failure, last, self.book.as_maps())
            return passed_on(failure, self.book.as_maps())
        if len(self._tries) == 1:
            rests_for = self._soonest_of_the_tried(now) if failure.kind is FailureKind.QUOTA else None
            last = self.attempts[-1]
            return of_one_provider(failure, last, self.table.providers[last.provider], self.book.as_maps(), rests_for)
        reasons = listed((attempt.model, attempt.message) for attempt in self.attempts)
        soonest = self._soonest_of_the_tried(now)
        when = "ask again later" if soonest is None else f"ask again in {format_duration(max(soonest, 1.0))}"
        return AllProvidersExhaustedError(
            told(f"Every model of {short(self.pools[0].name)} that could be asked failed; {when}.", *reasons),
            attempts=self.book.as_maps(),
            retry_after=soonest,
        )

    def _soonest_of_the_tried(self, now: float) -> float | None:
        """Seconds until the first of them may be asked again; None if none says so."""
        question, waits = self._question(now), []
        for model in self._tries:
            recovers = self.pipeline.soonest_recovery(question, [model])
            if recovers is not None:
                waits.append(max(recovers, self._not_before.get(model, now) - now))
        soonest = min(waits, default=0.0)
        if not soonest and any(not self.pipeline.is_up(question, model) for model in self._tries):
            return _SOON if waits else None
        return soonest or None


def _known(standing: dict[str, Standing]) -> list[float]:
    """The times (UTC s) that are known of those at which they may be tested."""
    return [each.at for each in standing.values() if each.at < INDEFINITELY]


LACK_FIRST, LACK_LONGEST = 0.2, 1.0
"""Seconds between attempts that this machine cannot send: doubled from the first up to the longest."""
LACK_PATIENCE = 30.0
"""Seconds that a request waits for a shortage of this machine to end, as for a place in the queue."""
LAST_ATTEMPTS = 8
"""Failed attempts of one request at one model that answers others meanwhile, if no other can answer and
`retry.max_attempts` allows more than one."""
LAST_COSTLY = 6
"""Such attempts that may have cost something, whether others are answered or not."""
LAST_REFUSALS = 4
"""Refused attempts of one request whose status says that another may succeed: one more than the OpenAI SDK makes by
itself."""
LAST_SURPRISES = 2
"""Attempts of one request at a model that answered just before and now refuses."""
_MOMENT = 0.001  # s: an attempt that overlaps another's refusal by less did not overlap it
_AT_LAST = 1.0  # s before its deadline, a request tests beside a slow test
_SOON = 1.0  # s: a resting model may be tested at any moment
_REFUSED = frozenset({FailureKind.AUTHENTICATION, FailureKind.PERMISSION})
_PASSES = frozenset({FailureKind.RATE_LIMIT, FailureKind.SERVER})
"""Kinds of failure that a provider says will be over after its Retry-After."""
_OF_A_KEY = _REFUSED | {FailureKind.RATE_LIMIT, FailureKind.QUOTA}
