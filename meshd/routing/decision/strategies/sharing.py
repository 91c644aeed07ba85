"""Strategies that spread requests over all models: in turn, or by the room that each has left.

Owns: `RoundRobin`, `LoadBalanced`.
Must never: count limits (`rates.py` does), or draw random numbers except the request's own.

Rule: docs/routing.md, Strategies.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from math import inf, log
from typing import NamedTuple

from meshd.routing.decision.strategies.base import Context, Derived, InContext
from meshd.routing.rates.headroom import Headroom
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec, PoolSpec, RoutingTable


class RoundRobin(InContext):
    """All in turn, in proportion to `weight`; those without weight only when no other is left.

    Stride scheduling: each request advances a model's virtual time by 1/weight, and the model furthest behind is next.
    A model that comes back from standby starts at the pool's time, so it does not catch up in a burst.
    """

    def order(self, question: Question) -> Iterator[str]:
        members, models = question.pool.members, question.table.models
        pool = self._state.pool(question.pool.name)
        turns, time = pool.turns, pool.virtual_time

        def turn(model: str) -> tuple[bool, float]:
            due = turns.get(model, 0.0)
            return not models[model].weight, due if due > time else time

        if members:
            first = min(members, key=turn)  # almost always the one taken
            yield first
            yield from (model for model in sorted(members, key=turn) if model != first)

    def chosen(self, question: Question, model: str) -> str | None:
        pool = self._state.pool(question.pool.name)
        pool.current = model
        pool.virtual_time = max(pool.turns.get(model, 0.0), pool.virtual_time)
        pool.turns[model] = pool.virtual_time + self._stride(question.table.models[model])
        return None

    @staticmethod
    def _stride(model: ModelSpec) -> float:
        return 1.0 / (model.weight or 1.0)


class _EvenTurns(RoundRobin):
    """Turns that ignore weights."""

    @staticmethod
    def _stride(model: ModelSpec) -> float:
        return 1.0


class LoadBalanced(InContext):
    """`absolute`: as many requests to each, in turn. `relative`: in proportion to what is left of their limits.

    What is left is counted in requests if each member has such a limit, else in tokens if each has one of these, else
    as the fraction left of the tightest limit: different units cannot be compared, and a model without limits has none.
    `weight` multiplies it. Drawn at random, so that apps that ask at the same time do not all choose the same model.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._even = _EvenTurns(context)
        self._members = Derived(_members)

    def order(self, question: Question) -> Iterator[str]:
        if question.pool.balance_mode == "absolute":
            yield from self._even.order(question)
            return
        members = question.pool.members
        if not members:
            return
        shares = self._shares(question)
        first = _drawn(shares, question.requester.random())
        yield members[first]
        # The others only if that one cannot be asked, each drawn by its share of those left: the minimum of exponential
        # variables is distributed that way (Efraimidis and Spirakis, 2006).
        draw = question.requester.random
        due = [-log(1.0 - draw()) / share if share > 0 else inf for share in shares]
        yield from (members[at] for at in sorted(range(len(members)), key=due.__getitem__) if at != first)

    def chosen(self, question: Question, model: str) -> str | None:
        if question.pool.balance_mode == "absolute":
            return self._even.chosen(question, model)
        self._state.pool(question.pool.name).current = model
        return None

    def _shares(self, question: Question) -> list[float]:
        """For each member."""
        members, rates = self._members.of(question), self._state.rates
        headrooms = rates.headrooms_of_providers(question, members.ids, members.one_of_each)
        if headrooms is not None:
            rooms = _comparable(headrooms)
            return [rooms[at] * weight for at, weight in members.places]
        rooms = _comparable(rates.headrooms(question, members.specs))
        return [room * spec.weight for room, spec in zip(rooms, members.specs, strict=True)]


class _Members(NamedTuple):
    """Of a pool. one_of_each: a model of each provider. places: for each member, the position of its provider there,
    and its weight."""

    specs: tuple[ModelSpec, ...]
    ids: frozenset[str]
    one_of_each: tuple[ModelSpec, ...]
    places: tuple[tuple[int, float], ...]


def _members(table: RoutingTable, pool: PoolSpec) -> _Members:
    specs = tuple(table.models[model] for model in pool.members)
    one_of_each = {spec.provider: spec for spec in specs}
    at = {provider: position for position, provider in enumerate(one_of_each)}
    places = tuple((at[spec.provider], spec.weight) for spec in specs)
    return _Members(specs, frozenset(pool.members), tuple(one_of_each.values()), places)


def _comparable(headrooms: list[Headroom]) -> list[float]:
    """What is left of each, in a unit that all of them have."""
    requests = [room for headroom in headrooms if (room := headroom.requests) is not None]
    if len(requests) == len(headrooms):
        return requests
    tokens = [room for headroom in headrooms if (room := headroom.tokens) is not None]
    if len(tokens) == len(headrooms):
        return tokens
    return [headroom.fraction for headroom in headrooms]


def _drawn(shares: list[float], at: float) -> int:
    """The position whose share of the whole contains `at` (0…1); the first if all are 0."""
    bounds = list(accumulate(shares))
    return min(bisect_right(bounds, at * bounds[-1]), len(shares) - 1) if bounds[-1] > 0 else 0
