"""What one outcome or event counts for: cells, the finest units, which add up to every statistic.

Owns: which counters a request and its attempts change, and under which name.
Must never: keep anything: it returns pairs of a key and what to add there.

A key is (part, pool, model, provider, app, user, unit, operation, status), and for what may have cost something
(project, agent, session, label) after that: it is spend, too. `part` says what a cell counts: requests,
attempts, or both at once, for requests with one attempt, so that the usual request costs one cell. Sums of requests
take the first and the last, sums of attempts the second and the last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshd.core.events.event_type import EventType
from meshd.core.events.records import Attempt, Event, Outcome
from meshd.telemetry.statistics import bucket as b
from meshd.telemetry.statistics.bucket import Bucket
from meshd.telemetry.statistics.dimensions import DIMENSIONS
from meshd.telemetry.statistics.measures import MEASURES, PLACES, USAGE
from meshd.telemetry.statistics.sketch import bucket_of

Key = tuple[Any, ...]
"""`part`, then one name for each dimension, and one for each of spend alone."""
Find = Callable[[Key], Bucket]
"""The bucket of a key, created if missing."""

REQUEST, ATTEMPT = 1, 2
BOTH = REQUEST | ATTEMPT

PLACE = {name: index + 1 for index, name in enumerate(DIMENSIONS)}
"""A dimension's position in a key."""
WIDTH = 1 + len(DIMENSIONS)
"""The length of a key without the dimensions of spend alone."""

_OF_REQUESTS = tuple((place, each.of_request) for place, each in enumerate(MEASURES) if each.of_request)
_OF_ATTEMPTS = tuple((place, each.of_attempt) for place, each in enumerate(MEASURES) if each.of_attempt)

_WENT_AWAY = 499  # the app disconnected, which says nothing about the model


def cell_in(cells: dict[Key, Bucket], key: Key) -> Bucket:
    """The bucket of a key, created if missing."""
    found = cells.get(key)
    if found is None:
        found = cells[key] = Bucket()
    return found


def count_outcome(outcome: Outcome, find: Find) -> None:
    attempts = outcome.attempts
    model, provider = outcome.model, outcome.provider
    if attempts and not model:
        model, provider = attempts[-1].model, attempts[-1].provider
    alone = bool(model) and not outcome.cached and [attempt.model for attempt in attempts] in ([], [model])
    cell = find(_key(outcome, BOTH if alone else REQUEST, model, provider, outcome.status))
    _count_request(outcome, cell.n)
    if outcome.units:
        cell.add_units(outcome.units)
    if outcome.status < 400:
        _add_times(cell, outcome.total_time, outcome.first_token_time)
    if outcome.cached and model:
        find(_key(outcome, ATTEMPT, model, provider, outcome.status)).n[b.CACHE_HITS] += 1
    if not alone:
        _count_attempts(outcome, model, find)


def _count_request(outcome: Outcome, n: list[int]) -> None:
    n[b.REQUESTS] += 1
    if outcome.status < 400:
        n[b.SUCCESS] += 1
    elif outcome.status != _WENT_AWAY:
        n[b.FAILED] += 1
    n[b.SAVED] += outcome.status < 400 and any(_blamed(attempt) for attempt in outcome.attempts)
    for place, field in _OF_REQUESTS:
        n[place] += getattr(outcome, field)
    if outcome.queue_time:
        n[b.QUEUE] += int(outcome.queue_time * 1e6)


def _count_attempts(outcome: Outcome, model: str, find: Find) -> None:
    """Each attempt at its own model and provider, with its own tokens and cost."""
    attempts = outcome.attempts
    answering = _answering(attempts, model)
    for index, attempt in enumerate(attempts):
        blamed = _blamed(attempt)
        status = attempt.status or (200 if attempt.ok else 0)
        cell = find(_key(outcome, ATTEMPT, attempt.model, attempt.provider, status))
        n = cell.n
        n[b.REQUESTS] += 1
        n[b.SUCCESS] += attempt.ok
        n[b.FAILED] += blamed
        for place, field in _OF_ATTEMPTS:
            n[place] += getattr(attempt, field)
        if attempt.units:
            cell.add_units(attempt.units)
        following = next((each for each in attempts[index + 1 :] if not each.hedge), None)
        if blamed and following is not None:
            n[b.RETRIES if following.model == attempt.model else b.ROTATIONS] += 1
        if index == 0 and outcome.queue_time:
            n[b.QUEUE] += int(outcome.queue_time * 1e6)
        if index == answering:
            for measure in USAGE:
                of = measure.of_attempt
                told = sum(getattr(each, of) for each in attempts) if of else 0
                n[PLACES[measure.name]] += max(0, getattr(outcome, measure.of_request) - told)
        if attempt.ok:
            first = outcome.first_token_time if index == answering else None
            _add_times(cell, attempt.duration or outcome.total_time, first)


def _blamed(attempt: Attempt) -> bool:
    """Whether it failed, and the app had not gone away before."""
    return not attempt.ok and attempt.status != _WENT_AWAY


def _answering(attempts: tuple[Attempt, ...], model: str) -> int:
    """The last attempt at the model that the outcome names, else the last attempt."""
    for index in range(len(attempts) - 1, -1, -1):
        if attempts[index].model == model:
            return index
    return len(attempts) - 1


def _add_times(cell: Bucket, total: float, first: float | None) -> None:
    cell.n[b.LATENCY] += int(total * 1e6)
    place = bucket_of(total)
    cell.latency[place] = cell.latency.get(place, 0) + 1
    if first is not None:
        place = bucket_of(first)
        cell.ttft[place] = cell.ttft.get(place, 0) + 1


def _key(outcome: Outcome, part: int, model: str, provider: str, status: int) -> Key:
    user = outcome.user or (str(outcome.uid) if outcome.uid >= 0 else "")
    who = (outcome.app, user, outcome.unit)
    of_spend = (outcome.project, outcome.agent, outcome.session, outcome.label)
    kind = (str(outcome.operation), str(status) if status else "")
    return (part, outcome.pool, model, provider, *who, *kind, *of_spend)


# -- events ---------------------------------------------------------------------------------------------


def at(part: int, *, pool: str = "", model: str = "", provider: str = "") -> Key:
    """The key for an event, which has no app."""
    return (part, pool, model, provider, "", "", "", "", "")


def count_standby(event: Event, find: Find) -> None:
    """A model or provider was set aside."""
    ids = event.ids
    if event.type == EventType.PROVIDER_DEACTIVATED:
        if ids.get("provider"):
            find(at(ATTEMPT, provider=ids["provider"])).n[b.STANDBY] += 1
        return
    if ids.get("model"):
        find(at(ATTEMPT, model=ids["model"])).n[b.STANDBY] += 1
    if ids.get("pool"):
        find(at(REQUEST, pool=ids["pool"])).n[b.STANDBY] += 1


def count_quota_reset(event: Event, find: Find) -> None:
    ids = event.ids
    if ids.get("pool"):
        find(at(REQUEST, pool=ids["pool"])).n[b.QUOTA_RESETS] += 1
    if ids.get("model") or ids.get("provider"):
        key = at(ATTEMPT, model=ids.get("model", ""), provider=ids.get("provider", ""))
        find(key).n[b.QUOTA_RESETS] += 1
