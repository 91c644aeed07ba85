"""What strategies are made of: the protocol, and what the order means for a pool's current model.

Owns: `Strategy`, its two kinds (`Standing`, `ByRequest`), and what is derived once per pool (`Derived`).
Must never: look at a clock or draw a random number itself; both come with the question.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Generic, Protocol, TypeVar

from meshd.routing.availability.state import MeshState
from meshd.routing.request.question import Question
from meshd.routing.table.specs import PoolSpec, RoutingTable


class Strategy(Protocol):
    """`order` yields member ids, best first, lazily, and changes nothing. `chosen` is told which one is asked, and
    returns the model that the pool leaves for it: None if it stays, or if the strategy takes turns."""

    def order(self, question: Question) -> Iterator[str]: ...

    def chosen(self, question: Question, model: str) -> str | None: ...


class Context(Protocol):
    """What a strategy may use besides the question; the pipeline is one."""

    state: MeshState

    def is_up(self, question: Question, model: str) -> bool:
        """Whether the model, its provider and its membership in the pool are up."""

    def strategy(self, name: str) -> Strategy | None:
        """Another strategy, which one may build on."""


MakeStrategy = Callable[[Context], Strategy]


class InContext:
    """A strategy that uses what is known about models."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._state = context.state
        self._is_up = context.is_up


class Standing(InContext, ABC):
    """The pool's current model is the first in its order that is up.

    A request that passes over a model that is up, because it lacks a feature or has just failed the request, does not
    move the pool: the model is likely to serve the next request better.
    """

    @abstractmethod
    def order(self, question: Question) -> Iterator[str]: ...

    def chosen(self, question: Question, model: str) -> str | None:
        pool = self._state.pool(question.pool.name)
        if pool.current == model:
            return None
        passed_over = takewhile(lambda better: better != model, self.order(question))
        return (
            None
            if any(self._is_fit(question, better) for better in passed_over)
            else self._state.pool(question.pool.name).move_to(model)
        )

    def _is_fit(self, question: Question, model: str) -> bool:
        """Whether it may be the pool's current model."""
        return self._is_up(question, model)


class ByRequest(InContext, ABC):
    """Chosen for each request: a change of model is not reported, unless the last one is down."""

    @abstractmethod
    def order(self, question: Question) -> Iterator[str]: ...

    def chosen(self, question: Question, model: str) -> str | None:
        before = self._state.pool(question.pool.name).move_to(model)
        gone = before is not None and before in question.pool.positions and not self._is_up(question, before)
        return before if gone else None


T = TypeVar("T")


class Derived(Generic[T]):
    """A value computed once per pool and table, since decisions have only microseconds."""

    def __init__(self, make: Callable[[RoutingTable, PoolSpec], T]) -> None:
        self._make = make

    def of(self, question: Question) -> T:
        pools = question.table.derived.get(self)
        if pools is None:
            pools = question.table.derived[self] = {}
        pool = question.pool
        kept = pools.get(pool.name)
        if kept is None or kept[0] is not pool:
            kept = pools[pool.name] = (pool, self._make(question.table, pool))
        value: T = kept[1]
        return value
