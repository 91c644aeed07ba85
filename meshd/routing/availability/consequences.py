"""When a failure takes a model out of a pool, or a provider out of all pools.

Owns: the consequences of one attempt's success or failure for the state.
Must never: choose what to try next (`routing/attempts/plan.py`).

The rules: consecutive failures with codes that count, their share of the requests in a window, a refused key at once,
an unreachable provider, 5xx or 403 from several of a provider's models. What is used up: `used_up.py`. What is in
maintenance: `routing/decision/stages/maintenance.py`. For users: docs/routing.md.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from meshd.core.events.answering import ProviderAnswering
from meshd.core.events.cause import Cause, Why, cause_of
from meshd.routing.availability.recovery import proves, recover, stand_by
from meshd.routing.availability.state import Change, MemberState, MeshState
from meshd.routing.availability.used_up import by_own_clock, quota_reset
from meshd.routing.standing import INDEFINITELY, Availability
from meshd.routing.table.policies import RecoveryPolicy
from meshd.routing.table.specs import ModelSpec, PoolSpec, ProviderSpec
from meshd.sdk.provider import FailureKind, ProviderFailure

UNREACHABLE_AFTER = 2
"""Consecutive failed connections to a provider, over all its models, after which it counts as unreachable."""
FAILING_MODELS = 2
"""Models of a provider with 5xx (or 403, or no quota left) and no success in between, until the provider is blamed."""

TOGETHER = 2.0
"""Seconds: attempts in flight together that fail within this time have one cause, and count once."""

PATIENCE = 5.0
"""Seconds that an attempt must have had before running into its request's deadline counts against the model."""

BLAMELESS = frozenset(
    {
        FailureKind.UNSUPPORTED,
        FailureKind.CONTEXT_LENGTH,
        FailureKind.CONTENT_POLICY,
        FailureKind.INVALID_REQUEST,
        FailureKind.CANCELLED,
        FailureKind.LOCAL,
    }
)
OF_THE_APP = frozenset(
    {
        FailureKind.AUTHENTICATION,
        FailureKind.PERMISSION,
        FailureKind.RATE_LIMIT,
        FailureKind.QUOTA,
        FailureKind.MODEL_NOT_FOUND,
    }
)
"""Failures that say nothing about a provider if the key was the app's own: another app's key has other rights."""
_OF_ONE_MODEL = frozenset({FailureKind.RATE_LIMIT, FailureKind.QUOTA, FailureKind.MODEL_NOT_FOUND})
"""Failures that say nothing about the rest of the provider."""
_USED_UP = frozenset({FailureKind.RATE_LIMIT, FailureKind.QUOTA})
"""Failures that pass by themselves: a limit was reached, and nothing is wrong."""


def counts(failure: ProviderFailure, pool: PoolSpec, provider: ProviderSpec) -> bool:
    """Whether the failure is one the pool's `deactivation.error_codes` blames the model for."""
    if failure.kind in BLAMELESS:
        return False
    if failure.status < 400:  # no answer, or an invalid one: always counts
        return True
    codes = pool.deactivation.error_codes
    if codes is not None:
        return failure.status in codes
    if failure.status == 409:  # a conflict between requests
        return False
    retryable = provider.retryable_codes if pool.retry.retryable_codes is None else pool.retry.retryable_codes
    return failure.status in retryable or failure.status in (401, 402, 403) or failure.status >= 500


def is_of_the_app(failure: ProviderFailure, provider: ProviderSpec) -> bool:
    """Whether the key of the app that asked is to blame, and nothing that others use."""
    return provider.app_keys and failure.kind in OF_THE_APP


def record_failure(
    state: MeshState,
    pool: PoolSpec,
    model: ModelSpec,
    provider: ProviderSpec,
    failure: ProviderFailure,
    now: float,
    tester: object | None = None,
    *,
    last_key: bool = False,
    timezone: str = "UTC",
    began: float | None = None,
) -> list[Change]:
    """Record a failed attempt. Returns what it set aside. tester: the request; if it holds a probation, its failure
    ends that. began: when it was sent (UTC s); None: it overlaps no other attempt.

    last_key: the provider has several keys, and this was the last usable one. (While another is usable only the key is
    to blame, `rates.key_refused`.) timezone: of quotas that follow the calendar.
    """
    if failure.status:
        state.provider(provider.name).connection_failures = 0  # it answered
    if is_of_the_app(failure, provider):
        return []
    _note_answering(state, provider.name, failure)
    if failure.kind in BLAMELESS or (failure.status == 409 and not counts(failure, pool, provider)):
        return []
    model_state = state.model(model.id)
    model_state.failures += 1
    model_state.last_failure = now
    model_state.last_failure_kind, model_state.last_failure_said = failure.kind, failure.message
    if failure.kind not in _USED_UP and model_state.failing_since is None:
        model_state.failing_since = now
    reset = None
    if failure.kind is FailureKind.QUOTA:
        reset = by_own_clock(state, quota_reset(pool.recovery, provider, now + state.ahead, timezone))
    changes = _blame_provider(state, pool, model, provider, failure, now, tester, last_key, reset, began)
    known = model_state.availability
    gone = failure.kind in (FailureKind.MODEL_NOT_FOUND, FailureKind.QUOTA)
    why = of_failure(cause_of(failure.kind) if gone else Cause.TEST_FAILED, failure)
    if (gone or known.standby) and _rest(known, why, failure, pool.recovery, now, tester, reset):
        changes.append(Change("model", False, why, "", model.id, model.provider, known.until))
    # The model is not set aside as well, since its cooldown would outlast the provider's.
    providers = state.provider(provider.name).availability.standby and failure.kind not in _OF_ONE_MODEL
    if failure.kind is not FailureKind.QUOTA and not providers and counts(failure, pool, provider):
        changes += _blame_member(state, pool, model, failure, now, tester, began)
    return changes


def _note_answering(state: MeshState, provider: str, failure: ProviderFailure) -> None:
    """For probes, which some providers refuse though they serve requests. One missing path is not all of them."""
    known = state.provider(provider)
    if failure.kind is FailureKind.AUTHENTICATION:
        known.answering = ProviderAnswering.KEY_REFUSED
    elif failure.refused:
        pass  # something answered for this model
    elif (failure.elsewhere or (failure.kind is FailureKind.UNSUPPORTED and failure.status == 404)) and (
        known.answering is not ProviderAnswering.SERVES
    ):
        known.answering = ProviderAnswering.NOTHING


def _rest(
    availability: Availability,
    why: Why,
    failure: ProviderFailure,
    policy: RecoveryPolicy,
    now: float,
    tester: object | None,
    reset: float | None,
) -> bool:
    """Set it aside for the cooldown. For a used-up quota: until the `reset`; if no calendar is known, as long as the
    provider asks; if a reset does not bring it back, until an operator's command.

    If a test finds the quota still used up, the calendar was wrong, and the cooldown decides.
    """
    if failure.kind is not FailureKind.QUOTA:
        return stand_by(availability, why, policy, now, tester=tester)
    again = availability.standby
    at_least = (failure.retry_after or 0.0) if reset is None or again else reset - now
    if not stand_by(availability, why, policy, now, at_least, tester):
        return False
    if not policy.on_quota_reset:
        availability.until = INDEFINITELY
    elif reset is not None and not again:
        availability.until = reset
    return True


def _together(failed_at: float | None, began: float | None, now: float) -> bool:
    """Whether an attempt that fails now was in flight when another failed: one crash breaks many streams."""
    return failed_at is not None and began is not None and began < failed_at <= now <= failed_at + TOGETHER


def _blame_member(
    state: MeshState,
    pool: PoolSpec,
    model: ModelSpec,
    failure: ProviderFailure,
    now: float,
    tester: object | None,
    began: float | None,
) -> list[Change]:
    member, rule = state.member(pool.name, model.id), pool.deactivation
    known = member.availability
    if not _together(member.failed_at, began, now):
        member.failures += 1
        member.failed_at = now
    if not known.standby:
        member.outcomes.add(False, now, rule.window)
    why: Why | None = of_failure(Cause.FAILURES, failure, member.failures)
    if member.failures < rule.retry_limit and not known.standby:
        why = _failing_too_often(member, pool, failure, now)
    if why is None or not stand_by(known, why, pool.recovery, now, told_to_wait(failure, pool), tester):
        return []
    member.outcomes.clear()  # past failures must not set it aside again
    state.accounts.begin_stint(pool.name, model.id)
    return [Change("member", False, why, pool.name, model.id, model.provider, known.until)]


def record_overdue(
    state: MeshState, pool: PoolSpec, model: ModelSpec, duration: float, now: float, tester: object | None = None
) -> list[Change]:
    """Record an attempt that its request's own deadline ended after `duration` seconds. Returns what it set aside.

    A short client deadline sets no model aside. But a model that answers none of `deactivation.retry_limit` requests in
    a row, each of which gave it some time, counts as failing.
    """
    member, rule = state.member(pool.name, model.id), pool.deactivation
    if duration < PATIENCE:
        return []
    if _together(member.overdue_at, now - duration, now):
        return []
    member.overdue += 1
    member.overdue_at = now
    if member.overdue < rule.retry_limit:
        return []
    why = Why(Cause.OVERDUE, FailureKind.TIMEOUT, count=member.overdue)
    if not stand_by(member.availability, why, pool.recovery, now, tester=tester):
        return []
    member.overdue = 0
    state.accounts.begin_stint(pool.name, model.id)
    return [Change("member", False, why, pool.name, model.id, model.provider, member.availability.until)]


def told_to_wait(failure: ProviderFailure, pool: PoolSpec) -> float:
    """Seconds that the provider asked for (`Retry-After`), in a pool that honours it."""
    return failure.retry_after or 0.0 if pool.retry.honor_retry_after else 0.0


def _failing_too_often(member: MemberState, pool: PoolSpec, failure: ProviderFailure, now: float) -> Why | None:
    """By `deactivation.error_rate_threshold`; None if not too often."""
    threshold, rate = pool.deactivation.error_rate_threshold, member.outcomes.rate(now)
    if threshold is None or rate.fraction is None or rate.fraction < threshold:
        return None
    why = of_failure(Cause.FAILURE_RATE, failure, rate.failed)
    return msgspec.structs.replace(why, of=rate.requests, within=pool.deactivation.window)


def _blame_provider(
    state: MeshState,
    pool: PoolSpec,
    model: ModelSpec,
    provider: ProviderSpec,
    failure: ProviderFailure,
    now: float,
    tester: object | None,
    last_key: bool,
    reset: float | None,
    began: float | None,
) -> list[Change]:
    known = state.provider(provider.name)
    cause, count = None, 0
    if failure.kind is FailureKind.AUTHENTICATION:
        known.auth_valid, known.auth_tried = False, True
        if pool.deactivate_on_auth_failure:
            cause = Cause.KEY_REFUSED if provider.keyed else Cause.KEY_MISSING
    elif failure.kind is FailureKind.PERMISSION:
        # One model may refuse this key, or one prompt; if several do, the key is to blame.
        known.forbidden_models.add(model.id)
        if last_key and pool.deactivate_on_auth_failure:
            cause = Cause.KEYS_REFUSED
        elif len(known.forbidden_models) >= FAILING_MODELS and pool.deactivate_on_auth_failure:
            cause, count = Cause.MODELS_FORBIDDEN, len(known.forbidden_models)
    elif failure.kind is FailureKind.QUOTA:
        # Some quotas belong to one model; several used-up ones are the account's.
        known.exhausted_models.add(model.id)
        if len(known.exhausted_models) >= FAILING_MODELS:
            cause, count = Cause.QUOTA_USED_UP, len(known.exhausted_models)
    elif failure.kind is FailureKind.CONNECTION:
        if not _together(known.unreached_at, began, now):
            known.connection_failures += 1
            known.unreached_at = now
        if known.connection_failures >= UNREACHABLE_AFTER and pool.deactivate_on_outage:
            cause = Cause.UNREACHABLE
    elif failure.kind is FailureKind.SERVER:
        known.failing_models.add(model.id)
        if len(known.failing_models) >= FAILING_MODELS and pool.deactivate_on_outage:
            cause, count = Cause.MODELS_FAILING, len(known.failing_models)
    why = None if cause is None else of_failure(cause, failure, count)
    if why is None and known.availability.standby and failure.kind not in _OF_ONE_MODEL:
        # The probation's request failed: what set it aside is still the reason.
        before = known.availability.why or of_failure(Cause.TEST_FAILED, failure)
        why = msgspec.structs.replace(before, kind=failure.kind)
    if why is None or not _rest(known.availability, why, failure, pool.recovery, now, tester, reset):
        return []
    return [Change("provider", False, why, provider=provider.name, until=known.availability.until)]


def of_failure(cause: Cause, failure: ProviderFailure, count: int = 0) -> Why:
    return Why(cause, failure.kind, failure.message, failure.status, count)


def record_success(
    state: MeshState,
    pool: PoolSpec,
    model: ModelSpec,
    provider: ProviderSpec,
    now: float,
    tests: Collection[Availability] = (),
) -> list[Change]:
    """Record a successful attempt. Returns what it brought back. tests: what it tested."""
    known = state.provider(provider.name)
    known.connection_failures = 0
    known.failing_models.clear()
    known.forbidden_models.clear()
    known.exhausted_models.clear()
    known.auth_valid = known.auth_tried = True
    known.answering = ProviderAnswering.SERVES
    known_model = state.model(model.id)
    known_model.answered, known_model.answered_at = True, now
    known_model.failing_since = None
    member = state.member(pool.name, model.id)
    member.failures = member.overdue = 0
    if not member.availability.standby:
        member.outcomes.add(True, now, pool.deactivation.window)
    changes: list[Change] = []
    if why := recover_proven(known.availability, now, _SUCCEEDED, tests):
        changes.append(Change("provider", True, why, provider=provider.name))
    if why := recover_proven(known_model.availability, now, _SUCCEEDED, tests):
        changes.append(Change("model", True, why, model=model.id, provider=model.provider))
    if why := recover_proven(member.availability, now, _SUCCEEDED, tests):
        changes.append(Change("member", True, why, pool.name, model.id, model.provider))
    return changes


_SUCCEEDED: Final = Why(Cause.REQUEST_SUCCEEDED)


def recover_proven(
    availability: Availability, now: float, why: Why, tests: Collection[Availability] = ()
) -> Why | None:
    """It answered. Returns why it is back, None if it was not on standby or this proves nothing. tests: what was
    tested."""
    if not availability.standby:
        return None
    proven = proves(availability, now) or any(tested is availability for tested in tests)
    return recover(availability, now, why) if proven else None
