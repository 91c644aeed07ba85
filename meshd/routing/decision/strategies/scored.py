"""The order of a pool whose `select` gives a live score.

Owns: `Scored`.
Must never: evaluate anything itself; expressions are `routing/select/expression.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from meshd.routing.decision.strategies.base import ByRequest, Context, Strategy
from meshd.routing.request.question import Question
from meshd.routing.select.attributes import Live


class Scored(ByRequest):
    """By score, the highest first; among equals by the pool's strategy. Those not selected come last, where the stage
    `select` drops them."""

    def __init__(self, context: Context, strategy: Strategy) -> None:
        super().__init__(context)
        self._strategy = strategy

    def order(self, question: Question) -> Iterator[str]:
        select, models = question.pool.select, question.table.models
        assert select is not None, "a pool with a strategy by score has a selection"

        ids = list(self._strategy.order(question))
        live = Live(question, self._state)
        scores = [select.score(models[id], live) for id in ids]
        ranks = [inf if score is None else -score for score in scores]
        yield from (ids[at] for at in sorted(range(len(ids)), key=ranks.__getitem__))

    def chosen(self, question: Question, model: str) -> str | None:
        pool = self._state.pool(question.pool.name)
        before = pool.current
        self._strategy.chosen(question, model)
        pool.current = before
        return super().chosen(question, model)
