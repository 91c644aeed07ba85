"""When a failure takes a model out of a pool, or a provider out of all pools.

Owns: the consequences of one attempt's success or failure for the state.
Must never: choose what to try next (`plan.py`).

Error-based rules: consecutive failures with codes that count, their share of the requests in a window, a refused key at
once, an unreachable provider, 5xx or 403 from several of a provider's models. Count-based: a used-up allowance, by our
count or by the provider's report. Time-based: `maintenance.py`. Rule: docs/routing.md, Failures.
"""

from __future__ import annotations

from collections.abc import Collection

from meshd.core.durations import format_duration
from meshd.core.member_key import split_member_key
from meshd.core.money import dollars
from meshd.routing.availability.recovery import (
    PROBE,
    USED_UP,
    next_reset,
    proves,
    quota_reset,
    recover,
    stand_by,
    stand_by_indefinitely,
    stand_by_until,
)
from meshd.routing.availability.retry_after import bound_wait
from meshd.routing.availability.state import INDEFINITELY, Availability, Change, MemberState, MeshState, availabilities
from meshd.routing.budgets.accounts import Alert
from meshd.routing.table.policies import RecoveryPolicy
from meshd.routing.table.specs import Allowance, ModelSpec, PoolSpec, ProviderSpec, RoutingTable
from meshd.sdk.provider import FailureKind, ProviderFailure, QuotaStatus

UNREACHABLE_AFTER = 2
"""Consecutive failed connections to a provider, over all its models, until it counts as gone."""
FAILING_MODELS = 2
"""Models of a provider with 5xx (or 403, or no quota left) and no success in between, until the provider is blamed."""

ASKED_AGAIN = 900.0
"""Seconds that a provider rests if it reports a used-up quota, but not when it resets."""

TOGETHER = 2.0
"""Seconds: attempts in flight together that fail within this time have one cause, and count once."""

PATIENCE = 5.0
"""Seconds that an attempt must have had before running into its request's deadline counts against the model."""

_BLAMELESS = frozenset(
    {
        FailureKind.UNSUPPORTED,
        FailureKind.CONTEXT_LENGTH,
        FailureKind.CONTENT_POLICY,
        FailureKind.INVALID_REQUEST,
        FailureKind.CANCELLED,
        FailureKind.LOCAL,
    }
)
_OF_ONE_MODEL = frozenset({FailureKind.RATE_LIMIT, FailureKind.QUOTA, FailureKind.MODEL_NOT_FOUND})
"""Failures that say nothing about the rest of the provider."""
_USED_UP = frozenset({FailureKind.RATE_LIMIT, FailureKind.QUOTA})
"""What passes by itself: a limit was met, and nothing is wrong."""


def counts(failure: ProviderFailure, pool: PoolSpec, provider: ProviderSpec) -> bool:
    """Whether the failure is one the pool's `deactivation.error_codes` blames the model for."""
    if failure.kind in _BLAMELESS:
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
    """Note a failed attempt; what it put on standby. tester: the request, whose failure ends a probation it holds.
    began: when it was sent (UTC s), None: it overlaps no other.

    last_key: the provider has several keys, and this was the last usable one. (While another is usable only the key is
    to blame, `rates.key_refused`.) timezone: of quotas that follow the calendar.
    """
    if failure.status:
        state.provider(provider.name).connection_failures = 0  # it answered
    _note_refusal(state, provider.name, failure)
    if failure.kind in _BLAMELESS or (failure.status == 409 and not counts(failure, pool, provider)):
        return []
    model_state = state.model(model.id)
    model_state.failures += 1
    model_state.last_failure = now
    model_state.last_failure_reason = f"{failure.kind}: {failure.message}"
    if failure.kind not in _USED_UP and model_state.failing_since is None:
        model_state.failing_since = now
    reset = None
    if failure.kind is FailureKind.QUOTA:
        reset = _evenly(state, quota_reset(pool.recovery, provider, now + state.ahead, timezone))
    changes = _blame_provider(state, pool, model, provider, failure, now, tester, last_key, reset, began)
    known = model_state.availability
    gone = failure.kind in (FailureKind.MODEL_NOT_FOUND, FailureKind.QUOTA) or known.standby
    if gone and _rest(known, failure.message, failure, pool.recovery, now, tester, reset):
        changes.append(Change("model", False, failure.message, "", model.id, model.provider, known.until))
    # The provider's rest is not also the model's, which would then outlast it.
    providers = state.provider(provider.name).availability.standby and failure.kind not in _OF_ONE_MODEL
    if failure.kind is not FailureKind.QUOTA and not providers and counts(failure, pool, provider):
        changes += _blame_member(state, pool, model, failure, now, tester, began)
    return changes


def _note_refusal(state: MeshState, provider: str, failure: ProviderFailure) -> None:
    """For probes, which some providers refuse though they serve requests. One missing path is not all of them."""
    known = state.provider(provider)
    if failure.kind is FailureKind.AUTHENTICATION:
        known.answering = str(failure.kind)
    elif failure.refused:
        pass  # something answered for this model
    elif (failure.elsewhere or (failure.kind is FailureKind.UNSUPPORTED and failure.status == 404)) and (
        known.answering != "serves"
    ):
        known.answering = "nothing"


def _rest(
    availability: Availability,
    reason: str,
    failure: ProviderFailure,
    policy: RecoveryPolicy,
    now: float,
    tester: object | None,
    reset: float | None,
) -> bool:
    """On standby for the cooldown. For a used-up quota: until the `reset`; as long as the provider asks if no calendar
    is known; until an operator's command if a reset does not bring it back.

    If a test finds the quota still used up, the calendar was wrong, and the cooldown decides.
    """
    if failure.kind is not FailureKind.QUOTA:
        return stand_by(availability, reason, failure.kind, policy, now, tester=tester)
    again = availability.standby
    at_least = (failure.retry_after or 0.0) if reset is None or again else reset - now
    if not stand_by(availability, reason, failure.kind, policy, now, at_least, tester):
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
    reason = f"{member.failures} failures in a row, the last: {failure.message}"
    if member.failures < rule.retry_limit and not known.standby:
        reason = _failing_too_often(member, pool, now)
        if not reason:
            return []
        reason += f", the last: {failure.message}"
    if not stand_by(known, reason, failure.kind, pool.recovery, now, _told(failure, pool), tester):
        return []
    member.outcomes.clear()  # past failures must not set it aside again
    state.accounts.begin_stint(pool.name, model.id)
    return [Change("member", False, reason, pool.name, model.id, model.provider, known.until)]


def record_overdue(
    state: MeshState, pool: PoolSpec, model: ModelSpec, duration: float, now: float, tester: object | None = None
) -> list[Change]:
    """Note an attempt that its request's own deadline ended, after `duration` seconds; what it put on standby.

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
    reason = f"{member.overdue} requests in a row had no answer from it within their own deadlines"
    if not stand_by(member.availability, reason, FailureKind.TIMEOUT, pool.recovery, now, tester=tester):
        return []
    member.overdue = 0
    state.accounts.begin_stint(pool.name, model.id)
    return [Change("member", False, reason, pool.name, model.id, model.provider, member.availability.until)]


def _told(failure: ProviderFailure, pool: PoolSpec) -> float:
    """Seconds that the provider asked for (`Retry-After`), in a pool that honours it."""
    return failure.retry_after or 0.0 if pool.retry.honor_retry_after else 0.0


def _failing_too_often(member: MemberState, pool: PoolSpec, now: float) -> str:
    """By `deactivation.error_rate_threshold`: how often, in words; "" if not too often."""
    threshold, rate = pool.deactivation.error_rate_threshold, member.outcomes.rate(now)
    if threshold is None or rate.fraction is None or rate.fraction < threshold:
        return ""
    return (
        f"{rate.failed} of its last {rate.requests} requests failed within {format_duration(pool.deactivation.window)}"
    )


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
    reason = ""
    if failure.kind is FailureKind.AUTHENTICATION:
        known.auth_valid, known.auth_tried = False, True
        if pool.deactivate_on_auth_failure:
            why = "its key is refused" if provider.keyed else "it needs a key and has none"
            reason = f"{why}: {failure.message}"
    elif failure.kind is FailureKind.PERMISSION:
        # One model may refuse this key, or one prompt; if several do, the key is to blame.
        known.forbidden_models.add(model.id)
        if last_key and pool.deactivate_on_auth_failure:
            reason = f"all of its keys are refused: {failure.message}"
        elif len(known.forbidden_models) >= FAILING_MODELS and pool.deactivate_on_auth_failure:
            reason = f"{len(known.forbidden_models)} of its models are forbidden: {failure.message}"
    elif failure.kind is FailureKind.QUOTA:
        # Some quotas belong to one model; several used-up ones are the account's.
        known.exhausted_models.add(model.id)
        if len(known.exhausted_models) >= FAILING_MODELS:
            reason = f"its quota is used up: {failure.message}"
    elif failure.kind is FailureKind.CONNECTION:
        if not _together(known.unreached_at, began, now):
            known.connection_failures += 1
            known.unreached_at = now
        if known.connection_failures >= UNREACHABLE_AFTER and pool.deactivate_on_outage:
            reason = f"it cannot be reached: {failure.message}"
    elif failure.kind is FailureKind.SERVER:
        known.failing_models.add(model.id)
        if len(known.failing_models) >= FAILING_MODELS and pool.deactivate_on_outage:
            reason = f"{len(known.failing_models)} of its models fail: {failure.message}"
    if not reason and known.availability.standby and failure.kind not in _OF_ONE_MODEL:
        reason = known.availability.reason  # the probation's request failed
    if not reason or not _rest(known.availability, reason, failure, pool.recovery, now, tester, reset):
        return []
    return [Change("provider", False, reason, provider=provider.name, until=known.availability.until)]


def record_success(
    state: MeshState,
    pool: PoolSpec,
    model: ModelSpec,
    provider: ProviderSpec,
    now: float,
    tests: Collection[Availability] = (),
) -> list[Change]:
    """Note a successful attempt; what it brought back. tests: what it tested."""
    known = state.provider(provider.name)
    known.connection_failures = 0
    known.failing_models.clear()
    known.forbidden_models.clear()
    known.exhausted_models.clear()
    known.auth_valid = known.auth_tried = True
    known.answering = "serves"
    known_model = state.model(model.id)
    known_model.answered, known_model.answered_at = True, now
    known_model.failing_since = None
    member = state.member(pool.name, model.id)
    member.failures = member.overdue = 0
    if not member.availability.standby:
        member.outcomes.add(True, now, pool.deactivation.window)
    changes: list[Change] = []
    if _recover(known.availability, now, tests):
        changes.append(Change("provider", True, _SUCCEEDED, provider=provider.name))
    if _recover(known_model.availability, now, tests):
        changes.append(Change("model", True, _SUCCEEDED, model=model.id, provider=model.provider))
    if _recover(member.availability, now, tests):
        changes.append(Change("member", True, _SUCCEEDED, pool.name, model.id, model.provider))
    return changes


_SUCCEEDED = "a request succeeded"


def _recover(availability: Availability, now: float, tests: Collection[Availability] = ()) -> bool:
    if not availability.standby:
        return False
    proven = proves(availability, now) or any(tested is availability for tested in tests)
    return proven and recover(availability, now)


def record_probe(
    state: MeshState,
    pool: PoolSpec,
    model: ModelSpec,
    provider: ProviderSpec,
    failure: ProviderFailure | None,
    now: float,
    tester: object,
    timezone: str = "UTC",
) -> list[Change]:
    """Note how a probe of one model went (failure None: it answered); what it changed.

    One failure sets a model aside: no app waits for the answer, and a later probe or request finds out more. A probe
    that was refused for its form shows that the server is there, and a request may test it at once.
    """
    if failure is None:
        return record_success(state, pool, model, provider, now)
    if failure.kind is FailureKind.LOCAL:  # the probe says nothing
        return []
    bound_wait(failure, pool.retry, pool.recovery)
    if failure.kind in _BLAMELESS:
        for availability in availabilities(state, pool.name, model.id, model.provider):
            if availability.tester is tester:
                availability.until = min(availability.until, now)
        return []
    changes = record_failure(state, pool, model, provider, failure, now, tester, timezone=timezone)
    known = state.member(pool.name, model.id).availability
    if changes or known.standby or not counts(failure, pool, provider):
        return changes
    reason = f"it does not answer probes: {failure.message}"
    stand_by(known, reason, failure.kind, pool.recovery, now, _told(failure, pool))
    return [Change("member", False, reason, pool.name, model.id, model.provider, known.until)]


def record_health(
    state: MeshState, provider: str, available: bool, error: str, now: float, recover_on_probe: bool = True
) -> list[Change]:
    """Note the health monitor's opinion of a provider."""
    known = state.provider(provider)
    if available:
        known.connection_failures = 0
        known.failing_models.clear()
        known.forbidden_models.clear()
        if recover_on_probe and _recover(known.availability, now):
            known.auth_valid = True
            return [Change("provider", True, "it answered a probe", provider=provider)]
        return []
    if known.availability.standby:
        return []
    reason = f"it does not answer probes: {error}"
    stand_by_indefinitely(known.availability, reason, PROBE, now)
    return [Change("provider", False, reason, provider=provider)]


# -- what is used up -----------------------------------------------------------------------------------


def record_used_up(state: MeshState, table: RoutingTable, alert: Alert, now: float) -> list[Change]:
    """An allowance is used up: a pool's rule sets its member aside, a quota its whole provider, until the reset; for
    the cooldown if nothing resets it; until an operator's command if a reset does not bring it back.

    A used-up allowance is not a failure: the model comes back untested, and does not relapse. A budget sets no model
    aside (`on_budget_exceeded`), nor does a request that is larger than what is left: a smaller one may fit. The
    exception is a stint, which no calendar ends: there too little counts as nothing.
    """
    allowance = alert.allowance
    if alert.type != "budget_exceeded" or allowance.source == "budget" or not allowance.enforce:
        return []
    resets_at = _evenly(state, alert.resets_at)
    taken = alert.spent + (alert.reserved if allowance.measure == "requests" else 0)
    if taken < allowance.limit and allowance.window != "stint":
        return []
    what = f"{_amount(allowance)} {_WINDOWS[allowance.window]}"
    reason = f"it has used up {what}" if taken >= allowance.limit else f"too little is left of its {what}"
    if allowance.scope == "member":
        pool, model = split_member_key(allowance.name)
        if pool not in table.pools or model not in table.models:
            return []
        policy = table.pools[pool].recovery
        until = _until(resets_at, policy.cooldown, policy.on_quota_reset, now)
        change = Change("member", False, reason, pool, model, table.models[model].provider, until)
        if not stand_by_until(state.member(pool, model).availability, reason, USED_UP, until, now):
            return []
        state.accounts.begin_stint(pool, model)
    else:
        provider = allowance.name
        resets = _resets(table, provider)
        until = _until(resets_at, RecoveryPolicy().cooldown, resets, now)
        change = Change("provider", False, reason, provider=provider, until=until)
        if not stand_by_until(state.provider(provider).availability, reason, USED_UP, until, now):
            return []
    state.wake_at = min(state.wake_at, until)
    return [change]


def _resets(table: RoutingTable, provider: str) -> bool:
    """Whether a reset brings the provider back: unless every pool it serves waits for an operator."""
    pools = [pool for pool in table.pools.values() if any(table.models[id].provider == provider for id in pool.members)]
    return not pools or any(pool.recovery.on_quota_reset for pool in pools)


def _evenly(state: MeshState, moment: float | None) -> float | None:
    """A moment of the wall clock, by `meshd.host.clock`."""
    return None if moment is None else moment - state.ahead


def _until(resets_at: float | None, cooldown: float, comes_back: bool, now: float) -> float:
    if not comes_back:
        return INDEFINITELY
    return now + cooldown if resets_at is None else resets_at


def record_quota(
    state: MeshState, provider: ProviderSpec, status: QuotaStatus, now: float, timezone: str = "UTC"
) -> list[Change]:
    """A provider's report on its quota. If nothing is left, the whole provider is set aside until the reset (for a
    while if the time is unknown, since it is asked again); if something is left, what such a report set aside comes
    back."""
    known = state.provider(provider.name)
    known.quota = status
    aside = known.availability
    told = aside.standby and aside.cause == FailureKind.QUOTA and not aside.probation
    if status.used_up:
        reset = _evenly(state, next_reset(provider.quota_reset, now + state.ahead, timezone))
        until = now + ASKED_AGAIN if reset is None else reset
        changed = stand_by_until(aside, _NOTHING_LEFT, FailureKind.QUOTA, until, now)
        if changed:
            state.wake_at = min(state.wake_at, until)
        if changed and not told:
            return [Change("provider", False, _NOTHING_LEFT, provider=provider.name, until=until)]
    elif told and status.remaining is not None:
        aside.until = now
        recover(aside, now)
        return [Change("provider", True, "it reports quota available again", provider=provider.name)]
    return []


_NOTHING_LEFT = "it reports its quota used up"
_WINDOWS = {"day": "of the day", "month": "of the month", "rolling": "in 24 hours", "stint": "since it came back"}


def _amount(allowance: Allowance) -> str:
    if allowance.measure == "cost":
        return f"{dollars(allowance.limit):g} USD"
    return f"{allowance.limit} {allowance.measure if allowance.limit != 1 else allowance.measure.removesuffix('s')}"
