"""How a model or provider leaves standby: cooldown, probation, the calendar, probes, operators.

Owns: the life of an `Availability`.
Must never: decide *whether* something should be on standby (`failures.py`).

After a cooldown comes probation: one request at a time, until one succeeds. A relapse doubles the cooldown;
staying well for the longest cooldown forgets the relapses. A used-up allowance is not a failure: the model is active
again at the reset, without a test. Rule: docs/routing.md, Failures.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal

from meshd.core.durations import format_duration
from meshd.routing.availability.state import INDEFINITELY, Availability, Change, MeshState, availabilities
from meshd.routing.standing import FIRST_RETRY as FIRST_RETRY
from meshd.routing.standing import LONGEST_KEPT as LONGEST_KEPT
from meshd.routing.standing import LONGEST_RETRY as LONGEST_RETRY
from meshd.routing.table.policies import RecoveryPolicy
from meshd.routing.table.specs import PoolSpec, ProviderSpec, RoutingTable
from meshd.sdk.provider import FailureKind
from meshd.spend.calendar import Calendar
from modelmesh.wording import then

ACTIVE = "active"
STANDBY = "standby"
PROBATION = "probation"

USED_UP = "used_up"
"""The cause of a standby for a used-up allowance (`deactivation.record_used_up`)."""
HELD = "provider"
"""The cause of a member's standby if only an operator brings back a provider (`provider_recovery: on_manual`)."""

_MAX_DOUBLINGS = 32

PROBE = "probe"
"""The cause of a standby by the health monitor's probes."""
PASSING: frozenset[str] = frozenset(
    {
        FailureKind.SERVER,
        FailureKind.CONNECTION,
        FailureKind.TIMEOUT,
        FailureKind.BAD_ANSWER,
        FailureKind.STREAM_CUT,
        FailureKind.RATE_LIMIT,
        PROBE,
    }
)
"""Causes that may be over a moment later: if no other model can answer, asking again may help."""
REFUSING: frozenset[str] = frozenset(
    {
        FailureKind.AUTHENTICATION,
        FailureKind.PERMISSION,
        FailureKind.QUOTA,
        FailureKind.MODEL_NOT_FOUND,
    }
)
"""Causes that usually last, where asking again costs nothing: if no other model can answer, each request tries for
itself, without waiting."""
KNOWN_TO_REFUSE = 3
"""After this many refused tests in a row, one refusal answers all waiting requests."""
KNOWN_TO_BE_USED_UP = 10
"""The same for a quota, as many providers mean a rate by it: it may be available again at any moment."""
LONGEST_TEST = 5.0
"""Seconds to wait for a test's outcome; then the next request tests beside it."""

Schedule = Literal["monthly", "daily", "daily_utc", "rolling"]


def status(availability: Availability, now: float) -> str:
    """active, standby or probation."""
    if not availability.standby:
        return ACTIVE
    if now < availability.until:
        return STANDBY
    return PROBATION if availability.probation else ACTIVE


def objection(availability: Availability, now: float) -> str | None:
    """Why no request may go there now, None when one may."""
    if not availability.standby:
        return None
    if now < availability.until:
        if availability.until == INDEFINITELY:
            return availability.reason
        back = "tried again" if availability.probation else "back"
        return then(availability.reason, f"{back} in {format_duration(availability.until - now)}")
    if availability.probation and availability.tester is not None:
        return f"on probation, and one request is testing it ({availability.reason})"
    return None


def recovers_in(availability: Availability, now: float) -> float | None:
    """Seconds until a request may go there; None: not by itself."""
    if not availability.standby:
        return 0.0
    if availability.until == INDEFINITELY:
        return None
    return max(availability.until - now, 0.0)


def tried_again_in(availability: Availability, now: float) -> float | None:
    """Seconds until a request that no other model can answer may test it; None: not by itself. A Retry-After is
    honoured, and a cause that asking again cannot cure keeps its rest."""
    rests = recovers_in(availability, now)
    if not availability.standby or availability.cause not in PASSING or not availability.probation:
        return rests
    soon = max(availability.retry_at - now, 0.0)
    return soon if rests is None else min(soon, rests)


def tested_in(availability: Availability, now: float) -> float | None:
    """As `tried_again_in`, but for refusals as well: any request that no other model can answer may test whether they
    continue."""
    rests = tried_again_in(availability, now)
    if rests is None or not availability.standby or not availability.probation or availability.cause not in REFUSING:
        return rests
    return min(rests, max(availability.retry_at - now, 0.0))


def refuses(availability: Availability, now: float) -> bool:
    """Whether it rests for a cause that usually lasts."""
    return availability.standby and availability.cause in REFUSING and now < availability.until


def refused_since(availability: Availability, began: float, answered: bool) -> bool:
    """Whether a test since `began` has shown that it refuses, so that no other test is needed. answered: it has
    answered before, so that one refusal proves less."""
    enough = KNOWN_TO_REFUSE if answered else 1
    if availability.cause == FailureKind.QUOTA:
        enough = KNOWN_TO_BE_USED_UP
    return availability.tries >= enough and availability.failed_since > began


def test_failed(availability: Availability, now: float, kind: str) -> None:
    """The request that tested it failed: a short pause before the next test, unless it was only refused."""
    availability.tries += 1
    availability.failed_since = availability.tested_at
    if kind in REFUSING:
        return
    wait = min(FIRST_RETRY * 2.0 ** min(availability.tries, _MAX_DOUBLINGS), LONGEST_RETRY)
    availability.retry_at = max(availability.retry_at, now + wait)


def stand_by(
    availability: Availability,
    reason: str,
    cause: str,
    policy: RecoveryPolicy,
    now: float,
    at_least: float = 0.0,
    tester: object | None = None,
) -> bool:
    """Put it on standby for the policy's cooldown, doubled for each relapse, and for `at_least` seconds.

    No cooldown is longer than `max_cooldown`, unless `cooldown` itself is.
    True when it was not on standby yet. One on standby relapses only if its `tester` fails: requests that were in
    flight when it was set aside fail too, and their number says nothing about how long it will last.
    """
    _awake(availability, now)
    if availability.standby and (now < availability.until or availability.tester is not tester):
        availability.until = max(availability.until, now + at_least)
        if 0 < at_least <= LONGEST_KEPT:
            availability.retry_at = max(availability.retry_at, now + at_least)
        if cause in PASSING or availability.cause not in PASSING or availability.tester is not tester:
            return False  # else its test found something worse
    longest = max(policy.cooldown, policy.max_cooldown)
    if not availability.standby and now - availability.recovered_at > longest:
        availability.relapses = 0
    doubled = policy.cooldown * 2.0 ** min(availability.relapses, _MAX_DOUBLINGS)
    _set_aside(availability, reason, cause, now + max(min(doubled, longest), at_least), now)
    if at_least <= LONGEST_KEPT:
        availability.retry_at = max(availability.retry_at, now + at_least)
    availability.relapses += 1
    return True


def stand_by_indefinitely(availability: Availability, reason: str, cause: str, now: float) -> None:
    """Put it on standby until a probe or an operator brings it back."""
    _awake(availability, now)
    _set_aside(availability, reason, cause, INDEFINITELY, now)


def stand_by_until(availability: Availability, reason: str, cause: str, until: float, now: float) -> bool:
    """Put it on standby until a time (INDEFINITELY: an operator's command), when it is active again, as it has not
    failed. If it had failed before, it is tested then. True when it was not on standby yet."""
    _awake(availability, now)
    if availability.standby and until <= availability.until:
        return False
    failed = availability.standby and availability.probation
    _set_aside(availability, reason, cause, until, now)
    availability.probation = failed
    return True


def _set_aside(availability: Availability, reason: str, cause: str, until: float, now: float) -> None:
    if not availability.standby:
        availability.since = now
        availability.standby_events += 1
        availability.tries = 0
        availability.retry_at = now if cause in REFUSING else now + FIRST_RETRY
        availability.failed_since = -INDEFINITELY
    availability.standby = True
    availability.probation = True
    availability.until = until
    availability.reason = reason
    availability.cause = cause


def _awake(availability: Availability, now: float) -> bool:
    """Record that its standby has ended, if only time had to pass."""
    if not availability.standby or availability.probation or now < availability.until:
        return False
    return recover(availability, availability.until)


def wake(state: MeshState, now: float) -> list[Change]:
    """Bring back those that have not failed and whose standby has ended; cheap if there are none.

    `objection` lets requests through in any case; this reports it.
    """
    if now < state.wake_at:
        return []
    changes = []
    state.wake_at = INDEFINITELY
    for change, availability in _all(state):
        if _awake(availability, now):
            changes.append(change)
        elif availability.standby and not availability.probation:
            state.wake_at = min(state.wake_at, availability.until)
    return changes


def _all(state: MeshState) -> Iterator[tuple[Change, Availability]]:
    """Each with the change to report when it is back."""
    for name, provider in state.providers.items():
        yield Change("provider", True, _BACK, provider=name), provider.availability
    for id, model in state.models.items():
        yield Change("model", True, _BACK, model=id), model.availability
    for (pool, id), member in state.members.items():
        yield Change("member", True, _BACK, pool, id), member.availability


_BACK = "its cooldown ended"


def begin_probation(availability: Availability, tester: object, now: float | None = None) -> None:
    """A request is about to be sent there: it takes the probation's one place, if that is free or held by a test that
    takes too long.

    However it ends, it has to call `end_probation`.
    """
    if not availability.standby or not availability.probation:
        return
    if availability.tester is None or (now is not None and not tested_by_another(availability, tester, now)):
        availability.tester = tester
        availability.tested_at = INDEFINITELY if now is None else now


def tested_by_another(availability: Availability, tester: object, now: float) -> bool:
    """Whether another request than `tester` tests it, whose outcome should be awaited."""
    if not availability.standby or availability.tester is None or availability.tester is tester:
        return False
    return now < availability.tested_at + LONGEST_TEST


def end_probation(availability: Availability, tester: object) -> None:
    """The request has ended. If it held the place, the next one may test; another's place stays taken."""
    if availability.tester is tester:
        availability.tester = None


def proves(availability: Availability, now: float) -> bool:
    """Whether an answer now shows that it works again. A provider with a used-up quota still answers the requests in
    flight and lists its models, which proves nothing."""
    return now >= availability.until or (availability.probation and availability.cause != FailureKind.QUOTA)


def recover(availability: Availability, now: float) -> bool:
    """It works. True when it was on standby."""
    if not availability.standby:
        return False
    availability.downtime = availability.down_for(now)
    if availability.cause in (USED_UP, FailureKind.QUOTA) and now >= availability.until:
        availability.quota_resets += 1
    availability.standby = False
    availability.probation = True
    availability.tester = None
    availability.until = availability.retry_at = 0.0
    availability.tries = 0
    availability.reason = ""
    availability.cause = ""
    availability.recovered_at = now
    return True


def reset(availability: Availability, now: float) -> bool:
    """An operator says that it works: as `recover`, and the relapses are forgotten. True when it was on standby."""
    availability.relapses = 0
    return recover(availability, now)


def clock_set(state: MeshState, ahead: float) -> None:
    """The wall clock is `ahead` of `meshd.host.clock`. Rests that end by the calendar are moved; cooldowns are not
    affected."""
    step, state.ahead = ahead - state.ahead, ahead
    state.accounts.clock_set(ahead)
    for _, availability in _all(state):
        if availability.standby and not availability.probation and availability.until != INDEFINITELY:
            availability.until -= step
    state.wake_at = 0.0


# -- the calendar ----------------------------------------------------------------------------------------


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


# -- probes ----------------------------------------------------------------------------------------------


def to_probe(
    state: MeshState, table: RoutingTable, pool: PoolSpec, now: float, models: Collection[str] | None, resting: bool
) -> list[str]:
    """The members that a probe may be sent to now: of `models` (None: all), and with `resting` only those that rest.

    Not those that rest until a reset, until an operator brings them back, or while a test is running. Of a resting
    provider, one model is enough.
    """
    found, asked = [], set()
    for id in pool.members:
        model = table.models[id]
        if models is not None and id not in models:
            continue
        if state.model(id).deactivated is not None or table.providers[model.provider].disabled:
            continue
        known = [each for each in availabilities(state, pool.name, id, model.provider) if each.standby]
        if any(each.until == INDEFINITELY or each.tester is not None or not proves(each, now) for each in known):
            continue
        down = state.provider(model.provider).availability.standby
        if down and (model.provider in asked or not pool.recover_on_probe):
            continue
        if known or not resting:
            found.append(id)
            if down:
                asked.add(model.provider)
    return found


def probe_answered(state: MeshState, table: RoutingTable, provider: str, now: float) -> bool:
    """A provider answered a probe: a request may test its models now. Models that could not be reached come back,
    unless a test has failed since. True if that may help a request."""
    helped = False
    for (pool, id), member in state.members.items():
        model, spec = table.models.get(id), table.pools.get(pool)
        if model is None or model.provider != provider or (spec is not None and not spec.recover_on_probe):
            continue
        for known in (state.model(id).availability, member.availability):
            if not known.standby or not known.probation or known.cause not in PASSING:
                continue
            known.retry_at, known.tries = min(known.retry_at, now), 0
            if known.cause in _UNREACHED and known.relapses <= 1:
                known.until = min(known.until, now)
            helped = True
    return helped


_UNREACHED = frozenset({FailureKind.CONNECTION, FailureKind.TIMEOUT, FailureKind.STREAM_CUT})


# -- what a pool or an operator says of it ----------------------------------------------------------------


def hold(state: MeshState, table: RoutingTable, provider: str, reason: str, now: float) -> list[Change]:
    """A provider went on standby: in pools with `provider_recovery: on_manual` its models rest until an operator
    activates them, even if the provider recovers for other pools."""
    changes = []
    for pool in table.pools.values():
        if pool.recover_on_probe:
            continue
        for id in pool.members:
            if table.models[id].provider != provider:
                continue
            known = state.member(pool.name, id).availability
            if known.until != INDEFINITELY:
                why = f"provider {provider} failed, and an operator has to bring it back: {reason}"
                stand_by_indefinitely(known, why, HELD, now)
                changes.append(Change("member", False, why, pool.name, id, provider))
    return changes


def activate(state: MeshState, table: RoutingTable, model: str, now: float) -> list[Change]:
    """An operator activates the model in all pools: what that brings back. The provider's other models that were held
    with it are released."""
    state.model(model).deactivated = None
    state.model(model).refused.clear()
    provider = table.models[model].provider
    changes = []
    if reset(state.provider(provider).availability, now):
        changes.append(Change("provider", True, _BY_HAND, provider=provider))
    if reset(state.model(model).availability, now):
        changes.append(Change("model", True, _BY_HAND, model=model, provider=provider))
    for (pool, id), member in state.members.items():
        other = table.models.get(id)
        held = member.availability.cause == HELD and other is not None and other.provider == provider
        if id == model or held:
            member.failures = 0
            if reset(member.availability, now):
                state.accounts.begin_stint(pool, id)
                changes.append(Change("member", True, _BY_HAND, pool, id, provider))
    return changes


def new_chance(state: MeshState, table: RoutingTable, provider: str, reason: str, now: float) -> list[Change]:
    """With a new key or address it counts as another provider: earlier failures are forgotten. Used-up quotas and what
    waits for an operator stay."""
    known = state.provider(provider)
    known.auth_valid, known.auth_tried = True, False
    changes = []
    if reset(state.provider(provider).availability, now):
        changes.append(Change("provider", True, reason, provider=provider))
    ids = {id for id, model in table.models.items() if model.provider == provider}
    for id in ids & state.models.keys():
        state.models[id].refused.clear()
        state.models[id].failing_since = None
        if state.models[id].availability.probation and reset(state.models[id].availability, now):
            changes.append(Change("model", True, reason, model=id, provider=provider))
    for (pool, id), member in state.members.items():
        if id in ids and member.availability.probation and member.availability.cause != HELD:
            member.failures = 0
            if reset(member.availability, now):
                changes.append(Change("member", True, reason, pool, id, provider))
    return changes


_BY_HAND = "by hand"
