"""What a used-up limit sets aside: by our own count, or by the provider's report; and when the calendar resets it."""

from __future__ import annotations

from typing import Literal

from meshd.core.events.cause import Cause, UsedLimit, Why
from meshd.core.events.event_type import EventType
from meshd.core.member_key import split_member_key
from meshd.routing.availability.recovery import recover, stand_by_until
from meshd.routing.availability.state import Change, MeshState
from meshd.routing.budgets.records import Alert
from meshd.routing.standing import INDEFINITELY
from meshd.routing.table.policies import RecoveryPolicy
from meshd.routing.table.specs import ProviderSpec, RoutingTable
from meshd.sdk.provider import FailureKind, QuotaStatus
from meshd.spend.calendar import Calendar

ASKED_AGAIN = 900.0
"""Seconds for which a provider is set aside if it reports a used-up quota, but not its reset."""

Schedule = Literal["monthly", "daily", "daily_utc", "rolling"]

_NOTHING_LEFT = Why(Cause.QUOTA_REPORTED, FailureKind.QUOTA)


def next_reset(schedule: Schedule | None, now: float, timezone: str = "UTC") -> float | None:
    """When (UTC s) the day or month that `now` is in ends; None for a schedule that follows no calendar."""
    if schedule is None or schedule == "rolling":
        return None
    period = Calendar("UTC" if schedule == "daily_utc" else timezone).period(now)
    return period.month_end if schedule == "monthly" else period.end


def has_calendar(policy: RecoveryPolicy, provider: ProviderSpec) -> bool:
    """Whether the time of the provider's quota reset is configured: no request is sent before it."""
    return (policy.quota_reset_schedule or provider.quota_reset) not in (None, "rolling")


def quota_reset(policy: RecoveryPolicy, provider: ProviderSpec, now: float, timezone: str) -> float | None:
    """When the provider's quota resets, by the pool's schedule, else by its own."""
    return next_reset(policy.quota_reset_schedule or provider.quota_reset, now, timezone)


def record_used_up(state: MeshState, table: RoutingTable, alert: Alert, now: float) -> list[Change]:
    """An allowance is used up: a pool's rule sets its member aside, a quota its whole provider, until the reset; for
    the cooldown if nothing resets it; until an operator's command if a reset does not bring it back.

    A used-up allowance is not a failure: the model comes back untested, and does not relapse. A budget sets no model
    aside (`on_budget_exceeded`), nor does a request that is larger than what is left: a smaller one may fit. The
    exception is a stint, which no calendar ends: there too little counts as nothing.
    """
    allowance = alert.allowance
    if alert.type is not EventType.LIMIT_EXCEEDED or not allowance.enforce:
        return []
    resets_at = by_own_clock(state, alert.resets_at)
    taken = alert.spent + (alert.reserved if allowance.measure == "requests" else 0)
    if taken < allowance.limit and allowance.window != "stint":
        return []
    cause = Cause.LIMIT_USED_UP if taken >= allowance.limit else Cause.LIMIT_TOO_LOW
    why = Why(cause, limit=UsedLimit(allowance.limit, allowance.measure, allowance.window))
    if allowance.scope == "member":
        pool, model = split_member_key(allowance.name)
        if pool not in table.pools or model not in table.models:
            return []
        policy = table.pools[pool].recovery
        until = _until(resets_at, policy.cooldown, policy.on_quota_reset, now)
        change = Change("member", False, why, pool, model, table.models[model].provider, until)
        if not stand_by_until(state.member(pool, model).availability, why, until, now):
            return []
        state.accounts.begin_stint(pool, model)
    else:
        provider = allowance.name
        resets = _resets(table, provider)
        until = _until(resets_at, RecoveryPolicy().cooldown, resets, now)
        change = Change("provider", False, why, provider=provider, until=until)
        if not stand_by_until(state.provider(provider).availability, why, until, now):
            return []
    state.wake_at = min(state.wake_at, until)
    return [change]


def _resets(table: RoutingTable, provider: str) -> bool:
    """Whether a reset brings the provider back: unless every pool it serves waits for an operator."""
    pools = [pool for pool in table.pools.values() if any(table.models[id].provider == provider for id in pool.members)]
    return not pools or any(pool.recovery.on_quota_reset for pool in pools)


def by_own_clock(state: MeshState, moment: float | None) -> float | None:
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
    told = aside.standby and aside.kind is FailureKind.QUOTA and not aside.probation
    if status.used_up:
        reset = by_own_clock(state, next_reset(provider.quota_reset, now + state.ahead, timezone))
        until = now + ASKED_AGAIN if reset is None else reset
        changed = stand_by_until(aside, _NOTHING_LEFT, until, now)
        if changed:
            state.wake_at = min(state.wake_at, until)
        if changed and not told:
            return [Change("provider", False, _NOTHING_LEFT, provider=provider.name, until=until)]
    elif told and status.remaining is not None:
        aside.until = now
        if why := recover(aside, now, Why(Cause.QUOTA_AVAILABLE)):
            return [Change("provider", True, why, provider=provider.name)]
    return []
