"""How the attempts of one request went, and what follows for the models that were asked.

Invariants: an attempt that began is always closed by succeeded, failed, cancelled, lost or ran_out; what it took is
settled then, and a probation place that it took given back.
"""

from __future__ import annotations

from msgspec.structs import replace

from meshd.routing.attempts.course import Course
from meshd.routing.attempts.retry import Verdict, asks_for_another, delay, is_final, is_refusal, verdict_on
from meshd.routing.attempts.step import NOTHING, AttemptStep
from meshd.routing.availability import consequences, recovery, used_up
from meshd.routing.availability.retry_after import bound_wait
from meshd.routing.availability.state import availabilities
from meshd.routing.decision import features
from meshd.routing.rates.key_ring import KEY_REFUSED, OF_A_KEY
from meshd.routing.standing import FIRST_RETRY, LONGEST_KEPT, LONGEST_RETRY
from meshd.routing.table.specs import ModelSpec
from meshd.sdk.provider import FailureKind, ProviderFailure, RateLimits, Usage

LACK_FIRST, LACK_LONGEST = 0.2, 1.0
"""Seconds between attempts that this machine cannot send: the first pause, which is doubled up to the longest."""
LACK_PATIENCE = 30.0
"""Seconds that a request waits for a shortage of this machine to end, as for a place in the queue."""
LAST_REFUSALS = 4
"""Refused attempts of one request whose status says that another may succeed: one more than the OpenAI SDK makes by
itself."""
LAST_SURPRISES = 2
"""Attempts of one request at a model that answered just before and now refuses."""
_MOMENT = 0.001  # s: an attempt that overlaps another's refusal by less did not overlap it
_WITH_RETRY_AFTER = frozenset({FailureKind.RATE_LIMIT, FailureKind.SERVER})
"""Kinds of failure that a provider says will be over after its Retry-After."""


class Results(Course):
    """step: which of the attempts in flight, None: the only one. usage: what it has used by then."""

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
        step = step or self.book.only()
        self.book.close(step, now, usage, self._shared_limits(step, limits), billed=True)
        self.book.note(step, True, "", "", status, duration)
        features.note_answer(self.state, step.model.id, self.needs)
        self.state.rates.answered(step.ticket)
        self.changes += consequences.record_success(
            self.state, step.pool, step.model, self.provider_of(step.model), now, step.tests
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
        """Record a failure. Returns the verdict on it (RETRY may still become a rotation in `next`). begun: the app has
        part of the answer already, which another model is to continue at once."""
        step = step or self.book.only()
        of_the_app = consequences.is_of_the_app(failure, self.provider_of(step.model))
        longer = not of_the_app and bound_wait(failure, step.pool.retry, step.pool.recovery)
        left = not (failure.kind is FailureKind.LOCAL and failure.unsent)
        limits = self._shared_limits(step, failure.limits)
        self.book.close(step, now, usage, limits, sent=not failure.unsent, left=left)
        model, provider = step.model, self.provider_of(step.model)
        self.failure, self.stays = failure, False
        if failure.kind is FailureKind.LOCAL:
            return self._lacked(step, failure, now, duration)
        self.shortages = 0
        alone = self.failed_at.get(model.id, now - duration) < self.state.model(model.id).answered_at
        self.alone[model.id] = self.alone.get(model.id, 0) + alone
        self.failed_at[model.id] = now
        self.costly[model.id] = self.costly.get(model.id, 0) + (step.usage != NOTHING)
        self.book.note(step, False, failure.kind, failure.message, failure.status, duration)
        if failure.refused:
            features.note_refusal(self.state, model.id, self.needs, failure.refused, now)
        usable, untried = self._another_key(step, failure, now)
        if untried:
            self.book.release(step)
            self.tries[model.id] -= 1
            self.not_before[model.id] = now
            return Verdict.RETRY
        surprising = is_refusal(failure) and self._count_refusal(model, now, now - duration)
        last_key = not usable and step.ticket is not None and bool(step.ticket.key) and failure.kind in KEY_REFUSED
        self.changes += consequences.record_failure(
            self.state, step.pool, model, provider, failure, now, self.book,
            last_key=last_key, timezone=self.table.timezone, began=now - duration,
        )  # fmt: skip
        for availability in () if of_the_app else step.tests:
            recovery.test_failed(availability, now, failure.kind)
        self.book.release(step)
        waits = failure.kind in _WITH_RETRY_AFTER and not of_the_app
        if failure.retry_after and waits and step.ticket is not None:
            self.state.rates.leave_alone(step.ticket, now, failure.retry_after, failure.message, longer)
        verdict = verdict_on(failure, step.pool.retry, provider)
        self.once = step.usage != NOTHING and not self.needs.operation.retried
        self._ask_again(failure, verdict, step, now, begun=begun, surprising=surprising)
        return verdict

    def _shared_limits(self, step: AttemptStep, limits: RateLimits | None) -> RateLimits | None:
        """What a provider reports of its limits, unless these are those of the app's own key."""
        return None if self.provider_of(step.model).app_keys else limits

    def _ask_again(
        self,
        failure: ProviderFailure,
        verdict: Verdict,
        step: AttemptStep,
        now: float,
        *,
        begun: bool,
        surprising: bool,
    ) -> None:
        """Note whether this request asks the model again, and when."""
        model = step.model
        if verdict is Verdict.FATAL:
            self.fatal = True
            return
        again = verdict is Verdict.RETRY and self.tries[model.id] < step.pool.retry.max_attempts
        if consequences.is_of_the_app(failure, self.provider_of(model)):
            again = again and (failure.retry_after or 0.0) <= LONGEST_KEPT
            if not again:
                self._give_up_key(failure, step)
                return
        if again:
            told = consequences.told_to_wait(failure, step.pool) > 0.0
            self.stays = not (begun or told or failure.kind is FailureKind.CONNECTION)
            self.not_before[model.id] = now + self._back_off(failure, step)
        elif not begun and self._may_pass(failure, verdict, step, surprising) and self.may_test(model.id, step.pool):
            self.spent.add(model.id)
            self.not_before[model.id] = now + self._pause(failure, step)
        else:
            self.given_up.add(model.id)
            self.not_before[model.id] = now + (failure.retry_after or 0.0)

    def _give_up_key(self, failure: ProviderFailure, step: AttemptStep) -> None:
        """The key is the app's own: waiting does not help, nor does another model if the key itself is refused, or
        at its limit."""
        self.given_up.add(step.model.id)
        if failure.kind in (FailureKind.AUTHENTICATION, FailureKind.RATE_LIMIT):
            models, provider = self.table.models, step.model.provider
            self.given_up.update(id for id in step.pool.members if models[id].provider == provider)

    def _lacked(self, step: AttemptStep, failure: ProviderFailure, now: float, duration: float) -> Verdict:
        """A shortage of this machine: it is not the model's fault and does not count as an attempt. The request tries
        again soon, for as long as requests may wait in the queue."""
        model = step.model.id
        self.short_since = self.short_since if self.shortages else now
        if not self.shortages:
            self.book.note(step, False, failure.kind, failure.message, failure.status, duration)
        self.shortages += 1
        self.book.release(step)
        if failure.unsent:
            self.tries[model] -= 1
        wait = min(LACK_FIRST * 2.0 ** min(self.shortages - 1, 8), LACK_LONGEST) * (0.5 + self.requester.random() / 2)
        self.not_before[model] = now + wait
        if now + wait - self.short_since >= LACK_PATIENCE or not self.may_test(model, step.pool):
            self.given_up.add(model)
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
        """The attempt in flight ended without a verdict, as the app disconnected. sent: it may have cost something."""
        self._end_blameless(step, FailureKind.CANCELLED, "cancelled", 499, now, duration, usage, sent)
        self.failure, self.fatal = ProviderFailure(FailureKind.CANCELLED, "cancelled"), True

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
        self.changes += consequences.record_overdue(self.state, step.pool, step.model, duration, now, self.book)
        self._end_blameless(step, FailureKind.TIMEOUT, why, 0, now, duration, usage, sent)
        self.late = True

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
        """(whether the key was refused and the provider has another usable one; whether this request may try that one
        too, as it would not repeat a refused key)."""
        ticket = step.ticket
        if ticket is None or not ticket.key or failure.kind not in OF_A_KEY:
            return False, False
        policy, provider = step.pool.recovery, step.model.provider
        rest = policy.max_cooldown if failure.kind in KEY_REFUSED else failure.retry_after or policy.cooldown
        told = consequences.told_to_wait(failure, step.pool)
        usable = self.state.rates.key_refused(ticket, failure.message, failure.kind, now, rest, told)
        refused = self.refused_keys.setdefault(provider, set())
        again = ticket.key in refused
        refused.add(ticket.key)
        return usable, usable and not again and len(refused) < len(self.table.providers[provider].keys)

    def _count_refusal(self, model: ModelSpec, now: float, began: float) -> bool:
        """Count the refusal; whether it is a surprise, as the model has answered since it last refused."""
        known = self.state.model(model.id)
        self.refusals[model.id] = self.refusals.get(model.id, 0) + 1
        before, known.refused_at = known.refused_at, now
        return known.answered and (known.answered_at > before or began < before - _MOMENT)

    def _may_pass(self, failure: ProviderFailure, verdict: Verdict, step: AttemptStep, surprising: bool) -> bool:
        """Whether waiting may help. A conflict concerns what the request is about, and is passed on. A refusal is tried
        again if it is a surprise, or if its status says that another attempt may succeed, as long as that is plausible.
        """
        if verdict is Verdict.RETRY:
            return failure.status != 409
        if not is_refusal(failure) or is_final(failure, step.pool.retry, self.provider_of(step.model)):
            return False
        refusals = self.refusals[step.model.id]
        if not asks_for_another(failure.status):
            return refusals < LAST_SURPRISES and surprising
        question = self.question(self.failed_at[step.model.id], step.pool)
        policy = step.pool.recovery
        if failure.kind is FailureKind.QUOTA and used_up.has_calendar(policy, self.provider_of(step.model)):
            return False
        since = min(
            each.since if recovery.refuses(each, question.now) else question.now
            for each in availabilities(self.state, step.pool.name, step.model.id, step.model.provider)
        )
        return refusals < LAST_REFUSALS and question.now < since + policy.cooldown

    def _pause(self, failure: ProviderFailure, step: AttemptStep) -> float:
        """Seconds until this request asks the last model standing again: as often as a model on standby is tested, if
        asking costs nothing."""
        pause = max(self._back_off(failure, step), FIRST_RETRY)
        if step.usage != NOTHING:
            return pause
        told = consequences.told_to_wait(failure, step.pool)
        return max(min(pause, LONGEST_RETRY), told if told <= LONGEST_KEPT else 0.0)

    def _back_off(self, failure: ProviderFailure, step: AttemptStep) -> float:
        """The pause before the next attempt. A long one that the provider asks for is kept in the state instead."""
        policy = step.pool.retry
        if (failure.retry_after or 0.0) > LONGEST_KEPT:
            policy = replace(policy, honor_retry_after=False)
        return delay(failure, policy, self.tries[step.model.id], self.requester.random)
