"""What agents say in their exports about requests that they made.

Owns: finding it, by `meshd/catalogue/outside.toml`. Must never: keep a text other than names, or trust a figure: none
is negative, and one that is larger than can be meant is not counted.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from meshd.catalogue.known import load_models, read_data
from meshd.core.money import NANO
from meshd.core.prices import Pricing
from meshd.core.seconds import from_nanos
from meshd.host.plain_text import printable
from meshd.telemetry.otlp_in.export import Attribute, Export, Metric, Point, Record, Sum
from meshd.telemetry.statistics.outside import OutsideUse

PROJECT = "mesh.project"
"""The attribute, usually of the resource, that names the project."""
_MOST_TOKENS = 10**10  # of one record
_MOST_USD = 10**5
_CUMULATIVE = (2, "2", "AGGREGATION_TEMPORALITY_CUMULATIVE")

_DAY = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2})$")

Attributes = Mapping[str, Any]


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    agent: str
    session: str
    model: str
    tokens_in: tuple[str, ...] = ()
    tokens_cached: tuple[str, ...] = ()
    tokens_out: tuple[str, ...] = ()
    source: str = ""
    date: str = ""


class _Event(_Row, frozen=True, forbid_unknown_fields=True, kw_only=True):
    names: tuple[str, ...]
    where: dict[str, str] = {}
    cost: str = ""
    prices: str = ""


class _Counter(_Row, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    counts: Literal["tokens", "cost", "requests"]
    type: str = ""


class _Known(msgspec.Struct, frozen=True):
    event: tuple[_Event, ...]
    metric: tuple[_Counter, ...]


def uses(export: Export, signal: str) -> list[OutsideUse]:
    """Without app and user, which an export cannot say. project: "" if it says none."""
    found: list[OutsideUse] = []
    for resource in export.resources:
        common = _plain(resource.resource.attributes) if resource.resource is not None else {}
        for scope in resource.scopes:
            found += _of_records([*scope.log_records, *scope.spans], common)
            found += _of_metrics(scope.metrics, common)
    return [use._replace(signal=signal) for use in found]


def _of_records(records: Iterable[Record], common: Attributes) -> Iterator[OutsideUse]:
    events = _events()
    for record in records:
        attributes = _plain(record.attributes)
        body = record.body.plain if record.body is not None else None
        names = (record.event_name, record.name, attributes.get("event.name"), body)
        event = next((events[name] for name in names if isinstance(name, str) and name in events), None)
        if event is None or any(attributes.get(key) != value for key, value in event.where.items()):
            continue
        use = _named(event, {**common, **attributes})._replace(
            requests=1,
            tokens_in=_sum(attributes, event.tokens_in),
            tokens_out=_sum(attributes, event.tokens_out),
            cost=int(_number(attributes.get(event.cost), _MOST_USD) * NANO),
        )
        use = use._replace(tokens_cached=min(_sum(attributes, event.tokens_cached), use.tokens_in))
        pricing = _pricing(event.prices, use.model) if event.prices else None
        if pricing is not None:
            use = use._replace(cost=pricing.cost(use.tokens_in, use.tokens_out, use.tokens_cached))
        yield use


def _of_metrics(metrics: Iterable[Metric], common: Attributes) -> Iterator[OutsideUse]:
    counters = _counters()
    for metric in metrics:
        counter = counters.get(metric.name)
        if counter is not None and metric.sum is not None:
            for point in metric.sum.data_points:
                yield _of_point(counter, metric.sum, point, common)


def _of_point(counter: _Counter, of: Sum, point: Point, common: Attributes) -> OutsideUse:
    own = _plain(point.attributes)
    value = point.as_int if point.as_int is not None else point.as_double
    use = _named(counter, {**common, **own})
    if counter.counts == "cost":
        use = use._replace(cost=int(_number(value, _MOST_USD) * NANO))
    elif counter.counts == "requests":
        use = use._replace(requests=int(_number(value, _MOST_TOKENS)))
    else:
        kind, count = own.get(counter.type), int(_number(value, _MOST_TOKENS))
        use = use._replace(
            tokens_in=count if kind in counter.tokens_in else 0,
            tokens_cached=count if kind in counter.tokens_cached else 0,
            tokens_out=count if kind in counter.tokens_out else 0,
        )
    if of.aggregation_temporality not in _CUMULATIVE:
        return use
    series = "\0".join([counter.name, *sorted(f"{key}={value}"[:200] for key, value in own.items())])
    return use._replace(series=series, began=from_nanos(_number(point.start_time_unix_nano, math.inf)))


def _named(row: _Row, attributes: Attributes) -> OutsideUse:
    def name(key: str) -> str:
        value = attributes.get(key)
        return printable(value) if isinstance(value, str) else ""

    return OutsideUse(row.agent, name(row.model), name(row.session), project=name(PROJECT))


def _plain(attributes: Iterable[Attribute]) -> dict[str, Any]:
    return {each.key: each.value.plain for each in attributes if each.value is not None}


def _sum(attributes: Attributes, names: Iterable[str]) -> int:
    return sum(int(_number(attributes.get(name), _MOST_TOKENS)) for name in names)


def _number(value: Any, most: float) -> float:
    """0 for what is none, or cannot be meant; older agents write figures as text."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return found if 0 < found <= most and math.isfinite(found) else 0.0


@functools.lru_cache(maxsize=256)
def _pricing(connector: str, model: str) -> Pricing | None:
    """By the catalogue, also for a model with the day of its release behind its name. None: unknown."""
    rows = {row.id: row for row in load_models(connector)}
    row = rows.get(model) or rows.get(_DAY.sub("", model))
    if row is None or row.pricing is None:
        return None
    return Pricing.of(row.pricing, row.pricing_of_long_prompts)


@functools.cache
def _known() -> _Known:
    return msgspec.convert(read_data("outside.toml"), _Known)


@functools.cache
def _events() -> dict[str, _Event]:
    return {name: event for event in _known().event for name in event.names}


@functools.cache
def _counters() -> dict[str, _Counter]:
    return {counter.name: counter for counter in _known().metric}
