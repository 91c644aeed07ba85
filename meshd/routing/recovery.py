"""How a model or provider leaves standby: cooldown, probation, probes, operators.

Owns: the life of an `Availability`.
Must never: decide *whether* something should be on standby (`deactivation.py`).

After a cooldown comes probation: one request at a time, until one succeeds. A relapse doubles the cooldown;
staying well for `max_cooldown` forgets the relapses. Rule: spec/routing.md, Recovery.
"""

from __future__ import annotations

from meshd.routing.state import INDEFINITELY, Availability
from meshd.routing.table import RecoveryPolicy

ACTIVE = "active"
STANDBY = "standby"
PROBATION = "probation"

_MAX_DOUBLINGS = 32


def status(availability: Availability, now: float) -> str:
    """active, standby or probation."""
    if not availability.standby:
        return ACTIVE
    return STANDBY if now < availability.until else PROBATION


def objection(availability: Availability, now: float) -> str | None:
    """Why no request may go there now, None when one may."""
    if not availability.standby:
        return None
    if now < availability.until:
        if availability.until == INDEFINITELY:
            return availability.reason
        return f"{availability.reason}; tried again in {availability.until - now:.0f} s"
    if availability.tester is not None:
        return f"on probation, and one request is testing it ({availability.reason})"
    return None


def recovers_in(availability: Availability, now: float) -> float | None:
    """Seconds until a request may test it; None: not by itself."""
    if not availability.standby:
        return 0.0
    if availability.until == INDEFINITELY:
        return None
    return max(availability.until - now, 0.0)


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

    True when that is news. What is on standby already relapses only by the failure of its `tester`: the requests
    that were under way when it was set aside fail, too, and their number says nothing of how long it will last.
    """
    if availability.standby and (now < availability.until or availability.tester is not tester):
        availability.until = max(availability.until, now + at_least)
        return False
    if not availability.standby:
        availability.since = now
        if now - availability.recovered_at > policy.max_cooldown:
            availability.relapses = 0
    doubled = policy.cooldown * 2.0 ** min(availability.relapses, _MAX_DOUBLINGS)
    availability.standby = True
    availability.until = now + max(min(doubled, policy.max_cooldown), at_least)
    availability.reason = reason
    availability.cause = cause
    availability.relapses += 1
    return True


def stand_by_indefinitely(availability: Availability, reason: str, cause: str, now: float) -> None:
    """Put it on standby until a probe or an operator brings it back."""
    if not availability.standby:
        availability.since = now
    availability.standby = True
    availability.until = INDEFINITELY
    availability.reason = reason
    availability.cause = cause


def begin_probation(availability: Availability, tester: object) -> None:
    """A request is about to be sent there: it takes the probation's one place, if there is one to be had.

    Whatever becomes of it, it has to `end_probation`.
    """
    if availability.standby and availability.tester is None:
        availability.tester = tester


def end_probation(availability: Availability, tester: object) -> None:
    """The request has ended. If it held the place, the next one may test; the place of another stays taken."""
    if availability.tester is tester:
        availability.tester = None


def recover(availability: Availability, now: float) -> bool:
    """It works. True when it was on standby."""
    if not availability.standby:
        return False
    availability.standby = False
    availability.tester = None
    availability.until = 0.0
    availability.reason = ""
    availability.cause = ""
    availability.recovered_at = now
    return True


def reset(availability: Availability, now: float) -> bool:
    """An operator says it works: as `recover`, with the relapses forgotten. True when it was on standby."""
    availability.relapses = 0
    return recover(availability, now)
