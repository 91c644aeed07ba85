"""Whether there is room at a model now."""

from __future__ import annotations

from meshd.core.events.cause import Cause
from meshd.routing.availability.recovery import ACTIVE, STANDBY
from meshd.routing.decision.stages.base import ModelStatus, Stage
from meshd.routing.rates.rates import Rates
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec


class LimitStage(Stage):
    """There is room at the model now: rate limits, concurrency, pacing, a key that is not set aside. A request may wait
    for models that this stage drops."""

    name = "limits"
    queued = True

    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        no_room = self._rates.no_room(question, model)
        if no_room is None:
            return None
        return no_room.reason if question.requester.share == 1.0 else f"for batches, {no_room.reason}"

    def status(self, model: ModelSpec, question: Question) -> ModelStatus | None:
        alone = self._rates.left_alone(model.id, question.now)
        if alone is None or not question.pool.retry.honor_retry_after:
            return None
        why = f"{model.provider} asked us to pause" + (f": {alone.reason}" if question.requester.operator else "")
        return ModelStatus(STANDBY if alone.longer else ACTIVE, why, alone.left(question.now), Cause.RATE_LIMITED)

    def clears_in(
        self, model: ModelSpec, question: Question, *, untested: bool = False, dropped: bool = True
    ) -> float | None:
        no_room = self._rates.no_room(question, model)
        return 0.0 if no_room is None else no_room.frees_in
