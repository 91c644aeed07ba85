"""The filters between a pool's members and its strategy: each drops models, and says why.

Owns: the rules for which models may be asked.
Must never: prefer one model to another (that is the strategy's task), or change state.

A stage looks at one model at a time and is asked lazily, in the strategy's order of preference, until a model
passes them all; `explain` asks every stage about every model. So both always agree.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from meshd.routing.availability.recovery import objection
from meshd.routing.availability.state import MeshState
from meshd.routing.budgets.accounts import Accounts
from meshd.routing.decision import features
from meshd.routing.rates.rates import Rates
from meshd.routing.request.needs import RequestNeeds
from meshd.routing.request.question import Question
from meshd.routing.select.attributes import Live
from meshd.routing.table.specs import ModelSpec
from meshd.sdk.provider import Operation


class Stage(Protocol):
    """`objection` says why the model cannot be used, None when it can. `permanent` objections lie in the model's nature
    (a 400 if no model is left), others pass with time (a 503)."""

    name: str
    permanent: bool

    def objection(self, model: ModelSpec, question: Question) -> str | None: ...


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


class CapabilityStage:
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


class DeliveryStage:
    """The model answers in the way asked for: unary, or as a stream."""

    name = "delivery"
    permanent = True

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        if question.needs.stream:
            return None if model.streaming else "does not stream"
        return None if model.synchronous else "only streams"


class FeatureStage:
    """The model does not deny a feature that the request uses, and is large enough for it. A model that declares
    nothing is asked after those that do (`features.py`)."""

    name = "features"
    permanent = True

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        needs = question.needs
        return features.denied(model, needs) or self._too_long(model, needs) or self._too_many_images(model, needs)

    @staticmethod
    def _too_long(model: ModelSpec, needs: RequestNeeds) -> str | None:
        window, most = model.context_window, model.max_output_tokens
        if window is not None:
            wanted = needs.tokens + (needs.max_output or 0)
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


class StateStage:
    """The model, its membership in the pool and its provider are up, and it is not switched off."""

    name = "state"
    permanent = False

    def __init__(self, state: MeshState) -> None:
        self._state = state

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        state, now = self._state, question.now
        provider = question.table.providers.get(model.provider)
        if provider is not None and provider.disabled:
            return f"provider {model.provider} is disabled: {provider.disabled}"
        known = state.model(model.id)
        if known.deactivated is not None:
            return f"deactivated by hand: {known.deactivated}"
        why = objection(state.provider(model.provider).availability, now)
        if why is not None:
            return f"provider {model.provider}: {why}"
        return objection(known.availability, now) or objection(
            state.member(question.pool.name, model.id).availability, now
        )


class AccessStage:
    """The app may use the model (`apps.NAME.models`)."""

    name = "access"
    permanent = True

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        allowed, app = question.requester.app.models, question.requester.app
        if allowed is None or model.id in allowed:
            return None
        return f"{app.name} may not use it"


class SelectStage:
    """The pool's live `select` includes the model now."""

    name = "select"
    permanent = False

    def __init__(self, state: MeshState) -> None:
        self._state = state

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        select = question.pool.select
        if select is None or select.score(model, Live(question, self._state)) is not None:
            return None
        return f"select does not choose it now: {select.text}"


class BudgetStage:
    """The most that the request can cost still fits every budget, quota and pool rule that applies."""

    name = "budget"
    permanent = False

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        refusal = self._accounts.refusal(question, model)
        return None if refusal is None else refusal.reason


class LimitStage:
    """There is room at the model now: rate limits, concurrency, pacing, a key that is not resting. A request may wait
    for what this stage drops."""

    name = "limits"
    permanent = False

    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        no_room = self._rates.no_room(question, model)
        return None if no_room is None else no_room.reason
