"""Strategies by a given order: stick until failure, leave before a limit, a list of priorities.

Owns: `StickUntilFailure`, `RateLimitAware`, `PrioritySelection`.
Must never: count requests or limits; headroom is `rates.py`'s.

Rule: docs/routing.md, Strategies.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshd.routing.decision.strategies.base import Standing, Strategy
from meshd.routing.request.question import Question
from meshd.routing.table.specs import PoolSpec


class StickUntilFailure(Standing):
    """The same model as long as it is active; then the next in the pool's order becomes the current one."""

    def order(self, question: Question) -> Iterator[str]:
        members = question.pool.members
        current = self._state.pool(question.pool.name).current
        start = question.pool.positions.get(current or "", 0)
        for position in range(start, len(members)):
            yield members[position]
        for position in range(start):
            yield members[position]


class RateLimitAware(StickUntilFailure):
    """The same model until `rate_limit.threshold` of one of its limits is used; then the next that is below it.

    Nothing is deactivated: if all are past it, the one with most headroom is asked, and the pool's current model stays
    until one has room again.
    """

    def order(self, question: Question) -> Iterator[str]:
        past_it: list[tuple[float, str]] = []
        for model in super().order(question):
            headroom = self._headroom(question, model)
            if _is_enough(question, headroom):
                yield model
            else:
                past_it.append((headroom, model))
        past_it.sort(key=lambda each: -each[0])
        yield from (model for _, model in past_it)

    def chosen(self, question: Question, model: str) -> str | None:
        current = self._state.pool(question.pool.name).current
        stands = current is not None and current in question.pool.positions and self._is_up(question, current)
        if stands and not _is_enough(question, self._headroom(question, model)):
            return None  # all are past their thresholds
        return super().chosen(question, model)

    def _is_fit(self, question: Question, model: str) -> bool:
        return self._is_up(question, model) and _is_enough(question, self._headroom(question, model))

    def _headroom(self, question: Question, model: str) -> float:
        return self._state.rates.headroom(question, question.table.models[model]).fraction


_ROUNDING = 1e-9  # of a limit: 1 - 0.9 is slightly less than 0.1


def _is_enough(question: Question, headroom: float) -> bool:
    return headroom - (1.0 - question.pool.pacing.threshold) > _ROUNDING


class PrioritySelection(Standing):
    """`model_priority`, then the models of `provider_priority`, then the rest by `fallback_strategy` (else in the
    pool's order)."""

    def order(self, question: Question) -> Iterator[str]:
        seen: set[str] = set()
        for model in self._prioritised(question):
            if model not in seen:
                seen.add(model)
                yield model
        fallback = self._fallback(question.pool)
        rest = question.pool.members if fallback is None else fallback.order(question)
        for model in rest:
            if model not in seen:
                yield model

    def chosen(self, question: Question, model: str) -> str | None:
        fallback = self._fallback(question.pool)
        if fallback is None:
            return super().chosen(question, model)
        prioritised = dict.fromkeys(self._prioritised(question))
        if model in prioritised:
            return super().chosen(question, model)
        before = self._state.pool(question.pool.name).current
        left = fallback.chosen(question, model)
        if any(self._is_up(question, better) for better in prioritised):
            # One request passed over the list: the pool does not move.
            self._state.pool(question.pool.name).current = before
            return None
        return before if before in prioritised else left

    def _fallback(self, pool: PoolSpec) -> Strategy | None:
        found = self._context.strategy(pool.fallback_strategy or "")
        return None if found is self else found

    @staticmethod
    def _prioritised(question: Question) -> Iterator[str]:
        """Those named by either list."""
        pool, models = question.pool, question.table.models
        yield from (model for model in pool.model_priority if model in pool.positions)
        for provider in pool.provider_priority:
            yield from (model for model in pool.members if models[model].provider == provider)
