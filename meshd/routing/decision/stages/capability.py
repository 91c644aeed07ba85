"""What a model can do by its capabilities: whether it answers the endpoint, in the way that is asked for."""

from __future__ import annotations

from functools import lru_cache

from meshd.routing.decision.stages.base import Stage
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec
from meshd.sdk.provider import Operation

_NOT_CHAT = (
    "generation.text-generation.text-completion.",
    "generation.image-generation.",
    "generation.audio-generation.",
    "generation.video-generation.",
    "understanding.audio-understanding.",
    "understanding.document-understanding.",
    "transformation.image-editing.",
    "transformation.audio-processing.",
    "representation.",
    "retrieval.search.",
    "retrieval.knowledge-graph.",
    "retrieval.reranking.",
    "evaluation.",
)
"""Nodes whose models do not answer /v1/chat/completions. All others do. With a trailing dot, so that a configured
`evaluation-notes` does not count as part of `evaluation`."""


@lru_cache(1024)
def serves(operation: Operation, capability: str) -> bool:
    """Whether a model of this capability answers the operation's endpoint."""
    path = f"{capability}."
    if operation is Operation.EMBEDDINGS:
        return path.startswith("representation.embeddings.")
    if operation is Operation.COMPLETION:
        return path.startswith("generation.text-generation.text-completion.")
    return not path.startswith(_NOT_CHAT)


def answered(capability: str) -> bool:
    """Whether any operation asks for it."""
    return any(serves(operation, capability) for operation in Operation)


class CapabilityStage(Stage):
    """The model answers the endpoint that was called."""

    name = "capability"
    permanent = True

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        operation = question.needs.operation
        for capability in model.capabilities:
            if serves(operation, capability):
                return None
        can = ", ".join(name.rpartition(".")[2] for name in model.capabilities) or "nothing"
        return f"does not answer {operation}: it offers {can}"


class DeliveryStage(Stage):
    """The model answers in the way asked for: unary, or as a stream."""

    name = "delivery"
    permanent = True

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        if question.needs.stream:
            return None if model.streaming else "does not stream"
        return None if model.synchronous else "only streams"
