"""One request's way through its attempts: which model next, when, and with what error it ends.

Owns: the state machine of a request (`RequestPlan`). It is told how each attempt went and says what to do.
Must never: wait, send or read a clock; `gateway/inference.py` does what it says.

Invariants: an attempt that began is always closed by succeeded, failed or cancelled; a probation place taken
is always given back; the number of attempts at one model never exceeds `retry.max_attempts`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from meshd.cdk.provider import FailureKind, ProviderFailure
from meshd.messages import Attempt
from meshd.routing import deactivation, recovery
from meshd.routing.needs import Needs
from meshd.routing.pipeline import Decision, Pipeline, able, soonest_recovery
from meshd.routing.retry import Verdict, classify, delay
from meshd.routing.stages import STANDARD_STAGES, Question, Stage, StateStage
from meshd.routing.state import Change, MeshState, availabilities
from meshd.routing.table import ModelSpec, PoolSpec, ProviderSpec, RoutingTable
from modelmesh._errors import (
    AllProvidersExhaustedError,
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    MeshError,
    NoActiveModelError,
    NotFoundError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestCancelledError,
    RequestTimeoutError,
    UnprocessableEntityError,
)


@dataclass(slots=True)
class Try:
    """Ask `model` after `wait` seconds. rotated_from: the model the pool leaves by this."""

    model: ModelSpec
    wait: float = 0.0
    rotated_from: str | None = None


@dataclass(slots=True)
class GiveUp:
    error: MeshError


class RequestPlan:
    """next → (the attempt is made) → succeeded | failed | cancelled → next → …

    deadline: UTC seconds. random: uniform in [0, 1). `changes` collects what attempts did to availability.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        table: RoutingTable,
        state: MeshState,
        pool: PoolSpec,
        needs: Needs,
        deadline: float,
        random: Callable[[], float],
        now: float,
    ) -> None:
        self.pipeline = pipeline
        self.table = table
        self.state = state
        self.pool = pool
        self.needs = needs
        limit = pool.retry.deadline
        self.deadline = deadline if limit is None else min(deadline, now + limit)
        self.attempts: list[Attempt] = []
        self.changes: list[Change] = []
        self.rotations = 0
        self.retries = 0
        self._random = random
        self._tries: dict[str, int] = {}
        self._given_up: set[str] = set()
        self._not_before: dict[str, float] = {}  # model that failed → when it may be asked again
        self._first: ModelSpec | None = None
        self._last: ModelSpec | None = None
        self._open: ModelSpec | None = None  # the attempt under way
        self._failure: ProviderFailure | None = None
        self._fatal = False
        self._late = False  # the request's deadline ended an attempt

    # -- what to do next ------------------------------------------------------------------------------

    def next(self, now: float) -> Try | GiveUp:
        """The next step. Every `Try` has to be answered by succeeded, failed or cancelled."""
        if self._fatal:
            return GiveUp(self._exhausted(now))
        if self._late or now >= self.deadline:
            return GiveUp(self._timed_out())
        question = self._question(now)
        last = self._last
        if last is not None and self._stays_with(last, question):
            return self._begin(question, last)
        resting = {model for model, ready in self._not_before.items() if ready > now}
        decision = self.pipeline.decide(question, self._given_up | resting, self._scope())
        if decision.model is not None:
            return self._begin(question, decision.model)
        waits_for = self._soonest(question)
        if waits_for is not None:
            return self._begin(question, waits_for)
        if self.attempts:
            return GiveUp(self._exhausted(now))
        return GiveUp(nobody(question, decision, self.pipeline.stages))

    def _stays_with(self, model: ModelSpec, question: Question) -> bool:
        """Whether to wait for the model that just failed, though others may be free: it is to be asked again, is
        still up, and a back-off is all there is to wait for."""
        failure = self._failure
        if failure is None or not self._may_be_asked_again(model.id):
            return False
        told_to_wait = self.pool.retry.honor_retry_after and (failure.retry_after or 0.0) > 0.0
        if told_to_wait or failure.kind is FailureKind.CONNECTION:
            return False
        return _STATE.objection(model, question) is None

    def _soonest(self, question: Question) -> ModelSpec | None:
        """Nobody else is left: of the models that failed this request and may be asked again the one to wait for,
        at worst one that its failure put on standby."""
        best: tuple[bool, float] | None = None
        found: ModelSpec | None = None
        for model_id, ready in self._not_before.items():
            model = self.table.models[model_id]
            if not self._may_be_asked_again(model_id) or self._is_tested(model, max(ready, question.now)):
                continue
            rank = (_STATE.objection(model, question) is not None, ready)
            if best is None or rank < best:
                best, found = rank, model
        return found

    def _may_be_asked_again(self, model: str) -> bool:
        return (
            model in self._not_before
            and model not in self._given_up
            and self._not_before[model] < self.deadline
            and self.state.model(model).deactivated is None
        )

    def _is_tested(self, model: ModelSpec, at: float) -> bool:
        """Whether it is on probation then, with another request in the one place."""
        return any(
            availability.standby and availability.until <= at and availability.tester is not None
            for availability in availabilities(self.state, self.pool.name, model.id, model.provider)
        )

    def _scope(self) -> Callable[[ModelSpec], bool] | None:
        first = self._first
        if first is None or self.pool.retry.scope == "any":
            return None
        if self.pool.retry.scope == "same_model":
            return lambda model: model.id == first.id
        return lambda model: model.provider == first.provider

    def _question(self, now: float) -> Question:
        return Question(self.table, self.state, self.pool, self.needs, now)

    def _begin(self, question: Question, model: ModelSpec) -> Try:
        assert self._open is None, "the last attempt was not closed"
        wait = self._not_before.pop(model.id, question.now) - question.now
        before = self.pipeline.take(question, model)
        if self._last is not None:
            if self._last.id == model.id:
                self.retries += 1
            else:
                self.rotations += 1
        self._first = self._first or model
        self._last = self._open = model
        self._tries[model.id] = self._tries.get(model.id, 0) + 1
        for availability in availabilities(self.state, self.pool.name, model.id, model.provider):
            recovery.begin_probation(availability, self)
        known, provider = self.state.model(model.id), self.state.provider(model.provider)
        known.in_flight += 1
        provider.in_flight += 1
        return Try(model, max(wait, 0.0), before)

    # -- how it went ----------------------------------------------------------------------------------

    def succeeded(self, now: float, duration: float, status: int = 200) -> None:
        model = self._close()
        self.attempts.append(Attempt(model.id, model.provider, True, status=status, duration=duration))
        self.changes += deactivation.record_success(self.state, self.pool, model, self._provider(model), now)
        self._release(model)

    def failed(self, failure: ProviderFailure, now: float, duration: float) -> Verdict:
        """Note the failure; the verdict on it (RETRY may still become a rotation in `next`)."""
        model = self._close()
        provider = self._provider(model)
        self._failure = failure
        self.attempts.append(
            Attempt(model.id, model.provider, False, failure.kind, failure.message, failure.status, duration)
        )
        self.changes += deactivation.record_failure(self.state, self.pool, model, provider, failure, now, self)
        self._release(model)
        verdict = classify(failure, self.pool.retry, provider)
        if verdict is Verdict.FATAL:
            self._fatal = True
        elif verdict is Verdict.RETRY and self._tries[model.id] < self.pool.retry.max_attempts:
            self._not_before[model.id] = now + delay(failure, self.pool.retry, self._tries[model.id], self._random)
        else:
            self._given_up.add(model.id)
            self._not_before[model.id] = now + (failure.retry_after or 0.0)
        return verdict

    def cancelled(self, duration: float = 0.0) -> None:
        """The attempt in flight ended without a verdict: the app went away."""
        self._end_blameless(FailureKind.CANCELLED, "cancelled", 499, duration)
        self._failure, self._fatal = ProviderFailure(FailureKind.CANCELLED, "cancelled"), True

    def ran_out(self, duration: float) -> None:
        """The request's own deadline ended the attempt in flight. An app in a hurry must not cost others a model
        that answers everybody else in time."""
        self._end_blameless(FailureKind.TIMEOUT, "the request's own deadline passed", 0, duration)
        self._late = True

    def _end_blameless(self, kind: FailureKind, message: str, status: int, duration: float) -> None:
        model = self._close()
        self._release(model)
        self.attempts.append(Attempt(model.id, model.provider, False, kind, message, status, duration))

    def _close(self) -> ModelSpec:
        model = self._open
        assert model is not None, "no attempt is under way"
        self._open = None
        self.state.model(model.id).in_flight -= 1
        self.state.provider(model.provider).in_flight -= 1
        return model

    def _release(self, model: ModelSpec) -> None:
        for availability in availabilities(self.state, self.pool.name, model.id, model.provider):
            recovery.end_probation(availability, self)

    def _provider(self, model: ModelSpec) -> ProviderSpec:
        return self.table.providers[model.provider]

    # -- with what error it ends ----------------------------------------------------------------------

    def attempt_maps(self) -> list[dict[str, Any]]:
        """The attempts as errors and answers tell them."""
        return [
            {
                "model": attempt.model,
                "provider": attempt.provider,
                "status": attempt.status,
                "reason": attempt.reason,
                "message": attempt.message,
                "duration": round(attempt.duration, 6),
            }
            for attempt in self.attempts
        ]

    def _timed_out(self) -> MeshError:
        tried = ", ".join(f"{attempt.model} ({attempt.reason or 'ok'})" for attempt in self.attempts)
        return RequestTimeoutError(
            f"no answer before the request's deadline; tried: {tried or 'nothing yet'}", attempts=self.attempt_maps()
        )

    def _exhausted(self, now: float) -> MeshError:
        failure = self._failure
        assert failure is not None, "nothing failed"
        if failure.kind is FailureKind.CANCELLED:
            return RequestCancelledError("cancelled", attempts=self.attempt_maps())
        # Where one was only down, the request may be all right.
        if self._fatal or all(attempt.reason in _THE_APPS_OWN for attempt in self.attempts):
            return _passed_on(failure, self.attempt_maps())
        if len(self._tries) == 1:
            return _of_one_provider(failure, self.attempts[-1], self.attempt_maps())
        reasons = _listed((attempt.model, attempt.message) for attempt in self.attempts)
        return AllProvidersExhaustedError(
            f"every model of {self.pool.name} that could be asked failed: {reasons}",
            attempts=self.attempt_maps(),
            retry_after=self._soonest_of_the_tried(now),
        )

    def _soonest_of_the_tried(self, now: float) -> float | None:
        """Seconds until the first of them wants to be asked again; None where none says so."""
        question, waits = self._question(now), []
        for model in self._tries:
            recovers = soonest_recovery(question, [model])
            if recovers is not None:
                waits.append(max(recovers, self._not_before[model] - now))
        return min(waits, default=0.0) or None


def nobody(question: Question, decision: Decision, stages: Collection[Stage] = STANDARD_STAGES) -> MeshError:
    """The error of a request that no model can be asked: which could, or when one will."""
    reasons = decision.reasons()
    listed = _listed(reasons.items())
    if decision.impossible:
        could = able(question, stages)
        hint = f"; {', '.join(could)} could" if could else ""
        return InvalidRequestError(
            f"no model of {question.pool.name} can do this: {listed}{hint}",
            code="model_cannot",
            reasons=reasons,
            could=could,
        )
    # Those that could never do it are no hope, however well they are.
    recovers = soonest_recovery(question, [drop.model for drop in decision.dropped if not drop.permanent])
    when = ""
    if recovers is not None:
        when = f"; the soonest comes back in {recovers:.0f} s" if recovers else "; the first is being tested now"
    return NoActiveModelError(
        f"no model of {question.pool.name} can be asked now: {listed or 'it has none'}{when}",
        retry_after=None if recovers is None else max(recovers, _TEST_TAKES),
        pool=question.pool.name,
        reasons=reasons,
        recovers_in=recovers,
    )


def _listed(reasons: Iterable[tuple[str, str]]) -> str:
    """For a message: a pool may have thousands of models, and nobody reads on after the first few."""
    all_of_them = [f"{model}: {reason}" for model, reason in reasons]
    more = f"; and {len(all_of_them) - 10} more" if len(all_of_them) > 10 else ""
    return "; ".join(all_of_them[:10]) + more


_STATE = StateStage()
_TEST_TAKES = 1.0  # s: what to wait for a model that another request is testing, at least

_THE_APPS_OWN = frozenset(
    {FailureKind.INVALID_REQUEST, FailureKind.UNSUPPORTED, FailureKind.CONTEXT_LENGTH, FailureKind.MODEL_NOT_FOUND}
)

_BY_STATUS: dict[int, type[InvalidRequestError]] = {
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
}

_CLASSES: dict[FailureKind, type[ProviderError]] = {
    FailureKind.AUTHENTICATION: AuthenticationError,
    FailureKind.PERMISSION: PermissionDeniedError,
    FailureKind.RATE_LIMIT: RateLimitError,
    FailureKind.QUOTA: RateLimitError,
    FailureKind.TIMEOUT: ProviderTimeoutError,
    FailureKind.CONNECTION: ProviderConnectionError,
}


def _passed_on(failure: ProviderFailure, attempts: list[dict[str, Any]]) -> MeshError:
    """The provider's own 4xx, as it is: its status, and its error object where it sent one."""
    own: dict[str, Any] = {}
    try:
        parsed = json.loads(failure.body)
        own = parsed["error"] if isinstance(parsed.get("error"), dict) else parsed
    except (ValueError, AttributeError, RecursionError):
        own = {}
    # An error inside a 200 has that for its status, and is none the less an error.
    status = failure.status if 400 <= failure.status < 500 else 400
    cls = _BY_STATUS.get(status, InvalidRequestError)
    return cls(
        str(own.get("message") or failure.message),
        status_code=status,
        code=own.get("code") or str(failure.kind),
        type=own.get("type"),
        param=own.get("param"),
        attempts=attempts,
    )


def _of_one_provider(failure: ProviderFailure, attempt: Attempt, attempts: list[dict[str, Any]]) -> MeshError:
    cls = _CLASSES.get(failure.kind, ProviderError)
    retryable = failure.kind in (FailureKind.SERVER, FailureKind.BAD_ANSWER, FailureKind.STREAM_CUT)
    tries = f" ({len(attempts)} attempts)" if len(attempts) > 1 else ""
    return cls(
        f"{attempt.provider}, asked for {attempt.model}: {failure.message}{tries}",
        retryable=retryable or cls.retryable_by_default,
        retry_after=failure.retry_after,
        attempts=attempts,
    )
