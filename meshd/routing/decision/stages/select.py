"""A pool's live `select`."""

from __future__ import annotations

from meshd.routing.availability.state import MeshState
from meshd.routing.decision.stages.base import Stage
from meshd.routing.request.question import Question
from meshd.routing.select.attributes import Live
from meshd.routing.table.specs import ModelSpec


class SelectStage(Stage):
    """The pool's live `select` includes the model now."""

    name = "select"
    by_record = True

    def __init__(self, state: MeshState) -> None:
        self._state = state

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        select = question.pool.select
        if select is None or select.score(model, Live(question, self._state)) is not None:
            return None
        return f"`select` does not include it now: {select.text}"
