"""What a model does not declare is unknown: it is asked after those that declare it, and its refusal is remembered."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.core.needs import RequestNeeds
from meshd.core.prices import Pricing
from meshd.operations import chat
from meshd.routing.attempts.plan import AttemptStep, RequestPlan
from meshd.routing.availability import interventions, saved
from meshd.routing.availability.state import Availability
from meshd.routing.decision import features
from meshd.routing.request.features import CALLED, REMEMBERED, used
from meshd.routing.request.question import Question, Requester
from meshd.routing.select.expression import compile_selection
from meshd.routing.table.policies import RetryPolicy, SessionPolicy
from meshd.routing.table.specs import PoolSpec
from meshd.sdk.provider import FailureKind, ProviderFailure
from tests.support.routing.causes import because
from tests.support.routing.routing_builders import (
    CHAT,
    NOW,
    PRIORITY,
    ROUND_ROBIN,
    STICK,
    STRATEGIES,
    Mesh,
    failure,
    gave_up,
    mesh,
    model,
    table,
    tried,
)

TOOLS = RequestNeeds(chat.CHAT, tools=True)
SAYS, DENIES, SILENT = {"tool_calling": True}, {"tool_calling": False}, {}


def refusal(*named: str, message: str = "m does not support tools") -> ProviderFailure:
    body = b'{"error": {"message": "%s"}}' % message.encode()
    return failure(FailureKind.UNSUPPORTED, message=message, body=body, refused=named)


# -- the order -----------------------------------------------------------------------------------------

_FEATURES = some.dictionaries(some.sampled_from(list(CALLED)), some.booleans()) | some.none()
_NEEDS = some.builds(
    RequestNeeds,
    some.just(chat.CHAT),
    stream=some.booleans(),
    tools=some.booleans(),
    structured=some.booleans(),
    json_mode=some.booleans(),
    images=some.integers(0, 2),
    logprobs=some.booleans(),
    tokens=some.integers(0, 50),
)
_RESTS = some.sampled_from([Availability()] * 3 + [Availability(True, NOW + 9, NOW, because("down"))])
_AGES = some.sampled_from([0.0, 60.0, REMEMBERED - 1, REMEMBERED, 10 * REMEMBERED])
_REFUSED = some.dictionaries(some.sampled_from(list(CALLED)), _AGES, max_size=2)
_SELECTS = some.sampled_from([None, None, "-requests", "requests", "weight > 0.5 and -failures"])


@some.composite
def pools(draw: some.DrawFn) -> Mesh:
    count = draw(some.integers(1, 6))
    specs = [
        model(
            f"p{at % 2}.m{at}",
            features=draw(_FEATURES),
            weight=draw(some.sampled_from([0.0, 1.0, 3.0])),
            streaming=draw(some.booleans()),
            context_window=draw(some.none() | some.integers(1, 60)),
            pricing=Pricing(per_request=draw(some.integers(0, 3))),
        )
        for at in range(count)
    ]
    ids = [spec.id for spec in specs]
    text = draw(_SELECTS)
    spec = PoolSpec(
        "chat",
        CHAT,
        tuple(ids),
        strategy=draw(some.sampled_from(list(STRATEGIES))),
        model_priority=tuple(draw(some.permutations(ids)))[: draw(some.integers(0, count))],
        fallback_strategy=draw(some.sampled_from([None, *STRATEGIES])),
        balance_mode=draw(some.sampled_from(["absolute", "relative"])),
        select=compile_selection(text) if text else None,
        session=SessionPolicy(ttl=draw(some.sampled_from([None, 60.0]))),
        retry=RetryPolicy(max_attempts=1),
    )
    made = Mesh(table(specs, [spec]), spec)
    for id in ids:
        known = made.state.model(id)
        known.availability = draw(_RESTS)
        known.requests = draw(some.integers(0, 3))
        known.refused = {name: NOW - age for name, age in draw(_REFUSED).items()}
    made.state.pool("chat").current = draw(some.sampled_from([None, *ids]))
    return made


def group(made: Mesh, id: str, needs: RequestNeeds) -> int:
    """0: declares all, 1: is silent on some, 2: recently refused some."""
    uses = {
        "tool_calling": needs.tools,
        "structured_output": needs.structured,
        "json_mode": needs.json_mode,
        "vision": needs.images,
        "logprobs": needs.logprobs,
    }
    said, refused = made.table.models[id].features or {}, made.state.model(id).refused
    names = [name for name, used in uses.items() if used]
    if any(NOW - refused.get(name, 0.0) < REMEMBERED for name in names):
        return 2
    implied = said.get("structured_output") is True
    return 0 if all(said.get(name) or (name == "json_mode" and implied) for name in names) else 1


@given(pools(), _NEEDS, some.sampled_from(["", "ann"]), some.floats(0, 1, exclude_max=True), some.data())
def test_declaring_models_come_before_silent_ones_and_none_is_lost(
    made: Mesh, needs: RequestNeeds, session: str, drawn: float, data: some.DataObject
) -> None:
    requester = Requester(session=session, random=lambda: drawn)
    question = Question(made.table, made.pool, needs, made.now, requester)
    without = data.draw(some.sets(some.sampled_from(made.pool.members)))
    models, stages = made.table.models, made.pipeline.stages
    able = {id for id in models if all(stage.objection(models[id], question) is None for stage in stages)} - without
    chosen = made.pipeline.decide(question, without).model
    assert (chosen is None) == (not able), "who is silent is asked where no other is left"
    order = [id for id in made.pipeline.strategy_of(made.pool).order(question) if id in able]
    if chosen is not None:
        assert chosen.id in able
        best = min(group(made, id, needs) for id in able)
        assert chosen.id == next(id for id in order if group(made, id, needs) == best)
        assert not any(used and (chosen.features or {}).get(name) is False for name, used in _uses(needs).items())
    explained = made.pipeline.explain(question)
    assert [id for id in explained.order if id not in without] == sorted(order, key=lambda id: group(made, id, needs))


def _uses(needs: RequestNeeds) -> dict[str, bool]:
    return {name: name in used(needs) for name in CALLED}


@given(pools(), _NEEDS)
def test_a_request_goes_round_until_one_does_it_and_hears_the_refusal_where_none_does(
    made: Mesh, needs: RequestNeeds
) -> None:
    for known in made.state.models.values():
        known.availability = Availability()
    able = made.pipeline.explain(made.question(needs)).order
    plan, asked = made.plan(needs), []
    step = plan.next(made.now)
    while isinstance(step, AttemptStep):
        asked.append(step.model.id)
        plan.failed(refusal(*used(needs)), made.now, 0.1)
        step = plan.next(made.now)
    assert sorted(asked) == sorted(able), "each once"
    error = gave_up(step)
    if asked:
        assert (error.status_code, error.message) == (400, "m does not support tools")


@pytest.mark.parametrize("strategy", [STICK, PRIORITY, ROUND_ROBIN])
def test_plain_requests_know_nothing_of_it(strategy: str) -> None:
    made = mesh(model("p.a", features=SILENT), "p.b", strategy=strategy, model_priority=("p.a",))
    made.state.model("p.a").refused["tool_calling"] = NOW
    assert made.ask() == "p.a"


@pytest.mark.parametrize("strategy", [STICK, PRIORITY])
def test_a_pool_stays_where_it_stands_when_another_declares_more(strategy: str) -> None:
    made = mesh(model("p.a", features=SILENT), model("p.b", features=SAYS), strategy=strategy, model_priority=("p.a",))
    assert [made.ask(), made.ask(TOOLS), made.ask()] == ["p.a", "p.b", "p.a"]


def test_a_second_model_beside_the_first_is_one_that_declares_it_too() -> None:
    made = mesh(model("p.a", features=SILENT), model("q.b", features=SAYS), model("r.c", features=SAYS))
    plan = made.plan(TOOLS)
    assert tried(plan.next(NOW)).model.id == "q.b"
    hedge = plan.hedge(NOW)
    assert hedge is not None
    assert hedge.model.id == "r.c"
    third = plan.hedge(NOW)
    assert third is not None
    assert third.model.id == "p.a"


def test_the_last_one_standing_that_declares_it_is_tested_before_one_that_does_not() -> None:
    made = mesh(model("p.a", features=SILENT), model("q.b", features=SAYS))
    for id in made.pool.members:
        made.state.model(id).availability = Availability(True, NOW + 60, NOW - 9, because("down"))
    assert tried(made.plan(TOOLS).next(NOW)).model.id == "q.b"
    assert tried(made.plan().next(NOW)).model.id == "p.a"


def test_models_that_declare_it_are_named_first() -> None:
    specs = [model("p.a", features=DENIES), model("q.b", features=SILENT), model("r.c", features=SAYS)]
    made = Mesh(table(specs, [PoolSpec("chat", CHAT, ("p.a",))]), PoolSpec("chat", CHAT, ("p.a",)))
    error = gave_up(made.plan(TOOLS).next(NOW))
    assert (error.code, error.could) == ("model_cannot", ["r.c", "q.b"])


# -- what is remembered --------------------------------------------------------------------------------


def after_refusal(*named: str, needs: RequestNeeds = TOOLS) -> Mesh:
    made = mesh(model("p.a", features=SILENT), model("q.b", features=SILENT))
    plan = made.plan(needs)
    assert tried(plan.next(NOW)).model.id == "p.a"
    plan.failed(refusal(*named), NOW, 0.1)
    assert tried(plan.next(NOW)).model.id == "q.b"
    plan.succeeded(NOW, 0.1)
    return made


def test_a_model_that_refused_is_asked_last_for_a_while() -> None:
    made = after_refusal("tool_calling")
    assert made.ask(TOOLS) == "q.b"
    assert made.ask(RequestNeeds(chat.CHAT, images=1)) == "p.a", "of images it said nothing"
    assert made.ask() == "p.a"
    made.now = NOW + REMEMBERED
    assert made.decide(TOOLS) == "p.a"


@pytest.mark.parametrize("named", [(), ("vision",), ("json_mode", "logprobs")])
def test_words_that_do_not_name_what_the_request_used_are_not_remembered(named: tuple[str, ...]) -> None:
    assert after_refusal(*named).decide(TOOLS) == "p.a"


def test_only_what_the_words_name_of_all_that_the_request_used_is_remembered() -> None:
    made = after_refusal("vision", needs=RequestNeeds(chat.CHAT, tools=True, images=1))
    assert made.state.model("p.a").refused == {"vision": NOW}


def test_an_answer_to_such_a_request_is_the_end_of_it() -> None:
    made = mesh(model("p.a", features=SILENT))
    made.state.model("p.a").refused = {"tool_calling": NOW, "vision": NOW}
    assert made.ask() == "p.a"
    assert made.state.model("p.a").refused == {"tool_calling": NOW, "vision": NOW}
    assert made.ask(TOOLS) == "p.a", "the only one is asked anyway"
    assert made.state.model("p.a").refused == {"vision": NOW}


def test_another_key_and_an_operators_word_are_a_new_chance() -> None:
    made = after_refusal("tool_calling")
    interventions.new_chance(made.state, made.table, "q", NOW)
    assert made.state.model("p.a").refused
    interventions.new_chance(made.state, made.table, "p", NOW)
    assert not made.state.model("p.a").refused
    made.state.model("p.a").refused["tool_calling"] = NOW
    interventions.activate(made.state, made.table, "p.a", NOW)
    assert not made.state.model("p.a").refused


@pytest.mark.parametrize(
    ("changed", "forgotten"),
    [
        ({"features": SAYS}, True),
        ({"features": DENIES}, True),
        ({"upstream": "other"}, True),
        ({"provider": "q"}, True),
        ({"weight": 2.0}, False),
        ({}, False),
    ],
)
def test_a_new_declaration_ends_a_refusal(changed: dict[str, Any], forgotten: bool) -> None:
    made = mesh(model("p.a", features=SILENT))
    made.state.model("p.a").refused["tool_calling"] = NOW
    after = table([model("p.a", **{"features": SILENT, **changed})])
    features.forget_changed(made.state, made.table, after)
    assert bool(made.state.model("p.a").refused) is not forgotten


def test_what_is_not_there_yet_or_any_more_keeps_what_is_remembered() -> None:
    made = mesh(model("p.a", features=SILENT))
    made.state.model("p.a").refused["tool_calling"] = NOW
    features.forget_changed(made.state, table([]), made.table)
    features.forget_changed(made.state, made.table, table([]))
    assert made.state.model("p.a").refused, "discovery is later than a start, and comes and goes"


def test_it_outlives_a_restart_by_the_calendar() -> None:
    made = after_refusal("tool_calling")
    kept = saved.dump_model(made.state.model("p.a"))
    made.state.model("p.a").refused.clear()
    assert saved.load_model(kept, NOW + 60).refused == {"tool_calling": NOW}, "what was dumped is a copy"
    assert saved.by_the_wall_clock(kept, 3600.0)["refused"] == {"tool_calling": NOW + 3600}
    assert saved.load_model(kept, NOW + REMEMBERED).refused == {}
    assert saved.load_model(kept, NOW - 5).refused == {"tool_calling": NOW - 5}, "a clock that was set back"


_ODD = some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=3) | some.just([])


@given(some.dictionaries(some.sampled_from([*CALLED, "x" * 999, ""]), _ODD) | _ODD)
def test_whatever_stands_in_its_place_is_read(stored: Any) -> None:
    found = saved.load_model({"refused": stored}, NOW).refused
    assert set(found) <= set(CALLED)
    assert all(NOW - REMEMBERED < at <= NOW for at in found.values())


# -- what explain says ---------------------------------------------------------------------------------


def remarks(made: Mesh, needs: RequestNeeds = TOOLS) -> dict[str, str]:
    stages = made.pipeline.explain(made.question(needs)).stages
    return next(stage.remarks for stage in stages if stage.name == "features")


def test_explain_says_which_model_is_asked_last_and_why() -> None:
    made = mesh(
        model("p.a", features=SILENT),
        model("p.b", features=SAYS),
        model("p.c", features=SILENT),
        model("p.d", features=DENIES),
    )
    made.state.model("p.c").refused["tool_calling"] = NOW - 300
    assert remarks(made) == {
        "p.a": "does not declare tools; asked last",
        "p.c": "recently refused tools (5 min ago); asked last",
    }
    assert made.pipeline.explain(made.question(TOOLS)).order == ["p.b", "p.a", "p.c"]
    assert remarks(made, RequestNeeds(chat.CHAT)) == {}


def test_explain_does_not_call_last_what_has_none_before_it() -> None:
    both = RequestNeeds(chat.CHAT, tools=True, images=1)
    made = mesh(model("p.a", features=SILENT), model("p.b", features=SAYS))
    alike = {
        "p.a": "does not declare tools; does not declare images; asked anyway",
        "p.b": "does not declare images; asked anyway",
    }
    assert remarks(made, both) == alike


@given(pools(), _NEEDS)
def test_explain_stops_at_the_stage_that_left_none(made: Mesh, needs: RequestNeeds) -> None:
    explained = made.pipeline.explain(made.question(needs))
    assert all(stage.kept for stage in explained.stages[:-1])
    names = [stage.name for stage in made.pipeline.stages]
    assert [stage.name for stage in explained.stages] == names[: len(explained.stages)]
    assert bool(explained.stages[-1].kept) == (explained.chosen is not None)
    assert all(after.kept + [drop.model for drop in after.dropped] for _, after in pairwise(explained.stages))


def test_the_plan_is_told_only_by_the_words() -> None:
    made = mesh(model("p.a", features=SILENT))
    plan: RequestPlan = made.plan(TOOLS)
    tried(plan.next(NOW))
    plan.failed(failure(FailureKind.SERVER), NOW, 0.1)
    assert made.state.model("p.a").refused == {}
