"""The models of the table: what the configuration, the catalogue and a provider's listing say of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshd.compilation.compile import Discovered
from meshd.compilation.models import known_models
from meshd.core.prices import Pricing
from meshd.routing.table.specs import ModelSpec
from tests.support.config.compiling import CHAT, EMBEDDINGS, HOUSE, ROW, chat, compiled, listed, pools


def test_a_configured_model_is_what_it_declares() -> None:
    section = {
        "provider": "house",
        "model": "a-2026",
        "capabilities": ["chat-completion", "text-embeddings", "chat-completion"],
        "weight": 2.5,
        "delivery": {"synchronous": True, "streaming": False},
        "features": {"tool_calling": True, "vision": False},
        "constraints": {"context_window": 100, "max_output_tokens": 10, "max_images": 3},
        "defaults": {"temperature": 0},
        "overrides": {"seed": 1},
        "pricing": {"input_per_1m": 1, "output_per_1m": 2, "cached_input_per_1m": 0.5, "per_request": 0.01},
    }
    assert compiled({"models": {"house.a": section}}).table.models["house.a"] == ModelSpec(
        id="house.a",
        provider="house",
        upstream="a-2026",
        capabilities=(CHAT, EMBEDDINGS),
        weight=2.5,
        features={"tool_calling": True, "vision": False},
        streaming=False,
        context_window=100,
        max_output_tokens=10,
        max_images=3,
        pricing=Pricing(10**9, 2 * 10**9, 5 * 10**8, 10**7),
        defaults={"temperature": 0},
        overrides={"seed": 1},
    )


def test_a_model_that_declares_nothing_can_chat_and_no_more() -> None:
    made = compiled({"models": {"house.a": {"provider": "house"}}}).table.models["house.a"]
    assert (made.upstream, made.capabilities, made.features, made.pricing) == ("a", (CHAT,), {}, Pricing())


@pytest.mark.usefixtures("catalogue")
def test_what_a_configured_model_does_not_say_the_catalogue_does() -> None:
    made = compiled({"models": {"house.known": {"provider": "house"}}}).table.models["house.known"]
    assert made.capabilities == (CHAT, "generation.text-generation.code-generation")
    assert made.features == {"tool_calling": True, "vision": True}
    assert (made.context_window, made.max_output_tokens) == (8000, 2000)
    assert made.pricing == Pricing(150_000_000, 600_000_000, 75_000_000)


@pytest.mark.usefixtures("catalogue")
def test_what_a_configured_model_says_comes_before_the_catalogue() -> None:
    section = {
        "provider": "house",
        "capabilities": ["chat-completion"],
        "features": {"vision": False, "json_mode": True},
        "constraints": {"context_window": 4000},
    }
    made = compiled({"models": {"house.known": section}}).table.models["house.known"]
    assert made.capabilities == (CHAT,)
    assert made.features == {"tool_calling": True, "vision": False, "json_mode": True}
    assert (made.context_window, made.max_output_tokens) == (4000, 2000)


@pytest.mark.usefixtures("catalogue")
def test_each_price_is_the_models_own_else_its_providers_else_the_catalogues() -> None:
    provider = {**HOUSE, "pricing": {"output_per_1m": 3, "input_per_1m": 3, "per_request": 1}}
    models = {"house.known": {"provider": "house", "pricing": {"input_per_1m": 5}}}
    made = compiled({"providers": {"house": provider}, "models": models}).table.models["house.known"]
    assert made.pricing == Pricing(5 * 10**9, 3 * 10**9, 75_000_000, 10**9)


def test_a_price_of_nothing_is_a_price() -> None:
    provider = {**HOUSE, "pricing": {"input_per_1m": 3}}
    models = {"house.a": {"provider": "house", "pricing": {"input_per_1m": 0}}}
    made = compiled({"providers": {"house": provider}, "models": models}).table.models["house.a"]
    assert made.pricing.cost(1000, 1000) == 0


def test_a_cost_of_configured_prices_is_an_integer_rounded_up() -> None:
    models = chat("house.a", pricing={"input_per_1m": "0.15", "output_per_1m": "0.6"})
    cost = compiled({"models": models}).table.models["house.a"].pricing.cost
    assert cost(1, 0) == 150
    assert cost(7, 3) == 7 * 150 + 3 * 600
    thousandth = compiled({"models": chat("house.a", pricing={"input_per_1m": "0.0000001"})})
    assert thousandth.table.models["house.a"].pricing.cost(1, 0) == 1


def test_a_model_that_is_switched_off_is_not_there() -> None:
    made = compiled({"models": chat("house.a", enabled=False) | chat("house.b")})
    assert list(made.table.models) == ["house.b"]


# -- models that are not configured ---------------------------------------------------------------------


@pytest.mark.usefixtures("catalogue")
def test_a_provider_without_configured_models_has_those_of_the_catalogue() -> None:
    made = compiled({}).table.models
    assert list(made) == ["house.known"]
    assert made["house.known"].upstream == "known"
    assert made["house.known"].features == {"tool_calling": True, "vision": True}


@pytest.mark.usefixtures("catalogue")
def test_what_discovery_found_stands_in_for_the_catalogue_and_is_completed_by_it() -> None:
    found = listed("known", "new")
    made = compiled({}, found).table.models
    assert list(made) == ["house.known", "house.new"]
    assert made["house.known"].context_window == 8000
    assert made["house.known"].pricing.input_per_1m == 150_000_000
    assert (made["house.new"].capabilities, made["house.new"].features) == ((CHAT,), None)


@pytest.mark.usefixtures("catalogue")
def test_a_listing_says_more_of_its_models_than_the_catalogue_but_not_what_they_are_for() -> None:
    said = {"features": ["logprobs"], "context_window": 9, "max_output_tokens": 8}
    found = listed("known", capabilities=["text-embeddings"], **said)
    made = compiled({}, found).table.models["house.known"]
    assert made.capabilities[0] == CHAT
    assert (made.features, made.context_window, made.max_output_tokens) == ({"logprobs": True}, 9, 8)


def test_a_feature_that_a_row_lacks_is_denied_unless_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = msgspec.structs.replace(ROW, features=("vision",), lacks=("tool_calling", "logprobs"))
    monkeypatch.setattr(known_models, "load_models", lambda connector: (row,))
    lacking = {"vision": True, "tool_calling": False, "logprobs": False}
    assert compiled({}).table.models["house.known"].features == lacking
    assert compiled({}, listed("known")).table.models["house.known"].features == lacking
    told = compiled({}, listed("known", features=["tool_calling"])).table.models["house.known"].features
    assert told == {"tool_calling": True, "logprobs": False}
    configured = {"models": {"house.known": {"provider": "house", "features": {"logprobs": True}}}}
    assert compiled(configured).table.models["house.known"].features == lacking | {"logprobs": True}


def test_a_listed_model_is_what_the_listing_says_where_nothing_else_is_known() -> None:
    made = compiled({}, listed("e", capabilities=["text-embeddings"])).table.models["house.e"]
    assert made.capabilities == (EMBEDDINGS,)


@pytest.mark.usefixtures("catalogue")
def test_an_empty_listing_leaves_the_catalogue() -> None:
    assert list(compiled({}, {"house": Discovered()}).table.models) == ["house.known"]


def test_configured_models_are_all_there_is_of_their_provider() -> None:
    assert list(compiled({"models": chat("house.a")}, listed("b")).table.models) == ["house.a"]


@pytest.mark.parametrize(
    "wanting",
    [
        {"providers": {"house": {**HOUSE, "catalogue": {"auto_discover": True}}}},
        {"discovery": {"sync": {"auto_register": True}}},
    ],
)
def test_unless_the_others_are_wanted_too(wanting: dict[str, Any]) -> None:
    models = {"house.a": {"provider": "house", "model": "a-2026"}, "house.off": {"provider": "house", "enabled": False}}
    made = compiled({"models": models, **wanting}, listed("a-2026", "b", "off"))
    assert list(made.table.models) == ["house.a", "house.b"], "the configured one is not there twice, nor the one off"


def test_a_listed_model_does_not_take_a_configured_models_id() -> None:
    providers = {"house": {**HOUSE, "catalogue": {"auto_discover": True}}, "other": HOUSE}
    models = {"house.a": {"provider": "other", "model": "x"}}
    made = compiled({"providers": providers, "models": models}, listed("a", "b"))
    assert made.table.models["house.a"].provider == "other"
    assert list(made.table.models) == ["house.a", "house.b"]


def test_a_model_that_is_listed_twice_is_there_once() -> None:
    made = compiled({}, listed("a", "a"))
    assert pools(made)["text-generation"] == ("house.a",)


@pytest.mark.usefixtures("catalogue")
def test_a_model_that_only_names_what_it_answers_has_the_features_of_its_family() -> None:
    section = {"provider": "house", "capabilities": ["chat-completion"]}
    made = compiled({"models": {"house.known-2": section, "house.other": section}}).table.models
    assert made["house.known-2"].features == {"tool_calling": True, "vision": True}
    assert made["house.other"].features == {}, "unknown: it is asked"
    denied = {**section, "features": {"vision": False}}
    made = compiled({"models": {"house.known-2": denied}}).table.models
    assert made["house.known-2"].features == {"tool_calling": True, "vision": False}
    found = compiled({}, listed("known-3")).table.models["house.known-3"]
    assert found.features == {"tool_calling": True, "vision": True}
