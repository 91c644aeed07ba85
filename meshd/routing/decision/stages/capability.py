"""What a model can do by its capabilities: whether it answers the endpoint, in the way that is asked for."""

from __future__ import annotations

from meshd.operations.known import serves
from meshd.routing.decision.stages.base import Stage
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec


class CapabilityStage(Stage):
    """The model answers the endpoint that was called."""

    name = "capability"
    permanent = True

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        operation = question.needs.operation
        for capability in model.capabilities:
            if serves(operation, capability):
                return self._unspoken(model, question)
        can = ", ".join(name.rpartition(".")[2] for name in model.capabilities) or "nothing"
        return f"does not answer {operation}: it offers {can}"

    @staticmethod
    def _unspoken(model: ModelSpec, question: Question) -> str | None:
        operation, provider = question.needs.operation, question.table.providers.get(model.provider)
        if provider is None or any(map(operation.spoken_in, provider.formats)):
            return None
        return f"its provider speaks {', '.join(provider.formats)}, in which the mesh cannot ask for {operation}"


class DeliveryStage(Stage):
    """The model answers in the way asked for: unary, or as a stream."""

    name = "delivery"
    permanent = True

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        if question.needs.stream:
            return None if model.streaming else "does not stream"
        return None if model.synchronous else "only streams"
