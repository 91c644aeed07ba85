"""Rotation policies: in which order a pool's models are to be asked.

Owns: preference, and which model a pool stands on. Whether a model may be asked at all is the stages' business.
Must never: look at a clock or draw a random number itself.

Rule: spec/routing.md, Strategies. A new strategy is a class here and a row in STRATEGIES.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import takewhile
from typing import Protocol

from meshd.routing.stages import Question, StateStage


class Strategy(Protocol):
    """`order` yields member ids, best first, lazily. `chosen` is told which one is asked, and returns the model
    that the pool leaves by it: None where it stays, or where taking turns is the rule."""

    def order(self, question: Question) -> Iterator[str]: ...

    def chosen(self, question: Question, model: str) -> str | None: ...


_UP = StateStage()


class _Preference(ABC):
    """The pool stands on the first model in its order that is up.

    A request that passes over one which is up, because that one cannot do what it needs or has just failed it,
    leaves the pool where it stands: the next request is likely to be better served there.
    """

    @abstractmethod
    def order(self, question: Question) -> Iterator[str]: ...

    def chosen(self, question: Question, model: str) -> str | None:
        models = question.table.models
        passed_over = takewhile(lambda better: better != model, self.order(question))
        if any(_UP.objection(models[better], question) is None for better in passed_over):
            return None
        pool = question.state.pool(question.pool.name)
        before, pool.current = pool.current, model
        return None if before == model else before


class StickUntilFailure(_Preference):
    """The same model until it leaves `active`; then the next in the pool's order, which becomes the one."""

    def order(self, question: Question) -> Iterator[str]:
        members = question.pool.members
        current = question.state.pool(question.pool.name).current
        start = question.pool.positions.get(current or "", 0)
        for position in range(start, len(members)):
            yield members[position]
        for position in range(start):
            yield members[position]


class PrioritySelection(_Preference):
    """`model_priority`, then the models of `provider_priority`, then the rest in the pool's order."""

    def order(self, question: Question) -> Iterator[str]:
        pool, models = question.pool, question.table.models
        seen: set[str] = set()
        for model in pool.model_priority:
            if model in pool.positions and model not in seen:
                seen.add(model)
                yield model
        for provider in pool.provider_priority:
            for model in pool.members:
                if model not in seen and models[model].provider == provider:
                    seen.add(model)
                    yield model
        for model in pool.members:
            if model not in seen:
                yield model


class RoundRobin:
    """All in turn, in proportion to `weight`; those without weight only when no other is left.

    Stride scheduling: being asked moves a model's virtual time on by 1/weight, and the one furthest behind is
    next. A model that comes back from standby starts at the pool's time, so it does not catch up in a burst.
    """

    def order(self, question: Question) -> Iterator[str]:
        members, models = question.pool.members, question.table.models
        pool = question.state.pool(question.pool.name)
        turns, time = pool.turns, pool.virtual_time

        def turn(model: str) -> tuple[bool, float]:
            due = turns.get(model, 0.0)
            return not models[model].weight, due if due > time else time

        if members:
            first = min(members, key=turn)  # almost always the one that is taken
            yield first
            yield from (model for model in sorted(members, key=turn) if model != first)

    def chosen(self, question: Question, model: str) -> str | None:
        pool = question.state.pool(question.pool.name)
        pool.current = model
        pool.virtual_time = max(pool.turns.get(model, 0.0), pool.virtual_time)
        pool.turns[model] = pool.virtual_time + 1.0 / (question.table.models[model].weight or 1.0)
        return None


STRATEGIES: dict[str, Strategy] = {
    "modelmesh.stick-until-failure.v1": StickUntilFailure(),
    "modelmesh.priority-selection.v1": PrioritySelection(),
    "modelmesh.round-robin.v1": RoundRobin(),
}
