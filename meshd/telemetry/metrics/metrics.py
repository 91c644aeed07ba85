"""All metrics of requests, attempts and events since the daemon's start.

Owns: which counts there are, and how many.
Must never: grow without bound. Labels are configured names; beyond MOST kinds of requests or of attempts, which takes
many models and apps, new ones are counted together as `(others)`.

Counting a request takes two look-ups and a few additions; metrics are made of the counts when they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from meshd.core.events.records import Attempt, Event, Outcome
from meshd.core.money import dollars
from meshd.sdk.metrics import Family, Row
from meshd.telemetry.metrics import instruments as of
from meshd.telemetry.metrics.counts import Attempts, Histogram, Requests
from meshd.telemetry.metrics.instruments import INSTRUMENTS, Instrument
from meshd.telemetry.metrics.names import Names

MOST = 4000
OTHERS = "(others)"
_WENT_AWAY = 499


class AttemptKey(NamedTuple):
    operation: str
    provider: str
    model: str
    error: str


class RequestKey(NamedTuple):
    operation: str
    pool: str
    provider: str
    model: str
    app: str
    status: int


Key = TypeVar("Key", AttemptKey, RequestKey)
_REST_OF_ATTEMPTS = AttemptKey(OTHERS, OTHERS, OTHERS, "")
_REST_OF_REQUESTS = RequestKey(OTHERS, OTHERS, OTHERS, OTHERS, OTHERS, 0)


class Metrics:
    def __init__(self, most: int = MOST) -> None:
        self.names = Names()
        self._most = most
        self._attempts: dict[AttemptKey, Attempts] = {}
        self._requests: dict[RequestKey, Requests] = {}
        self._events: dict[str, int] = {}

    # -- counting -------------------------------------------------------------------------------------

    def count(self, outcome: Outcome) -> None:
        model, provider, attempts = outcome.model, outcome.provider, outcome.attempts
        if attempts and not model:
            model, provider = attempts[-1].model, attempts[-1].provider
        operation = outcome.operation
        key = RequestKey(operation, outcome.pool, provider, model, outcome.account, outcome.status)
        self._found(self._requests, key, _REST_OF_REQUESTS, Requests).count(outcome)
        for attempt in attempts or _only(outcome):
            known = AttemptKey(
                operation, attempt.provider, attempt.model, "" if attempt.ok else attempt.reason or "error"
            )
            self._found(self._attempts, known, _REST_OF_ATTEMPTS, Attempts).count(attempt)

    def event(self, event: Event) -> None:
        self._events[event.type] = self._events.get(event.type, 0) + 1

    def _found(self, known: dict[Key, Any], key: Key, rest: Key, make: Callable[[], Any]) -> Any:
        found = known.get(key)
        if found is None:
            if len(known) >= self._most:
                key = rest
            found = known.setdefault(key, make())
        return found

    # -- reading --------------------------------------------------------------------------------------

    def families(self) -> Iterator[Family]:
        counted: dict[str, list[tuple[Mapping[str, str], Any]]] = {
            "attempts": [(self._labels_of_attempts(key), counts) for key, counts in self._attempts.items()],
            "requests": [(self._labels_of_requests(key), counts) for key, counts in self._requests.items()],
        }
        for each in INSTRUMENTS:
            yield _family(each, counted[each.of])
        rows: tuple[Row, ...] = tuple(((type,), count) for type, count in self._events.items())
        yield Family("meshd.events", "counter", "{event}", "Events, by type.", (of.EVENT,), rows)

    def _labels_of_attempts(self, key: AttemptKey) -> dict[str, str]:
        return {**self._asked(key.operation, key.provider, key.model), of.ERROR: key.error}

    def _labels_of_requests(self, key: RequestKey) -> dict[str, str]:
        status = str(key.status) if key.status else ""
        return {
            **self._asked(key.operation, key.provider, key.model),
            of.POOL: key.pool,
            of.APP: key.app,
            of.STATUS: status,
            of.ERROR: status if key.status >= 400 else "",
        }

    def _asked(self, operation: str, provider: str, model: str) -> dict[str, str]:
        return {
            of.OPERATION: self.names.operation(operation),
            of.PROVIDER: self.names.provider(provider),
            of.MODEL: self.names.model(model),
            of.OUR_PROVIDER: provider,
            of.OUR_MODEL: model,
        }


def _only(outcome: Outcome) -> tuple[Attempt, ...]:
    """The attempt of a request that has no record of any, but was answered by a model."""
    if not outcome.model or outcome.cached:
        return ()
    ok = outcome.status < 400
    duration = max(0.0, outcome.total_time - outcome.queue_time - outcome.routing_time)
    return (
        Attempt(
            outcome.model,
            outcome.provider,
            ok,
            "" if ok else "cancelled" if outcome.status == _WENT_AWAY else str(outcome.status),
            duration=duration,
            tokens_in=outcome.tokens_in,
            tokens_out=outcome.tokens_out,
        ),
    )


# -- from counts to metrics -----------------------------------------------------------------------------


def _family(instrument: Instrument, counted: list[tuple[Mapping[str, str], Any]]) -> Family:
    sums: dict[tuple[str, ...], Any] = {}
    fixed = instrument.labels if len(instrument.fields) == 1 else instrument.labels[:-1]
    for labels, counts in counted:
        for value, field in instrument.fields:
            found = getattr(counts, field)
            if isinstance(found, dict):
                group = tuple([labels[name] for name in instrument.labels[:-1]])
                for unit, count in found.items():
                    _add(sums, (*group, unit), count, instrument)
            else:
                group = tuple([labels[name] for name in fixed])
                _add(sums, (*group, value) if value else group, found, instrument)
    measured = [(group, _value(found, instrument)) for group, found in sums.items()]
    rows = tuple([(group, each) for group, each in measured if each is not None])
    return Family(
        instrument.name, instrument.kind, instrument.unit, instrument.help, instrument.labels, rows, instrument.bounds
    )


def _add(sums: dict[tuple[str, ...], Any], group: tuple[str, ...], found: Any, instrument: Instrument) -> None:
    if not isinstance(found, Histogram):
        sums[group] = sums.get(group, 0) + found
        return
    known = sums.get(group)
    if known is None:
        known = sums[group] = Histogram(instrument.bounds)
    known.merge(found)


def _value(found: Any, instrument: Instrument) -> Any:
    if isinstance(found, Histogram):
        return found.value()
    return dollars(found) if instrument.unit == "USD" else found
