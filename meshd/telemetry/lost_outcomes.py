"""Attempts of a killed daemon as the outcomes that it could not report.

Owns: what is assumed of such a request: it ended with its last attempt. Must never: count anything.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshd.core.records import Attempt, Outcome
from meshd.spend.recovered import LostAttempt

_KILLED = "the daemon was killed before its end was recorded"


def outcomes_of(lost: Iterable[LostAttempt]) -> list[Outcome]:
    """One per request, in order of time."""
    requests: dict[str, list[LostAttempt]] = {}
    for each in lost:
        requests.setdefault(each.request, []).append(each)
    return sorted((_outcome(attempts) for attempts in requests.values()), key=lambda outcome: outcome.at)


def _outcome(attempts: list[LostAttempt]) -> Outcome:
    last = attempts[-1]
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
                tokens_in=each.tokens_in,
                tokens_out=each.tokens_out,
                cost=each.cost,
            )
            for each in attempts
        ),
        tokens_in=sum(each.tokens_in for each in attempts),
        tokens_out=sum(each.tokens_out for each in attempts),
        tokens_cached=sum(each.tokens_cached for each in attempts),
        cost=sum(each.cost for each in attempts),
        total_time=last.duration,
        error="" if last.ok else _KILLED,
    )
