"""Makes outcomes of the attempts that a killed daemon could not report.

Owns: what is assumed about such a request, which is that it ended with its last attempt. Must never: count anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from meshd.core.events.records import Attempt, Outcome
from meshd.spend.recovered import LostAttempt
from meshd.telemetry.statistics.measures import USAGE

_USAGE = [measure.of_request for measure in USAGE]
_OF_ATTEMPTS = [measure.of_attempt for measure in USAGE if measure.of_attempt]
_KILLED = "the daemon was killed before its end was recorded"


def outcomes_of(lost: Iterable[LostAttempt]) -> list[Outcome]:
    """One per request, in order of time."""
    requests: dict[str, list[LostAttempt]] = {}
    for each in lost:
        requests.setdefault(each.request, []).append(each)
    return sorted((_outcome(attempts) for attempts in requests.values()), key=lambda outcome: outcome.at)


def _outcome(attempts: list[LostAttempt]) -> Outcome:
    last = attempts[-1]
    used: dict[str, Any] = {name: sum(getattr(each, name, 0) for each in attempts) for name in _USAGE}
    units: Counter[str] = Counter()
    for each in attempts:
        units.update(each.units)
    return Outcome(
        request_id=last.request,
        at=last.at,
        operation="",
        asked="",
        status=200 if last.ok else 502,
        pool=last.pool,
        model=last.model,
        provider=last.provider,
        app=last.app,
        attempts=tuple(
            Attempt(
                each.model,
                each.provider,
                each.ok,
                "" if each.ok else "cancelled",
                "" if each.ok else _KILLED,
                duration=each.duration,
                **_fields(each),
                units=each.units,
            )
            for each in attempts
        ),
        **used,
        units=dict(units),
        total_time=last.duration,
        error="" if last.ok else _KILLED,
    )


def _fields(attempt: LostAttempt) -> dict[str, Any]:
    return {name: getattr(attempt, name, 0) for name in _OF_ATTEMPTS}
