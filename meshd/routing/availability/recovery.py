"""How a model or provider goes to standby, and leaves it: cooldown, probation, test, recovery.

Owns: the life of an `Availability`.
Must never: decide *whether* something should be on standby (`consequences.py`, `used_up.py`, `probes.py`).

After a cooldown comes probation: one request at a time, until one succeeds. A relapse doubles the cooldown;
staying well for the longest cooldown forgets the relapses. A used-up allowance is not a failure: the model is active
again at the reset, without a test.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshd.core.events.cause import RESETS, Cause, Why
from meshd.core.text.durations import format_duration
from meshd.routing.availability.state import Change, MeshState
from meshd.routing.standing import FIRST_RETRY, INDEFINITELY, LONGEST_KEPT, LONGEST_RETRY, Availability
from meshd.routing.table.policies import RecoveryPolicy
from meshd.sdk.provider import FailureKind
from modelmesh.wording import then

ACTIVE = "active"
STANDBY = "standby"
PROBATION = "probation"

_MAX_DOUBLINGS = 32

_PASSING = frozenset(
    {
        FailureKind.SERVER,
        FailureKind.CONNECTION,
        FailureKind.TIMEOUT,
        FailureKind.BAD_ANSWER,
        FailureKind.STREAM_CUT,
        FailureKind.RATE_LIMIT,
    }
)
REFUSING = frozenset(
    {
        FailureKind.AUTHENTICATION,
        FailureKind.PERMISSION,
        FailureKind.QUOTA,
        FailureKind.MODEL_NOT_FOUND,
    }
)
"""Failures that usually last, where asking again costs nothing: if no other model can answer, each request tries for
itself, without waiting."""
KNOWN_TO_REFUSE = 3
"""After this many refused tests in a row, one refusal answers all waiting requests."""
KNOWN_TO_BE_USED_UP = 10
"""The same for a quota, since many providers call a rate limit a quota: it may be available again at any moment."""
LONGEST_TEST = 5.0
"""Seconds to wait for a test's outcome; then the next request tests in parallel."""


def passing(availability: Availability) -> bool:
    """Whether its cause may be over a moment later, so that asking again may help if no other model can answer."""
    return set_aside_by_probe(availability) or availability.kind in _PASSING


def set_aside_by_probe(availability: Availability) -> bool:
    """Whether the health monitor's probes set it aside, rather than a request or the probe of one model."""
    return availability.cause is Cause.PROBE_FAILED and availability.kind is None


def status(availability: Availability, now: float) -> str:
    """active, standby or probation."""
    if not availability.standby:
        return ACTIVE
    if now < availability.until:
        return STANDBY
    return PROBATION if availability.probation else ACTIVE


def objection(availability: Availability, now: float, *, operator: bool) -> str | None:
    """Why no request may go there now, None when one may. operator: see `Availability.reason_for`."""
    if not availability.standby:
        return None
    reason = availability.reason_for(operator=operator)
    if now < availability.until:
        if availability.until == INDEFINITELY:
            return reason
        back = "tried again" if availability.probation else "back"
        return then(reason, f"{back} in {format_duration(availability.until - now)}")
    if availability.probation and availability.tester is not None:
        return f"on probation, and one request is testing it ({reason})"
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
    honoured, and a cause that asking again cannot cure stays for its whole time."""
    rests = recovers_in(availability, now)
    if not availability.standby or not passing(availability) or not availability.probation:
        return rests
    soon = max(availability.retry_at - now, 0.0)
    return soon if rests is None else min(soon, rests)


def tested_in(availability: Availability, now: float) -> float | None:
    """As `tried_again_in`, but for refusals as well: any request that no other model can answer may test whether they
    continue."""
    rests = tried_again_in(availability, now)
    if rests is None or not availability.standby or not availability.probation or availability.kind not in REFUSING:
        return rests
    return min(rests, max(availability.retry_at - now, 0.0))


def refuses(availability: Availability, now: float) -> bool:
    """Whether it is set aside for a cause that usually lasts."""
    return availability.standby and availability.kind in REFUSING and now < availability.until


def refused_since(availability: Availability, began: float, answered: bool) -> bool:
    """Whether a test since `began` has shown that it refuses, so that no other test is needed. answered: it has
    answered before, so that one refusal proves less."""
    enough = KNOWN_TO_REFUSE if answered else 1
    if availability.kind is FailureKind.QUOTA:
        enough = KNOWN_TO_BE_USED_UP
    return availability.tries >= enough and availability.failed_since > began


def test_failed(availability: Availability, now: float, kind: FailureKind) -> None:
    """The request that tested it failed: a short pause before the next test, unless it was only refused."""
    availability.tries += 1
    availability.failed_since = availability.tested_at
    if kind in REFUSING:
        return
    wait = min(FIRST_RETRY * 2.0 ** min(availability.tries, _MAX_DOUBLINGS), LONGEST_RETRY)
    availability.retry_at = max(availability.retry_at, now + wait)


def stand_by(
    availability: Availability,
    why: Why,
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
        if why.kind in _PASSING or not passing(availability) or availability.tester is not tester:
            return False  # unless its test found something worse
    longest = max(policy.cooldown, policy.max_cooldown)
    if not availability.standby and now - availability.recovered_at > longest:
        availability.relapses = 0
    doubled = policy.cooldown * 2.0 ** min(availability.relapses, _MAX_DOUBLINGS)
    _set_aside(availability, why, now + max(min(doubled, longest), at_least), now)
    if at_least <= LONGEST_KEPT:
        availability.retry_at = max(availability.retry_at, now + at_least)
    availability.relapses += 1
    return True


def stand_by_indefinitely(availability: Availability, why: Why, now: float) -> None:
    """Put it on standby until a probe or an operator brings it back."""
    _awake(availability, now)
    _set_aside(availability, why, INDEFINITELY, now)


def stand_by_until(availability: Availability, why: Why, until: float, now: float) -> bool:
    """Put it on standby until a time (INDEFINITELY: an operator's command), when it is active again, as it has not
    failed. If it had failed before, it is tested then. True when it was not on standby yet."""
    _awake(availability, now)
    if availability.standby and until <= availability.until:
        return False
    failed = availability.standby and availability.probation
    _set_aside(availability, why, until, now)
    availability.probation = failed
    return True


def _set_aside(availability: Availability, why: Why, until: float, now: float) -> None:
    if not availability.standby:
        availability.since = now
        availability.standby_events += 1
        availability.tries = 0
        availability.retry_at = now if why.kind in REFUSING else now + FIRST_RETRY
        availability.failed_since = -INDEFINITELY
    availability.standby = True
    availability.probation = True
    availability.until = until
    availability.why = why


def _awake(availability: Availability, now: float) -> Why | None:
    """Record that its standby has ended, if only time had to pass."""
    if not availability.standby or availability.probation or now < availability.until:
        return None
    return recover(availability, availability.until, _RESET)


def wake(state: MeshState, now: float) -> list[Change]:
    """Bring back those that have not failed and whose standby has ended; cheap if there are none.

    `objection` lets requests through in any case; this reports it.
    """
    if now < state.wake_at:
        return []
    changes = []
    state.wake_at = INDEFINITELY
    for change, availability in _all(state):
        if _awake(availability, now) is not None:
            changes.append(change)
        elif availability.standby and not availability.probation:
            state.wake_at = min(state.wake_at, availability.until)
    return changes


def _all(state: MeshState) -> Iterator[tuple[Change, Availability]]:
    """Each with the change to report when it is back."""
    for name, provider in state.providers.items():
        yield Change("provider", True, _RESET, provider=name), provider.availability
    for id, model in state.models.items():
        yield Change("model", True, _RESET, model=id), model.availability
    for (pool, id), member in state.members.items():
        yield Change("member", True, _RESET, pool, id), member.availability


_RESET = Why(Cause.QUOTA_RESET)


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
    return now >= availability.until or (availability.probation and availability.kind is not FailureKind.QUOTA)


def recover(availability: Availability, now: float, why: Why) -> Why | None:
    """It works again, because of `why`, or its quota was reset. None: it was not on standby."""
    if not availability.standby:
        return None
    availability.downtime = availability.down_for(now)
    if (availability.cause in _COUNTED or availability.kind is FailureKind.QUOTA) and now >= availability.until:
        availability.quota_resets += 1
        why = why if why.cause in RESETS else _RESET
    availability.standby = False
    availability.probation = True
    availability.tester = None
    availability.until = availability.retry_at = 0.0
    availability.tries = 0
    availability.why = None
    availability.recovered_at = now
    return why


_COUNTED = frozenset({Cause.LIMIT_USED_UP, Cause.LIMIT_TOO_LOW})


def reset(availability: Availability, now: float, why: Why) -> Why | None:
    """As `recover`, for a reason to trust it: the relapses are forgotten."""
    availability.relapses = 0
    return recover(availability, now, why)


def clock_set(state: MeshState, ahead: float) -> None:
    """The wall clock is `ahead` of `meshd.host.clock`. Standbys that end by the calendar are moved; cooldowns are not
    affected."""
    step, state.ahead = ahead - state.ahead, ahead
    state.accounts.clock_set(ahead)
    for _, availability in _all(state):
        if availability.standby and not availability.probation and availability.until != INDEFINITELY:
            availability.until -= step
    state.wake_at = 0.0
