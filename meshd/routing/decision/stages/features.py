"""Whether a model does what the request uses, and is large enough for it."""

from __future__ import annotations

from collections.abc import Sequence

from meshd.core.needs import RequestNeeds
from meshd.routing.availability.state import MeshState
from meshd.routing.decision import features
from meshd.routing.decision.stages.base import Stage
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec


class FeatureStage(Stage):
    """The model does not deny a feature that the request uses, and is large enough for it. A model that declares
    nothing is asked after those that do (`features.py`)."""

    name = "features"
    permanent = True

    def __init__(self, state: MeshState) -> None:
        self._state = state

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        needs = question.needs
        return features.denied(model, needs) or self._too_long(model, needs) or self._too_many_images(model, needs)

    def remarks(self, models: Sequence[str], question: Question) -> dict[str, str]:
        return features.remarks(question, models, self._state.models)

    @staticmethod
    def _too_long(model: ModelSpec, needs: RequestNeeds) -> str | None:
        window, most = model.context_window, model.max_output_tokens
        if window is not None:
            wanted = (needs.longest or needs.tokens) + (needs.max_output or 0)
            if wanted > window:
                return f"too long: about {wanted} tokens, and its context window is {window}"
        if most is not None and needs.max_output is not None and needs.max_output > most:
            return f"gives at most {most} output tokens, and {needs.max_output} are asked for"
        return None

    @staticmethod
    def _too_many_images(model: ModelSpec, needs: RequestNeeds) -> str | None:
        if model.max_images is not None and needs.images > model.max_images:
            return f"takes at most {model.max_images} images, and there are {needs.images}"
        return None
