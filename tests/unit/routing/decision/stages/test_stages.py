"""Every objection a stage can have to a model, and that nothing else is held against it."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.core.needs import RequestNeeds
from meshd.operations import chat, completion, embeddings
from meshd.routing.availability.state import INDEFINITELY, Availability, MeshState
from meshd.routing.decision.pipeline import standard_stages
from meshd.routing.decision.stages.base import Stage
from meshd.routing.decision.stages.capability import CapabilityStage, DeliveryStage, serves
from meshd.routing.decision.stages.features import FeatureStage
from meshd.routing.decision.stages.state import StateStage
from meshd.routing.table.specs import ModelSpec, ProviderSpec
from meshd.sdk.provider import OperationSpec
from tests.support.routing.causes import resting
from tests.support.routing.routing_builders import CHAT, COMPLETION, EMBEDDINGS, NOW, mesh, model


def objection(stage: Stage, spec: ModelSpec, **needs: Any) -> str | None:
    needs.setdefault("operation", chat.CHAT)
    return stage.objection(spec, mesh(spec).question(RequestNeeds(**needs)))


@pytest.mark.parametrize(
    ("operation", "capability", "answers"),
    [
        (chat.CHAT, CHAT, True),
        (chat.CHAT, "generation.text-generation.code-generation", True),
        (chat.CHAT, "understanding.vision-understanding.ocr", True),
        (chat.CHAT, "transformation.translation", False),
        (chat.CHAT, "interaction.tool-calling", True),
        (chat.CHAT, "compliance.pii-detection", True),
        (chat.CHAT, "evaluation-notes.style", True),
        (chat.CHAT, COMPLETION, False),
        (chat.CHAT, EMBEDDINGS, False),
        (chat.CHAT, "evaluation.toxicity-detection", False),
        (chat.CHAT, "retrieval.reranking", False),
        (chat.CHAT, "generation.audio-generation.text-to-speech", False),
        (completion.COMPLETION, COMPLETION, True),
        (completion.COMPLETION, f"{COMPLETION}.fill-in-the-middle", True),
        (completion.COMPLETION, CHAT, False),
        (embeddings.EMBEDDINGS, EMBEDDINGS, True),
        (embeddings.EMBEDDINGS, "representation.embeddings.image-embeddings", True),
        (embeddings.EMBEDDINGS, "representation.embeddings-of-ours", False),
        (embeddings.EMBEDDINGS, "representation.tokenization", False),
        (embeddings.EMBEDDINGS, CHAT, False),
    ],
)
def test_a_capability_answers_the_endpoint_it_is_asked_by(
    operation: OperationSpec, capability: str, answers: bool
) -> None:
    assert serves(operation, capability) is answers


def test_a_model_must_answer_the_endpoint_by_any_of_its_capabilities() -> None:
    stage = CapabilityStage()
    assert objection(stage, model("p.a", capabilities=(EMBEDDINGS, CHAT))) is None
    said = objection(stage, model("p.a", capabilities=(EMBEDDINGS, COMPLETION)))
    assert said == "does not answer chat.completions: it offers text-embeddings, text-completion"
    assert objection(stage, model("p.a", capabilities=())) == "does not answer chat.completions: it offers nothing"


def test_a_model_must_deliver_as_asked() -> None:
    stage = DeliveryStage()
    assert objection(stage, model("p.a")) is None
    assert objection(stage, model("p.a"), stream=True) is None
    assert objection(stage, model("p.a", streaming=False), stream=True) == "does not stream"
    assert objection(stage, model("p.a", streaming=False)) is None
    assert objection(stage, model("p.a", synchronous=False)) == "only streams"
    assert objection(stage, model("p.a", synchronous=False), stream=True) is None


@pytest.mark.parametrize(
    ("needs", "feature", "called"),
    [
        ({"tools": True}, "tool_calling", "tools"),
        ({"structured": True}, "structured_output", "JSON schemas"),
        ({"json_mode": True}, "json_mode", "JSON mode"),
        ({"images": 1}, "vision", "images"),
        ({"logprobs": True}, "logprobs", "log probabilities"),
    ],
)
def test_only_what_a_model_denies_drops_it(needs: dict[str, Any], feature: str, called: str) -> None:
    stage = FeatureStage(MeshState())
    assert objection(stage, model("p.a", features={feature: True}), **needs) is None
    denied = f"does not do {called} (features.{feature}: false)"
    assert objection(stage, model("p.a", features={feature: False}), **needs) == denied
    assert objection(stage, model("p.a", features={feature: False})) is None, "it does not use it"
    for nothing_said in ({}, None, {"system_prompt": False}):
        assert objection(stage, model("p.a", features=nothing_said), **needs) is None


def test_a_model_that_denies_json_mode_is_not_asked_for_it() -> None:
    said = {"structured_output": True, "json_mode": False}
    assert objection(FeatureStage(MeshState()), model("p.a", features=said), json_mode=True) is not None
    said = {"structured_output": False}
    assert objection(FeatureStage(MeshState()), model("p.a", features=said), json_mode=True) is None


@pytest.mark.parametrize("features", [{}, None])
def test_a_request_must_fit_the_context_window_with_its_answer(features: dict[str, bool] | None) -> None:
    stage, spec = FeatureStage(MeshState()), model("p.a", context_window=1000, features=features)
    assert objection(stage, spec, tokens=1000) is None
    assert objection(stage, spec, tokens=900, max_output=100) is None
    said = "too long: about 1001 tokens, and its context window is 1000"
    assert objection(stage, spec, tokens=1001) == objection(stage, spec, tokens=901, max_output=100) == said
    assert objection(stage, spec, tokens=9000, longest=1000) is None, "each text fits"
    assert objection(stage, spec, tokens=9000, longest=1001) == said


def test_a_model_must_be_able_to_write_as_much_as_is_asked_for() -> None:
    stage, spec = FeatureStage(MeshState()), model("p.a", max_output_tokens=100)
    assert objection(stage, spec) is None
    assert objection(stage, spec, max_output=100) is None
    assert objection(stage, spec, max_output=101) == "gives at most 100 output tokens, and 101 are asked for"


def test_a_model_takes_so_many_images() -> None:
    stage, spec = FeatureStage(MeshState()), model("p.a", max_images=2)
    assert objection(stage, spec, images=2) is None
    assert objection(stage, spec, images=3) == "takes at most 2 images, and there are 3"


def test_a_disabled_provider_says_why() -> None:
    made = mesh("p.a", providers=[ProviderSpec("p", "x", disabled="the secret KEY is missing")])
    said = StateStage(made.state).objection(made.table.models["p.a"], made.question())
    assert said == "provider p is disabled: the secret KEY is missing"


def test_an_operators_decision_comes_before_what_the_world_says() -> None:
    made = mesh("p.a")
    made.state.model("p.a").deactivated = "too dear"
    made.state.provider("p").availability = Availability(standby=True, until=INDEFINITELY, why=resting("gone"))
    assert (
        StateStage(made.state).objection(made.table.models["p.a"], made.question()) == "deactivated by hand: too dear"
    )


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ("provider", "provider p: it fails; tried again in 30 s"),
        ("model", "it fails; tried again in 30 s"),
        ("member", "it fails; tried again in 30 s"),
    ],
)
def test_a_model_is_out_while_its_provider_itself_or_its_membership_is(scope: str, said: str) -> None:
    made = mesh("p.a")
    state = made.state
    owner = {"provider": state.provider("p"), "model": state.model("p.a"), "member": state.member("chat", "p.a")}[scope]
    spec, stage = made.table.models["p.a"], StateStage(made.state)
    assert stage.objection(spec, made.question()) is None
    owner.availability = Availability(standby=True, until=NOW + 30, why=resting("it fails"))
    assert stage.objection(spec, made.question()) == said
    owner.availability.until = NOW
    assert stage.objection(spec, made.question()) is None, "its cooldown is over, and it may be tested"


def test_what_a_model_is_by_nature_is_told_from_what_passes() -> None:
    assert {stage.name: stage.permanent for stage in standard_stages(MeshState())} == {
        "capability": True,
        "delivery": True,
        "features": True,
        "access": True,
        "credential": True,
        "state": False,
        "maintenance": False,
        "select": False,
        "budget": False,
        "limits": False,
    }
