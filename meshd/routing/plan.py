"""One request's way through its attempts: which model next, when, and with what error it ends.

Owns: the state machine of a request (`RequestPlan`). It is told how each attempt went and says what to do.
Must never: wait, send or read a clock; `gateway/inference.py` does what it says.

Invariants: an attempt that began is always closed by succeeded, failed or cancelled; a probation place taken
is always given back; the number of attempts at one model never exceeds `retry.max_attempts`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from meshd.cdk.provider import FailureKind, ProviderFailure
from meshd.messages import Attempt
from meshd.routing import deactivation, recovery
from meshd.routing.needs import Needs
from meshd.routing.pipeline import Decision, Pipeline, able, soonest_recovery
from meshd.routing.retry import Verdict, classify, delay
from meshd.routing.stages import Question
from meshd.routing.state import Change, MeshState, availabilities
from meshd.routing.table import ModelSpec, PoolSpec, ProviderSpec, RoutingTable
from modelmesh._errors import (
    AllProvidersExhaustedError,
    AuthenticationError,
    InvalidRequestError,
    MeshError,
    NoActiveModelError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestTimeoutError,
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
        self._pending: tuple[ModelSpec, float] | None = None  # (model to try again, not before)
        self._first: ModelSpec | None = None
        self._last: ModelSpec | None = None
        self._failure: ProviderFailure | None = None
        self._fatal = False

    # -- what to do next ------------------------------------------------------------------------------

    def next(self, now: float) -> Try | GiveUp:
        """The next step. Every `Try` has to be answered by succeeded, failed or cancelled."""
        if self._fatal:
            return GiveUp(self._exhausted())
        if now >= self.deadline:
            return GiveUp(self._timed_out())
        question = self._question(now)
        again = self._pending
        if again is not None and self._better_wait(question, again, now):
            return self._begin(question, again[0], again[1] - now)
        decision = self.pipeline.decide(question, self._given_up | self._waiting(), self._scope())
        if decision.model is not None:
            return self._begin(question, decision.model, 0.0)
        if again is not None and again[1] < self.deadline and self._allowed_by_hand(again[0]):
            # Nobody else is left: the same model again, even if its own failure just put it on standby.
            return self._begin(question, again[0], again[1] - now)
        return GiveUp(self._exhausted() if self.attempts else nobody(question, decision))

    def _better_wait(self, question: Question, again: tuple[ModelSpec, float], now: float) -> bool:
        """Whether to stay with the model that just failed: it is still up, and asked to wait no longer than
        a back-off, or no other model could answer sooner."""
        model, ready = again
        if ready >= self.deadline:
            return False
        down = any(
            recovery.objection(availability, now) is not None
            for availability in availabilities(self.state, self.pool.name, model.id, model.provider)
        )
        if down or not self._allowed_by_hand(model):
            return False
        failure = self._failure
        # It told us to stay away, or cannot be reached: another model, if there is one, is sooner.
        impatient = failure is not None and (
            failure.kind is FailureKind.CONNECTION or (failure.retry_after or 0.0) > 0.0
        )
        if not impatient:
            return True
        other = self.pipeline.decide(question, self._given_up | {model.id}, self._scope())
        return other.model is None

    def _waiting(self) -> set[str]:
        return {self._pending[0].id} if self._pending else set()

    def _allowed_by_hand(self, model: ModelSpec) -> bool:
        return self.state.model(model.id).deactivated is None

    def _scope(self) -> Callable[[ModelSpec], bool] | None:
        first = self._first
        if first is None or self.pool.retry.scope == "any":
            return None
        if self.pool.retry.scope == "same_model":
            return lambda model: model.id == first.id
        return lambda model: model.provider == first.provider

    def _question(self, now: float) -> Question:
        return Question(self.table, self.state, self.pool, self.needs, now)

    def _begin(self, question: Question, model: ModelSpec, wait: float) -> Try:
        before = self.pipeline.take(question, model)
        if self._last is not None:
            if self._last.id == model.id:
                self.retries += 1
            else:
                self.rotations += 1
        self._pending = None
        self._first = self._first or model
        self._last = model
        self._tries[model.id] = self._tries.get(model.id, 0) + 1
        for availability in availabilities(self.state, self.pool.name, model.id, model.provider):
            recovery.begin_probation(availability)
        known, provider = self.state.model(model.id), self.state.provider(model.provider)
        known.in_flight += 1
        provider.in_flight += 1
        return Try(model, max(wait, 0.0), before)

    # -- how it went ----------------------------------------------------------------------------------

    def succeeded(self, now: float, duration: float, status: int = 200) -> None:
        model = self._close()
        self.attempts.append(Attempt(model.id, model.provider, True, status=status, duration=duration))
        self.changes += deactivation.record_success(self.state, self.pool, model, self._provider(model), now)

    def failed(self, failure: ProviderFailure, now: float, duration: float) -> Verdict:
        """Note the failure; the verdict on it (RETRY may still become a rotation in `next`)."""
        model = self._close()
        provider = self._provider(model)
        self._failure = failure
        self.attempts.append(
            Attempt(model.id, model.provider, False, failure.kind, failure.message, failure.status, duration)
        )
        self.changes += deactivation.record_failure(self.state, self.pool, model, provider, failure, now)
        self._abandon(model)
        verdict = classify(failure, self.pool.retry, provider)
        if verdict is Verdict.FATAL:
            self._fatal = True
        elif verdict is Verdict.RETRY and self._tries[model.id] < self.pool.retry.max_attempts:
            wait = delay(failure, self.pool.retry, self._tries[model.id], self._random)
            self._pending = (model, now + wait)
        else:
            self._given_up.add(model.id)
        return verdict

    def cancelled(self, duration: float = 0.0) -> None:
        """The attempt in flight ended without a verdict: the app went away, or the deadline passed."""
        model = self._close()
        self._abandon(model)
        self.attempts.append(
            Attempt(model.id, model.provider, False, FailureKind.CANCELLED, "cancelled", 499, duration)
        )

    def _close(self) -> ModelSpec:
        model = self._last
        assert model is not None, "no attempt was begun"
        self.state.model(model.id).in_flight -= 1
        self.state.provider(model.provider).in_flight -= 1
        return model

    def _abandon(self, model: ModelSpec) -> None:
        for availability in availabilities(self.state, self.pool.name, model.id, model.provider):
            recovery.abandon_probation(availability)

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

    def _exhausted(self) -> MeshError:
        failure = self._failure
        assert failure is not None, "nothing failed"
        if failure.kind in _THE_APPS_OWN:
            return _passed_on(failure, self.attempt_maps())
        tried = {attempt.model for attempt in self.attempts}
        if len(tried) == 1:
            return _of_one_provider(failure, self.attempts[-1], self.attempt_maps())
        reasons = "; ".join(f"{attempt.model}: {attempt.message}" for attempt in self.attempts)
        return AllProvidersExhaustedError(
            f"every model of {self.pool.name} that could be asked failed: {reasons}",
            attempts=self.attempt_maps(),
            retry_after=soonest_recovery(self._question(self.deadline)) if failure.retry_after is None
            else failure.retry_after,
        )


def nobody(question: Question, decision: Decision) -> MeshError:
    """The error of a request that no model can be asked: which could, or when one will."""
    reasons = decision.reasons()
    listed = "; ".join(f"{model}: {reason}" for model, reason in reasons.items())
    if decision.impossible:
        could = able(question)
        hint = f"; {', '.join(could)} could" if could else ""
        return InvalidRequestError(
            f"no model of {question.pool.name} can do this: {listed}{hint}",
            code="model_cannot",
            reasons=reasons,
            could=could,
        )
    recovers = soonest_recovery(question)
    when = f"; the soonest comes back in {recovers:.0f} s" if recovers is not None else ""
    return NoActiveModelError(
        f"no model of {question.pool.name} can be asked now: {listed or 'it has none'}{when}",
        retry_after=recovers,
        pool=question.pool.name,
        reasons=reasons,
        recovers_in=recovers,
    )


_THE_APPS_OWN = frozenset(
    {FailureKind.INVALID_REQUEST, FailureKind.UNSUPPORTED, FailureKind.CONTEXT_LENGTH, FailureKind.MODEL_NOT_FOUND}
)

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
    except (ValueError, KeyError, AttributeError):
        own = {}
    cls = InvalidRequestError
    return cls(
        str(own.get("message") or failure.message),
        status_code=failure.status or 400,
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
