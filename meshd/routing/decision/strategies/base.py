"""What strategies are made of: the protocol, and what the order means for a pool's current model.

Owns: `Strategy`, its two kinds (`Standing`, `ByRequest`), and what is derived once per pool (`Derived`).
Must never: look at a clock or draw a random number itself; both come with the question.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from meshd.routing.decision.stages import Question, StateStage
from meshd.routing.table.specs import PoolSpec, RoutingTable


class Strategy(Protocol):
    """`order` yields member ids, best first, lazily, and changes nothing. `chosen` is told which one is asked, and
    returns the model that the pool leaves for it: None if it stays, or if the strategy takes turns."""

    def order(self, question: Question) -> Iterator[str]: ...

    def chosen(self, question: Question, model: str) -> str | None: ...


_STATE = StateStage()


def is_up(question: Question, model: str) -> bool:
    return _STATE.objection(question.table.models[model], question) is None


class Standing(ABC):
    """The pool's current model is the first in its order that is up.

    A request that passes over a model that is up, because it lacks a feature or has just failed the request, does not
    move the pool: the model is likely to serve the next request better.
    """

    @abstractmethod
    def order(self, question: Question) -> Iterator[str]: ...

    def chosen(self, question: Question, model: str) -> str | None:
        if question.state.pool(question.pool.name).current == model:
            return None
        passed_over = takewhile(lambda better: better != model, self.order(question))
        return None if any(self._is_fit(question, better) for better in passed_over) else stand_on(question, model)

    def _is_fit(self, question: Question, model: str) -> bool:
        """Whether it may be the pool's current model."""
        return is_up(question, model)


class ByRequest(ABC):
    """Chosen for each request: a change of model is not reported, unless the last one is down."""

    @abstractmethod
    def order(self, question: Question) -> Iterator[str]: ...

    def chosen(self, question: Question, model: str) -> str | None:
        before = stand_on(question, model)
        gone = before is not None and before in question.pool.positions and not is_up(question, before)
        return before if gone else None


def stand_on(question: Question, model: str) -> str | None:
    """Move the pool to `model`; returns the model that it leaves, if another."""
    pool = question.state.pool(question.pool.name)
    before, pool.current = pool.current, model
    return None if before == model else before


T = TypeVar("T")


class Derived(Generic[T]):
    """A value computed once per pool and table, since decisions have only microseconds."""

    def __init__(self, make: Callable[[RoutingTable, PoolSpec], T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[RoutingTable, dict[str, tuple[PoolSpec, T]]] = WeakKeyDictionary()

    def of(self, question: Question) -> T:
        pools = self._made.get(question.table)
        if pools is None:
            pools = self._made[question.table] = {}
        pool = question.pool
        kept = pools.get(pool.name)
        if kept is None or kept[0] is not pool:
            kept = pools[pool.name] = (pool, self._make(question.table, pool))
        return kept[1]
