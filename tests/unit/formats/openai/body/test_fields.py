"""What fields of a body do, as the catalogue's data say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.core.needs import RequestNeeds
from meshd.formats.openai.body.known_fields import load_body_fields
from meshd.formats.openai.body.needs import read
from meshd.operations import chat
from meshd.routing.table.access import forbidden
from meshd.routing.table.capabilities import CapabilityTree
from meshd.routing.table.specs import AppSpec, ModelSpec, PoolSpec, RoutingTable
from tests.support.formats.bodies import split

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def judged(**fields: Any) -> RequestNeeds:
    body = json.dumps({**CHAT, **fields}).encode()
    return read(chat.CHAT, body).needs


@pytest.mark.parametrize(
    ("fields", "costly"),
    [
        ({"service_tier": "priority"}, ("service_tier",)),
        ({"service_tier": "default"}, ()),
        ({"service_tier": None}, ()),
        ({"service_tier": 0}, ("service_tier",)),
        ({"web_search_options": {}}, ("web_search_options",)),
        ({"modalities": ["text"]}, ()),
        ({"modalities": ["text", "audio"], "audio": {"voice": "a"}}, ("modalities", "audio")),
        ({"models": ["openai/o1-pro"]}, ("models",)),
        ({"background": False}, ()),
        ({"background": 0}, ("background",)),
        ({"store": True, "temperature": 1, "tools": [{"type": "function"}]}, ()),
        ({"tools": [{"type": "web_search"}]}, ("tools",)),
        ({"extra_body": {"service_tier": "priority"}}, ("extra_body",)),
    ],
)
def test_what_may_raise_a_price_is_known(fields: dict[str, Any], costly: tuple[str, ...]) -> None:
    assert judged(**fields).costly == costly
    assert judged(**fields).unknown == ()


def test_a_field_that_is_not_in_the_list_is_unknown_and_no_other() -> None:
    assert judged(frobnicate=1, temperature=0).unknown == ("frobnicate",)
    assert judged(frobnicate=None).unknown == ()
    plain = judged(temperature=0, top_p=1, seed=1, n=2, user="a", stop=["x"], reasoning_effort="low")
    assert (plain.costly, plain.unknown) == ((), ())


def test_a_name_written_with_escapes_is_the_same_name() -> None:
    body = b'{"model":"m","messages":[],"service\\u005ftier":"priority"}'
    assert read(chat.CHAT, body).needs.costly == ("service_tier",)


def test_what_is_predicted_is_reserved() -> None:
    assert judged(prediction={"type": "content", "content": "x" * 500}).predicted >= 500


@pytest.mark.parametrize(
    ("budget", "reserved"), [(4000, 4000), (0, 0), (-1, 0), (None, 0), ("4000", 0), (True, 0), (10**30, 10**7)]
)
def test_what_may_be_thought_beside_the_limit_is_reserved(budget: Any, reserved: int) -> None:
    assert judged(thinking_budget=budget).predicted == reserved


@given(some.dictionaries(some.text(max_size=12), some.none() | some.booleans() | some.integers() | some.text()))
def test_any_fields_are_judged(fields: dict[str, Any]) -> None:
    needs = load_body_fields().judged(RequestNeeds(chat.CHAT), split(json.dumps(fields).encode()))
    assert {*needs.costly, *needs.unknown} <= set(fields)


# -- names of models ----------------------------------------------------------------------------------

APP = AppSpec("app", models=frozenset({"cheap"}))
MODELS = [ModelSpec(name, "p", f"up/{name}", ()) for name in ("cheap", "dear")]
TABLE = RoutingTable(CapabilityTree(), MODELS, (), [PoolSpec("small", "", ("cheap",))])


def named(app: AppSpec = APP, **fields: Any) -> str | None:
    return forbidden(load_body_fields().names(split(json.dumps(fields))), app, TABLE)


@pytest.mark.parametrize(
    "fields",
    [
        {"models": ["up/cheap", "up/dear"]},
        {"models": "up/dear"},
        {"fallbacks": [{"model": "up/dear"}]},
        {"fallbacks": ["up/cheap", "up/dear"]},
        {"extra_body": {"model": "up/dear"}},
        {"extra_body": {"a": [{"models": ["up/dear"]}]}},
        {"plugins": [{"id": "auto-router", "allowed_models": ["up/dear"]}]},
        {"frobnicate": {"deep": {"model": "up/dear"}}},
        {"provider": {"fallbacks": ["up/dear"]}},
        {"models": ["up/cheap:online", "up/dear"][1:]},
        {"models": {"first": "up/cheap", "then": "up/dear"}},
        {"models": {"first": {"model": "up/cheap"}, "then": {"model": "up/dear", "weight": 1}}},
        {"models": {"up/cheap": {"weight": 1}, "up/dear": {"weight": 2}}},
        {"models": {"up/dear": 0.5}},
        {"models": {"primary": "up/cheap", "fallback": "up/dear"}},
        {"models": {"any": [{"id": "up/dear", "provider": "p"}]}},
        {"lora": "up/dear"},
        {"lora": [{"name": "up/dear", "scale": 0.5}]},
        {"lora_path": ["up/cheap", "up/dear"]},
        {"adapter_id": "up/dear"},
        {"adapterId": "up/dear"},
        {"parameters": {"adapter_id": "up/dear"}},
        {"deployment_id": "up/dear"},
        {"deployment": "up/dear"},
        {"agent_id": "up/dear"},
        {"draft_model": "up/dear"},
        {"MODEL": "up/dear"},
        {"merged_adapters": {"ids": ["up/dear"], "weights": [1.0]}},
        {"options": {"use": "up/dear"}},  # by its name alone: of a field that nothing says it of
        {"targets": [{"override": {"to": "UP/Dear"}}]},
        {"routing": {"up/dear": 1}},
        {"x": [["up/dear"]]},
    ],
)
def test_an_app_may_name_only_models_that_it_may_use(fields: dict[str, Any]) -> None:
    assert str(named(**fields)).lower() == "up/dear"
    assert str(named(AppSpec("app", pools=frozenset({"small"})), **fields)).lower() == "up/dear"
    assert named(AppSpec("app"), **fields) is None


def test_what_it_may_use_it_may_name() -> None:
    assert named(models=["up/cheap", "cheap"]) is None
    assert named(models=["up/cheap:online"]) == "up/cheap:online", "which is another price"
    assert named(messages=[{"model": "up/dear"}], metadata={"model": "up/dear"}) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"models": [{"name": "up/cheap", "provider": "elsewhere"}]},
        {"models": {"first": "up/cheap", "then": {"model": "cheap", "weight": 1}}},
        {"lora": [{"id": 0, "scale": 0.5}]},
        {"plugins": [{"id": "web", "engine": "exa", "max_results": 3}]},
        {"provider": {"order": ["p"], "allow_fallbacks": True}},
        {"user_agent": "app/1.0", "model_kwargs": {"seed": 1, "note": "dearest"}, "disable_fallbacks": True},
        {"frobnicate": {"deep": ["up/cheap", "cheap", "x"]}},
    ],
)
def test_what_is_not_a_name_of_a_model_passes(fields: dict[str, Any]) -> None:
    assert named(**fields) is None


JUNK = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=4),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
FIELDS = some.sampled_from(["x", "models", "lora", "a_model", "provider", "extra_body", "fallbacks"])


@given(JUNK, FIELDS, some.data())
def test_a_name_is_found_wherever_it_stands(around: Any, field: str, data: Any) -> None:
    """Whatever a field is called: one that the daemon knows and the app may not use."""
    place: Any = "up/dear"
    for kind in data.draw(some.lists(some.sampled_from(["list", "value", "key"]), max_size=4)):
        place = {"list": [around, place], "value": {"k": place, "r": around}, "key": {"up/dear": place}}[kind]
    assert named(**{field: place}) is not None
