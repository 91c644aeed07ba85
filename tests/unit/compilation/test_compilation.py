"""From a configuration, the catalogue and what discovery found to the table that requests are routed by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from meshd.catalogue.known import ModelRow, Prices
from meshd.compilation import compile
from meshd.compilation.compile import Compiled, Directories, Discovered, compile_config
from meshd.config import MeshConfig
from meshd.connectors.registry import ConnectorRegistry, default_registry
from meshd.routing.table.specs import ModelSpec, PoolSpec, Pricing, UnknownModel

HOUSE = {"connector": "openai-compatible.v1", "base_url": "http://house/v1"}
CHAT = "generation.text-generation.chat-completion"
COMPLETION = "generation.text-generation.text-completion"
EMBEDDINGS = "representation.embeddings.text-embeddings"
ROW = ModelRow(
    provider="openai-compatible.v1",
    id="known",
    capabilities=("chat-completion", "code-generation"),
    context_window=8000,
    max_output_tokens=2000,
    features=("tool_calling", "vision"),
    prices=Prices(input_per_1m="0.15", output_per_1m="0.60", cached_input_per_1m="0.075"),
    source="test",
    date="2026-01-01",
)


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """One well-known model, "known", of every openai-compatible provider."""
    rows = {"openai-compatible.v1": (ROW,)}
    monkeypatch.setattr(compile, "load_models", lambda connector: rows.get(connector, ()))


def compiled(
    raw: Mapping[str, Any],
    discovered: Mapping[str, Discovered] | None = None,
    missing: Mapping[str, str] | None = None,
    registry: ConnectorRegistry | None = None,
    environ: Mapping[str, str] | None = None,
) -> Compiled:
    config = MeshConfig.from_dict({"providers": {"house": HOUSE}, **raw}, environ=environ or {})
    assert config.validate() == []
    return compile_config(
        config, registry or default_registry(), discovered or {}, missing or {}, Directories("/run/x", "/data/x")
    )


def chat(*ids: str, **of_each: Any) -> dict[str, Any]:
    """Models of the house that can chat."""
    return {id: {"provider": "house", "capabilities": ["chat-completion"], **of_each} for id in ids}


def pools(made: Compiled) -> dict[str, tuple[str, ...]]:
    return {name: pool.members for name, pool in made.table.pools.items()}


def pool(section: dict[str, Any], models: dict[str, Any] | None = None, **more: Any) -> PoolSpec:
    """The configured pool "chat"."""
    models = models if models is not None else chat("house.a", "house.b", "house.c")
    return compiled({"models": models, "pools": {"chat": section}, **more}).table.pools["chat"]


def listed(*ids: str, **more: Any) -> dict[str, Discovered]:
    return {"house": Discovered(tuple({"id": id, **more} for id in ids))}


# -- providers -----------------------------------------------------------------------------------------


def test_a_provider_is_what_its_section_says() -> None:
    section = {
        **HOUSE,
        "api_key": "sk-1",
        "timeout": "5s",
        "error": {"retryable_codes": [503], "non_retryable_codes": [500]},
    }
    made = compiled({"providers": {"house": section}})
    spec = made.table.providers["house"]
    assert (spec.name, spec.connector, spec.timeout, spec.disabled) == ("house", "openai-compatible.v1", 5.0, "")
    assert (spec.retryable_codes, spec.non_retryable_codes) == ({503}, {500})
    settings = made.providers["house"]
    assert (settings.base_url, settings.api_key, settings.timeout) == ("http://house/v1", "sk-1", 5.0)
    assert (settings.runtime_dir, settings.data_dir) == ("/run/x", "/data/x")
    assert settings.auth_method is None, "the connector's own"


def test_without_a_key_there_is_no_authentication() -> None:
    assert compiled({}).providers["house"].auth_method == "none"


def test_a_provider_that_is_switched_off_is_not_there_nor_are_its_models() -> None:
    made = compiled({"providers": {"house": {**HOUSE, "enabled": False}}, "models": chat("house.a")})
    assert (made.table.providers, made.table.models, made.table.pools) == ({}, {}, {})


def test_a_provider_without_its_secret_is_there_and_disabled() -> None:
    made = compiled({"models": chat("house.a")}, missing={"house": "no secret KEY"})
    assert made.table.providers["house"].disabled == "no secret KEY"
    assert list(made.table.models) == ["house.a"]
    assert made.notes == ["provider house is left out: no secret KEY"]


def test_a_provider_whose_address_lacks_a_variable_is_disabled_and_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    section = {"house": {**HOUSE, "base_url": "http://${env:ACCOUNT}/v1"}}
    config = MeshConfig.from_dict({"providers": section}, environ={"ACCOUNT": "us"})
    settings = compile_config(config, default_registry(), {}, {}, Directories()).providers["house"]
    assert settings.base_url == "http://us/v1"
    monkeypatch.delenv("CLOUDFLARE_ACCOUNT_ID", raising=False)
    made = compiled({"providers": {"cloudflare": {"connector": "cloudflare.workers-ai.v1", "api_key": "k"}}})
    assert "CLOUDFLARE_ACCOUNT_ID" in made.table.providers["cloudflare"].disabled
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "us")
    made = compiled({"providers": {"cloudflare": {"connector": "cloudflare.workers-ai.v1", "api_key": "k"}}})
    assert made.table.providers["cloudflare"].disabled == ""


def test_a_connector_that_is_nowhere_to_be_found_is_kept_by_its_id() -> None:
    empty = ConnectorRegistry(builtin=False, outside=False)
    settings = compiled({}, registry=empty).providers["house"]
    assert (settings.connector, settings.quirks) == ("openai-compatible.v1", {})


# -- models --------------------------------------------------------------------------------------------


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


# -- models that nobody configured ---------------------------------------------------------------------


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


def test_what_a_row_says_a_model_lacks_is_denied_unless_somebody_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = msgspec.structs.replace(ROW, features=("vision",), lacks=("tool_calling", "logprobs"))
    monkeypatch.setattr(compile, "load_models", lambda connector: (row,))
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


# -- pools ---------------------------------------------------------------------------------------------


def test_a_pool_holds_every_model_at_or_below_its_node_in_their_order() -> None:
    models = {
        "house.c": {"provider": "house", "capabilities": ["text-completion"]},
        "house.a": {"provider": "house", "capabilities": ["chat-completion", "text-completion"]},
        "house.e": {"provider": "house", "capabilities": ["text-embeddings"]},
        "house.b": {"provider": "house", "capabilities": ["chat-completion"]},
        "house.d": {"provider": "house", "capabilities": ["text-completion"]},
    }
    made = pool({"capability": "text-generation"}, models)
    assert (made.capability, made.members) == (
        "generation.text-generation",
        ("house.c", "house.a", "house.b", "house.d"),
    )
    assert pool({"capability": "text-completion"}, models).members == ("house.c", "house.a", "house.d")
    assert pool({"capability": "ocr"}, models).members == ()


def test_a_pools_name_is_its_capability_by_default() -> None:
    made = compiled({"models": chat("house.a"), "pools": {"chat-completion": {}}}).table.pools["chat-completion"]
    assert (made.capability, made.members) == (CHAT, ("house.a",))


def test_listed_models_alone_are_a_pool_of_just_these() -> None:
    made = pool({"models": ["house.c", "house.a"]})
    assert (made.capability, made.members) == ("", ("house.c", "house.a"))


def test_listed_models_come_before_those_that_match() -> None:
    models = chat("house.a", "house.b") | {"house.e": {"provider": "house", "capabilities": ["text-embeddings"]}}
    made = pool({"models": ["house.e", "house.b", "house.e"], "capability": "chat-completion"}, models)
    assert made.members == ("house.e", "house.b", "house.a")


def test_a_pool_takes_only_some_providers_and_leaves_out_others_and_some_models() -> None:
    providers = dict.fromkeys(("x", "y", "z"), HOUSE)
    models = {f"{name}.{id}": {"provider": name} for name in providers for id in "ab"}
    section = {"capability": "chat-completion"}
    more = {"providers": providers}
    assert pool({**section, "providers": ["z", "x"]}, models, **more).members == ("x.a", "x.b", "z.a", "z.b")
    assert pool({**section, "excluded_providers": ["x", "y"]}, models, **more).members == ("z.a", "z.b")
    excluded = {**section, "excluded_models": ["x.a", "z.b"]}
    assert pool(excluded, models, **more).members == ("x.b", "y.a", "y.b", "z.a")
    assert pool({"models": ["x.a", "y.a"], "excluded_models": ["x.a"]}, models, **more).members == ("y.a",)
    assert pool({**section, "models": ["y.a"], "providers": ["x"]}, models, **more).members == ("x.a", "x.b")


def test_a_models_place_in_a_pool_is_kept_by_a_provider_that_is_disabled() -> None:
    made = compiled({"models": chat("house.a"), "pools": {"chat": {"models": ["house.a"]}}}, missing={"house": "no"})
    assert pools(made)["chat"] == ("house.a",)


def test_a_listed_model_that_is_switched_off_is_left_out() -> None:
    models = chat("house.a") | chat("house.b", enabled=False)
    assert pool({"models": ["house.b", "house.a"]}, models).members == ("house.a",)


def test_a_pools_rules_are_what_its_section_says() -> None:
    made = pool(
        {
            "capability": "chat-completion",
            "strategy": "priority-selection",
            "model_priority": ["house.b"],
            "provider_priority": ["house"],
            "retry": {
                "max_attempts": 4,
                "backoff": "fixed",
                "initial_delay": "1s",
                "max_delay": "2s",
                "retryable_codes": [503],
                "non_retryable_codes": [500],
                "scope": "same_provider",
                "honor_retry_after": False,
                "deadline": "9s",
            },
            "deactivation": {"retry_limit": 5, "error_codes": [500]},
            "recovery": {"cooldown": "3s", "max_cooldown": "1m"},
            "stream": {"first_token_timeout": "4s", "idle_timeout": "5s"},
            "provider_deactivation": ["on_auth_failure"],
            "provider_recovery": "on_manual",
        }
    )
    assert made.strategy == "modelmesh.priority-selection.v1"
    assert (made.model_priority, made.provider_priority) == (("house.b",), ("house",))
    retry = made.retry
    assert (retry.max_attempts, retry.backoff, retry.initial_delay, retry.max_delay) == (4, "fixed", 1.0, 2.0)
    assert (retry.retryable_codes, retry.non_retryable_codes) == ({503}, {500})
    assert (retry.scope, retry.honor_retry_after, retry.deadline) == ("same_provider", False, 9.0)
    assert (made.deactivation.retry_limit, made.deactivation.error_codes) == (5, {500})
    assert (made.recovery.cooldown, made.recovery.max_cooldown) == (3.0, 60.0)
    assert (made.stream.first_token_timeout, made.stream.idle_timeout) == (4.0, 5.0)
    assert (made.deactivate_on_auth_failure, made.deactivate_on_outage, made.recover_on_probe) == (True, False, False)


def test_an_empty_section_means_the_defaults_of_the_rules() -> None:
    made = pool({"capability": "chat-completion"})
    assert made == PoolSpec("chat", CHAT, ("house.a", "house.b", "house.c"))


# -- pools by what their models are ----------------------------------------------------------------------


def test_a_pool_requires_what_its_members_declare() -> None:
    models = (
        chat("house.a", features={"tool_calling": True}, constraints={"context_window": 8000})
        | chat("house.b", features={"tool_calling": True}, constraints={"context_window": 200_000})
        | chat("house.c", constraints={"context_window": 200_000})
    )
    section = {"capability": "chat-completion"}
    dotted = {"features.tool_calling": True, "constraints.context_window": ">=100000"}
    nested = {"features": {"tool_calling": True}, "constraints": {"context_window": ">=100000"}}
    assert pool({**section, "require": dotted}, models).members == ("house.b",)
    assert pool({**section, "require": nested}, models).members == ("house.b",)
    assert pool({"models": ["house.a", "house.c"], "require": dotted}, models).members == (), "listed ones too"


def test_a_condition_selects_and_a_number_orders() -> None:
    models = (
        chat("house.a", weight=1) | chat("house.b", weight=3) | chat("house.c", weight=2) | chat("house.d", weight=3)
    )
    section = {"capability": "chat-completion"}
    assert pool({**section, "select": "weight > 1"}, models).members == ("house.b", "house.c", "house.d")
    scored = pool({**section, "select": "weight < 9 and weight"}, models)
    assert scored.members == ("house.b", "house.d", "house.c", "house.a")
    assert scored.select is None, "it is decided"
    filtered = pool(
        {**section, "select": 'weight > 1 and id != "house.b"', "require": {"delivery.batch": False}}, models
    )
    assert filtered.members == ("house.c", "house.d")


def test_a_selection_of_what_changes_is_left_to_each_decision() -> None:
    made = pool({"capability": "chat-completion", "select": "failures < 2 and -latency.p50"})
    assert made.members == ("house.a", "house.b", "house.c")
    assert made.select is not None
    assert made.select.live
    assert made.select.scores


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(
    "section",
    [
        {"require": {"features.vision": True, "constraints.context_window": ">=8000"}},
        {"select": "features.vision and context_window >= 8000"},
        {"select": 'startswith(model, "big") or model == "known"'},
    ],
)
def test_what_discovery_finds_comes_into_a_pool_and_goes_from_it(section: dict[str, Any]) -> None:
    raw = {"pools": {"seeing": {"capability": "chat-completion", **section}}}
    big = {"id": "big", "features": ["vision"], "context_window": 9000}
    small = {"id": "small", "features": ["vision"], "context_window": 100}

    def members(*found: dict[str, Any]) -> tuple[str, ...]:
        return compiled(raw, {"house": Discovered(found)}).table.pools["seeing"].members

    assert compiled(raw).table.pools["seeing"].members == ("house.known",)
    assert members(small, {"id": "known"}) == ("house.known",)
    assert members(small, {"id": "known"}, big) == ("house.known", "house.big")
    assert members(big, {"id": "unknown"}) == ("house.big",)
    assert members(small) == ()


def test_a_pools_strategies_are_known_by_their_short_names() -> None:
    made = pool({"capability": "chat-completion", "strategy": "priority-selection", "fallback_strategy": "cost-first"})
    assert (made.strategy, made.fallback_strategy) == ("modelmesh.priority-selection.v1", "modelmesh.cost-first.v1")


# -- pools that nobody configured ------------------------------------------------------------------------


def test_predefined_pools_exist_where_a_model_fits_and_none_of_that_name_is_configured() -> None:
    models = chat("house.a") | {
        "house.e": {"provider": "house", "capabilities": ["text-embeddings"]},
        "house.s": {"provider": "house", "capabilities": ["speech-to-text"]},
    }
    section = {"embeddings": {"models": ["house.a"]}}
    assert pools(compiled({"models": models, "pools": section})) == {
        "embeddings": ("house.a",),
        "text-generation": ("house.a",),
    }


def test_without_configured_pools_each_leaf_that_has_a_model_is_a_name_to_ask_for() -> None:
    models = chat("house.a") | {"house.e": {"provider": "house", "capabilities": ["text-embeddings"]}}
    made = compiled({"models": models})
    assert pools(made) == {
        "text-generation": ("house.a",),
        "embeddings": ("house.e",),
        "chat-completion": ("house.a",),
        "text-embeddings": ("house.e",),
    }
    assert made.table.resolve("chat-completion").kind == "pool"


def test_with_configured_pools_a_leaf_goes_to_the_pool_above_it() -> None:
    made = compiled({"models": chat("house.a"), "pools": {"mine": {"capability": "text-generation"}}})
    target = made.table.resolve("chat-completion")
    assert (target.kind, target.pool.name) == ("capability", "mine")
    with pytest.raises(UnknownModel):
        made.table.resolve("text-embeddings")


def test_custom_capabilities_follow_the_same_rules() -> None:
    raw = {
        "capabilities": {"compliance": ["pii-detection", "regulatory-review"]},
        "models": {"house.p": {"provider": "house", "capabilities": ["pii-detection"]}},
    }
    made = compiled(raw)
    assert made.table.models["house.p"].capabilities == ("compliance.pii-detection",)
    assert pools(made) == {"pii-detection": ("house.p",)}
    assert pools(compiled({**raw, "pools": {"compliance": {}}}))["compliance"] == ("house.p",)


def test_every_member_of_every_pool_is_a_model_of_the_table() -> None:
    models = {f"house.m{number}": {"provider": "house"} for number in range(300)}
    sections = {f"pool-{number}": {"capability": "chat-completion"} for number in range(30)}
    made = compiled({"models": models, "pools": sections})
    for members in pools(made).values():
        assert members == tuple(models)
    assert set(made.table.models) == set(models)


@pytest.mark.parametrize("capability", ["text-to-image", "text-to-speech", "speech-to-text", "reranking", "inpainting"])
def test_what_no_operation_asks_for_makes_no_pool(capability: str) -> None:
    models = {
        **chat("house.talker"),
        "house.other": {"provider": "house", "capabilities": [capability]},
        "house.both": {"provider": "house", "capabilities": ["chat-completion", capability]},
    }
    both = ("house.talker", "house.both")
    assert pools(compiled({"models": models})) == {"text-generation": both, "chat-completion": both}
    named = {"mine": {"capability": capability}}
    assert pools(compiled({"models": models, "pools": named}))["mine"] == ("house.other", "house.both")
