"""The decision and its explanation, and the stages between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.core.needs import RequestNeeds
from meshd.operations import chat
from meshd.routing.availability.state import INDEFINITELY, Availability, MeshState
from meshd.routing.decision.pipeline import Pipeline, standard_stages
from meshd.routing.decision.stages.base import Stage
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec, ProviderSpec
from tests.support.routing.causes import resting
from tests.support.routing.routing_builders import (
    CHAT,
    CHAT_NEEDS,
    COMPLETION,
    NO_FEATURES,
    NOW,
    PRIORITY,
    ROUND_ROBIN,
    STICK,
    STRATEGIES,
    Mesh,
    mesh,
    model,
)

STANDARD = [stage.name for stage in standard_stages(MeshState())]
TOOLS = RequestNeeds(chat.CHAT, tools=True)


class Only(Stage):
    """Objects to all models but one."""

    permanent = True

    def __init__(self, allowed: str, name: str = "only") -> None:
        self.allowed, self.name = allowed, name

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        return None if model.id == self.allowed else f"only {self.allowed}"


def with_stages(made: Mesh, *more: Stage) -> Pipeline:
    return Pipeline(made.state, STRATEGIES, [*standard_stages(made.state), *more])


def test_the_first_in_order_that_passes_every_stage_is_chosen_and_those_before_it_say_why_not() -> None:
    made = mesh(model("p.a", streaming=False), "p.b", "p.c")
    decision = made.pipeline.decide(made.question(RequestNeeds(chat.CHAT, stream=True)))
    assert decision.model is made.table.models["p.b"]
    [dropped] = decision.dropped
    assert (dropped.model, dropped.stage.name, dropped.reason) == ("p.a", "delivery", "does not stream")
    assert dropped.permanent


def test_those_tried_already_and_those_outside_the_scope_are_left_out() -> None:
    made = mesh("p.a", "q.b", "p.c")
    decision = made.pipeline.decide(made.question(), exclude={"p.a"}, only=lambda spec: spec.provider == "p")
    assert decision.model is made.table.models["p.c"]
    assert {drop.model: drop.reason for drop in decision.dropped} == {"q.b": "outside retry.scope"}


def test_a_models_nature_comes_before_its_state() -> None:
    made = mesh(model("p.a", capabilities=(COMPLETION,)), "p.b")
    for id in ("p.a", "p.b"):
        made.state.model(id).deactivated = "by hand"
    dropped = made.pipeline.decide(made.question()).dropped
    assert {drop.model: drop.permanent for drop in dropped} == {"p.a": True, "p.b": False}


@pytest.mark.interpreted
def test_deciding_does_not_look_beyond_the_model_it_chooses() -> None:
    made = mesh(*[f"p.m{number}" for number in range(1000)])
    asked: list[str] = []

    class Counting(Only):
        def objection(self, model: ModelSpec, question: Question) -> str | None:
            asked.append(model.id)
            return None

    made.pipeline = with_stages(made, Counting(""))
    assert made.decide() == "p.m0"
    assert asked == ["p.m0"]


def test_explaining_asks_every_stage_about_every_model_that_is_left() -> None:
    made = mesh(model("p.a", capabilities=(COMPLETION,)), model("p.b", features=NO_FEATURES), "p.c", "p.d", "p.e")
    made.state.model("p.c").deactivated = "by hand"
    made.state.pool("chat").current = "p.e"
    explained = made.pipeline.explain(made.question(TOOLS))
    kept = {stage.name: stage.kept for stage in explained.stages}
    assert kept == {
        "access": ["p.a", "p.b", "p.c", "p.d", "p.e"],
        "credential": ["p.a", "p.b", "p.c", "p.d", "p.e"],
        "capability": ["p.b", "p.c", "p.d", "p.e"],
        "delivery": ["p.b", "p.c", "p.d", "p.e"],
        "features": ["p.c", "p.d", "p.e"],
        **{name: ["p.d", "p.e"] for name in ("state", "maintenance", "select", "budget", "limits")},
    }
    assert [drop.model for stage in explained.stages for drop in stage.dropped] == ["p.a", "p.b", "p.c"]
    assert explained.order == ["p.e", "p.d"]
    assert explained.chosen == "p.e"


@pytest.mark.interpreted
def test_a_pipeline_is_made_of_other_stages_as_well() -> None:
    made = mesh("p.a", "p.b")
    made.pipeline = with_stages(made, Only("p.b", "last"))
    assert [stage.name for stage in made.pipeline.stages] == [*STANDARD, "last"]
    assert made.decide() == made.pipeline.explain(made.question()).chosen == "p.b"
    assert len(Pipeline(MeshState(), STRATEGIES).stages) == len(STANDARD), "another pipeline has its own"


# -- what errors say -----------------------------------------------------------------------------------


def standby(until: float) -> Availability:
    return Availability(standby=True, until=until, why=resting("it fails"))


def test_the_soonest_recovery_is_that_of_the_model_whose_last_obstacle_goes_first() -> None:
    made = mesh("p.a", "q.b", "r.c")
    made.state.provider("p").availability = standby(NOW + 10)
    made.state.member("chat", "p.a").availability = standby(NOW + 90)
    made.state.model("q.b").availability = standby(NOW + 60)
    made.state.provider("r").availability = standby(INDEFINITELY)
    question = made.question()
    waits = [made.pipeline.clears_in(question, drop) for drop in made.pipeline.decide(question).dropped]
    assert waits == [90, 60, None]
    assert made.pipeline.recovers_in(made.question(), made.table.models["p.a"]) == 90
    assert made.pipeline.recovers_in(made.question(), made.table.models["r.c"]) is None


def test_what_an_operator_or_the_configuration_took_out_does_not_recover_by_itself() -> None:
    made = mesh("p.a", "q.b", providers=[ProviderSpec("q", "x", disabled="no key")])
    made.state.model("p.a").deactivated = "by hand"
    question = made.question()
    assert [made.pipeline.clears_in(question, drop) for drop in made.pipeline.decide(question).dropped] == [None, None]


@pytest.mark.interpreted
def test_the_error_lists_models_of_the_whole_table_that_could_do_it() -> None:
    made = mesh(model("p.a", features=NO_FEATURES), *[f"q.m{number}" for number in range(50)])
    made.state.model("q.m0").deactivated = "by hand"
    assert made.pipeline.able(made.question(TOOLS)) == [f"q.m{number}" for number in range(10)]
    assert Pipeline(made.state, STRATEGIES, [Only("q.m7")]).able(made.question(TOOLS)) == ["q.m7"]


# -- agreement -----------------------------------------------------------------------------------------

_MODELS = some.lists(
    some.builds(
        lambda tools, streaming, chat, window, weight: {
            "features": tools,
            "streaming": streaming,
            "capabilities": (CHAT,) if chat else (COMPLETION,),
            "context_window": window,
            "weight": weight,
        },
        some.sampled_from([None, {}, {"tool_calling": True}, {"tool_calling": False}]),
        some.booleans(),
        some.booleans(),
        some.none() | some.integers(1, 100),
        some.sampled_from([0.0, 0.5, 1.0, 3.0]),
    ),
    max_size=6,
)
_NEEDS = some.builds(
    RequestNeeds, some.just(chat.CHAT), stream=some.booleans(), tools=some.booleans(), tokens=some.integers(0, 100)
)


@given(_MODELS, _NEEDS, some.sampled_from([STICK, PRIORITY, ROUND_ROBIN]), some.data())
def test_decide_and_explain_always_agree(
    models: list[dict[str, object]], needs: RequestNeeds, strategy: str, data: some.DataObject
) -> None:
    specs = [model(f"p{number % 2}.m{number}", **each) for number, each in enumerate(models)]  # type: ignore[arg-type]
    made: Mesh = mesh(*specs, strategy=strategy, model_priority=tuple(spec.id for spec in specs[3:]))
    for owner in (*(made.state.model(spec.id) for spec in specs), made.state.provider("p0")):
        owner.availability = data.draw(some.sampled_from([Availability(), standby(NOW + 5), standby(NOW)]))
    for _ in range(4):
        question = made.question(data.draw(some.sampled_from([needs, CHAT_NEEDS])))
        decision, explained = made.pipeline.decide(question), made.pipeline.explain(question)
        assert (decision.model.id if decision.model else None) == explained.chosen
        stages = {drop.model: drop.stage for stage in explained.stages for drop in stage.dropped}
        assert all(stages[drop.model] == drop.stage for drop in decision.dropped)
        if decision.model is None:
            assert {drop.model for drop in decision.dropped} == set(made.pool.members)
            return
        made.pipeline.chosen(question, decision.model)
