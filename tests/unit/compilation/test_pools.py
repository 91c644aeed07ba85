"""The pools of the table: which models they hold, and by which rules."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.compilation.compile import Discovered
from meshd.routing.table.specs import PoolSpec
from tests.support.config.compiling import CHAT, HOUSE, chat, compiled, pool, pools


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


# -- pools that are not configured ------------------------------------------------------------------------


def test_predefined_pools_exist_where_a_model_fits_and_none_of_that_name_is_configured() -> None:
    models = chat("house.a") | {
        "house.e": {"provider": "house", "capabilities": ["text-embeddings"]},
        "house.s": {"provider": "house", "capabilities": ["speech-to-text"]},
    }
    section = {"embeddings": {"models": ["house.a"]}}
    assert pools(compiled({"models": models, "pools": section})) == {
        "embeddings": ("house.a",),
        "text-generation": ("house.a",),
        "speech-to-text": ("house.s",),
    }
