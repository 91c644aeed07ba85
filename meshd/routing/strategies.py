"""Rotation policies: in which order a pool's models are to be asked.

Owns: preference. A strategy orders; whether a model may be asked at all is the stages' business.
Must never: look at a clock or draw a random number itself.

Rule: spec/routing.md, Strategies. A new strategy is a class here and a row in STRATEGIES.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from meshd.routing.stages import Question


class Strategy(Protocol):
    """`order` yields member ids, best first, lazily; `chosen` is told which one was taken."""

    def order(self, question: Question) -> Iterator[str]: ...

    def chosen(self, question: Question, model: str) -> None: ...


class StickUntilFailure:
    """The same model until it leaves `active`; then the next in the pool's order, which becomes the one."""

    def order(self, question: Question) -> Iterator[str]:
        members = question.pool.members
        current = question.state.pool(question.pool.name).current
        start = members.index(current) if current in members else 0
        yield from members[start:]
        yield from members[:start]

    def chosen(self, question: Question, model: str) -> None:
        """Nothing: the pipeline keeps the pool's current model for every strategy."""


class PrioritySelection:
    """`model_priority`, then the models of `provider_priority`, then the rest in the pool's order."""

    def order(self, question: Question) -> Iterator[str]:
        pool, models = question.pool, question.table.models
        seen: set[str] = set()
        for model in pool.model_priority:
            if model in models and model in pool.members and model not in seen:
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

    def chosen(self, question: Question, model: str) -> None:
        """Nothing: the order does not depend on what was chosen before."""


class RoundRobin:
    """All in turn, in proportion to `weight`.

    Stride scheduling: choosing a model moves its virtual time on by 1/weight, and the one furthest behind is
    next. A model that comes back from standby starts at the pool's time, so it does not catch up in a burst.
    """

    def order(self, question: Question) -> Iterator[str]:
        members = question.pool.members
        yield from sorted(members, key=lambda model: self._position(question, model))

    def chosen(self, question: Question, model: str) -> None:
        pool = question.state.pool(question.pool.name)
        position = self._position(question, model)
        pool.virtual_time = position
        question.state.member(question.pool.name, model).virtual_time = position + self._stride(question, model)

    @staticmethod
    def _stride(question: Question, model: str) -> float:
        return 1.0 / (question.table.models[model].weight or 1e-9)

    def _position(self, question: Question, model: str) -> float:
        own = question.state.member(question.pool.name, model).virtual_time
        return max(own, question.state.pool(question.pool.name).virtual_time - self._stride(question, model))


STRATEGIES: dict[str, Strategy] = {
    "modelmesh.stick-until-failure.v1": StickUntilFailure(),
    "modelmesh.priority-selection.v1": PrioritySelection(),
    "modelmesh.round-robin.v1": RoundRobin(),
}
