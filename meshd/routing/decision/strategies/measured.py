"""Strategies by what a request costs or how long it takes.

Owns: `CostFirst`, `LatencyFirst`.
Must never: measure or price anything; prices are the table's, latencies the state's.

Rule: docs/routing.md, Strategies. Both look at every member for every request, with a few arithmetic operations each on
figures laid out beforehand.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from meshd.core.needs import OUTPUT_LIMITS
from meshd.routing.availability.state import ModelState
from meshd.routing.decision.strategies.base import ByRequest, Context, Derived
from meshd.routing.request.estimate import IMAGE_TOKENS, OUTPUT_UNKNOWN, asks_for_sound
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec, PoolSpec, RoutingTable

EXPLORED = 0.05
"""The share of requests with which `latency-first` measures the other models."""
_STALE = 3600.0  # s: an older measurement counts as this old

_MILLION = 1_000_000
_LIMITS = frozenset({*OUTPUT_LIMITS, "n"})  # parameters that change an estimate


class _Tariff(NamedTuple):
    """The terms of `Estimate.cost`, unrounded: 10⁻¹⁵ USD a token of input, a token of output (or a whole answer), a
    request, and an image in it. vocabulary: counts its input. Floats: they only order, and are exact up to 9 USD a
    request."""

    vocabulary: str
    input: float
    output: float
    request: float
    image: float


class _Tariffs(NamedTuple):
    """A pool's. rows: of requests with an output limit; unlimited: of others, where output is a whole answer.
    special: positions of models whose parameters affect the estimate, or that cost
    more above some length."""

    priced: tuple[ModelSpec, ...]
    rows: tuple[_Tariff, ...]
    unlimited: tuple[_Tariff, ...]
    special: tuple[int, ...]
    unpriced: tuple[str, ...]
    vocabularies: frozenset[str]


def _tariffs(table: RoutingTable, pool: PoolSpec) -> _Tariffs:
    models = [table.models[model] for model in pool.members]
    priced = tuple(model for model in models if model.priced)
    rows = tuple(
        _Tariff(
            model.vocabulary,
            float(model.pricing.input_per_1m),
            float(model.pricing.output_per_1m),
            float(model.pricing.per_request * _MILLION),
            float((model.tokens_per_image or IMAGE_TOKENS) * model.pricing.input_per_1m),
        )
        for model in priced
    )
    longest = [float(model.max_output_tokens or model.context_window or OUTPUT_UNKNOWN) for model in priced]
    unlimited = tuple(row._replace(output=row.output * most) for row, most in zip(rows, longest, strict=True))
    special = tuple(at for at, model in enumerate(priced) if _is_special(model))
    unpriced = tuple(model.id for model in models if not model.priced)
    vocabularies = frozenset(row.vocabulary for row in rows)
    return _Tariffs(priced, rows, unlimited, special, unpriced, vocabularies)


def _is_special(model: ModelSpec) -> bool:
    return bool(model.pricing.long_prompts) or not _LIMITS.isdisjoint({*model.defaults, *model.overrides})


class CostFirst(ByRequest):
    """The lowest expected cost of this request; among equals the one that cost least so far, then the pool's order.
    Models of unknown price come last."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._tariffs = Derived(_tariffs)

    def order(self, question: Question) -> Iterator[str]:
        tariffs = self._tariffs.of(question)
        models, costs = tariffs.priced, _costs(tariffs, question)
        if models:
            known = self._state.models

            def spent(at: int) -> int:
                state = known.get(models[at].id)
                return state.cost if state is not None else 0

            least = min(costs)
            first = costs.index(least)
            if costs.count(least) > 1:
                first = min((at for at, cost in enumerate(costs) if cost == least), key=spent)
            yield models[first].id
            rest = sorted(range(len(models)), key=lambda at: (costs[at], spent(at)))
            yield from (models[at].id for at in rest if at != first)
        yield from tariffs.unpriced


def _costs(tariffs: _Tariffs, question: Question) -> list[float]:
    """`question.estimate(model).cost` of each, unrounded."""
    needs = question.needs
    tokens = {vocabulary: float(needs.tokens_at_most(vocabulary)) for vocabulary in tariffs.vocabularies}
    choices = float(max(needs.choices, 1)) if needs.operation.output else 0
    limited = needs.max_output or not choices
    rows, out = (tariffs.rows, (needs.max_output or 0) * choices) if limited else (tariffs.unlimited, choices)
    images = needs.images  # each model counts them in its own way
    costs = [tokens[of] * i + out * o + request + images * image for of, i, o, request, image in rows]
    each = needs.units or needs.operation.told or needs.attached or asks_for_sound(needs)
    for at in range(len(costs)) if each else tariffs.special:
        costs[at] = _estimated(tariffs, question, at)
    return costs


def _estimated(tariffs: _Tariffs, question: Question, at: int) -> float:
    return float(question.estimate(tariffs.priced[at]).cost * _MILLION)


class LatencyFirst(ByRequest):
    """The lowest recent time to first token (of streams) or to the whole answer (of others).

    A model that was never measured is tried first, by one request at a time, until one ends. A small share of requests
    goes to the others, preferring those not asked recently, so that a slow minute is forgotten.
    """

    def order(self, question: Question) -> Iterator[str]:
        members, known = question.pool.members, self._state.models
        states = [known.get(model) for model in members]
        times = _times(states, stream=question.needs.stream)
        draw, explored = question.requester.random(), None
        if draw < EXPLORED and len(members) > 1:
            first = next(_by_time(states, times))
            others = [at for at in range(len(members)) if at != first]
            explored = _longest_unasked(others, states, question.now, draw / EXPLORED)
            yield members[explored]
        yield from (members[at] for at in _by_time(states, times) if at != explored)


def _by_time(states: list[ModelState | None], times: list[float | None]) -> Iterator[int]:
    """Positions: the untried, the fastest, the others."""
    measured: list[tuple[float, int]] = []
    untried: list[int] = []
    unknown: list[int] = []
    for at, time in enumerate(times):
        if time is not None:
            measured.append((time, at))
        else:
            (untried if _is_untried(states[at]) else unknown).append(at)
    yield from untried
    if measured:
        best = min(measured)
        yield best[1]
        yield from (at for time, at in sorted(measured) if at != best[1])
    yield from unknown


def _times(states: list[ModelState | None], *, stream: bool) -> list[float | None]:
    if stream:
        return [None if state is None else state.first_token.smoothed for state in states]
    return [None if state is None else state.total.smoothed for state in states]


def _is_untried(state: ModelState | None) -> bool:
    """No request is trying it now, and earlier tries did not fail; otherwise another would only wait for the same, or
    fail too."""
    return state is None or (not state.in_flight and state.last_failure is None)


def _longest_unasked(positions: list[int], states: list[ModelState | None], now: float, at: float) -> int:
    """One of them, with a probability in proportion to the time since it was asked. at: uniform in 0…1."""
    bounds = list(accumulate(_age(states[position], now) for position in positions))
    return positions[min(bisect_right(bounds, at * bounds[-1]), len(positions) - 1)]


def _age(state: ModelState | None, now: float) -> float:
    """s, at least 1, so that each may be chosen."""
    if state is None or state.last_request is None:
        return _STALE
    return min(max(now - state.last_request, 1.0), _STALE)
