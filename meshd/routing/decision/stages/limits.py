"""Whether there is room at a model now."""

from __future__ import annotations

from meshd.routing.decision.stages.base import Stage
from meshd.routing.rates.rates import Rates
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec


class LimitStage(Stage):
    """There is room at the model now: rate limits, concurrency, pacing, a key that is not resting. A request may wait
    for what this stage drops."""

    name = "limits"
    queued = True

    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        no_room = self._rates.no_room(question, model)
        return None if no_room is None else no_room.reason

    def clears_in(
        self, model: ModelSpec, question: Question, *, untested: bool = False, dropped: bool = True
    ) -> float | None:
        no_room = self._rates.no_room(question, model)
        return 0.0 if no_room is None else no_room.frees_in
