"""The rules of pools: what is wrong with one is said at its key, with the closest that would be right."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.config import MeshConfig

MODELS = {
    "providers": {"house": {"connector": "openai-compatible.v1", "base_url": "http://h/v1"}},
    "models": {"house.a": {"capabilities": ["chat-completion"]}},
}


def found(**pool: Any) -> list[tuple[str, str, str | None]]:
    """Of the pool "chat": (path below it, message, suggestion)."""
    pools = {"chat": {"capability": "chat-completion", **pool}, "other": {"capability": "chat-completion"}}
    problems = MeshConfig.from_dict({**MODELS, "pools": pools}, environ={}).validate()
    return [(each.path.removeprefix("pools.chat."), each.message, each.suggestion) for each in problems]


def test_rules_that_are_right() -> None:
    assert (
        found(
            select="features.vision and -latency.p95",
            require={"features.tool_calling": True, "constraints": {"context_window": ">=100000"}},
            strategy="priority-selection",
            fallback_strategy="cost-first",
            fallback_pools=["other", "text-generation", "embeddings"],
            deactivation={"maintenance_window": "0 3 * * sun 2h"},
        )
        == []
    )


@pytest.mark.parametrize(
    ("pool", "problem"),
    [
        (
            {"select": "featres.vision"},
            ("select", "character 1: there is no attribute 'featres.vision'", "features.vision"),
        ),
        ({"select": "id"}, ("select", "is a text; expected a condition, or a number to prefer models by", None)),
        (
            {"require": {"features.visoin": True}},
            (
                "require.features.visoin",
                "unknown condition: expected a key of features, constraints or delivery",
                "features.vision",
            ),
        ),
        (
            {"require": {"features": {"vision": "yes"}}},
            ("require.features.vision", "expected true or false, got yes", None),
        ),
        ({"fallback_pools": ["othr"]}, ("fallback_pools[0]", "there is no pool 'othr'", "other")),
        ({"fallback_pools": ["other", "chat"]}, ("fallback_pools[1]", "a pool cannot be its own fallback", None)),
        (
            {"fallback_strategy": "cost-frist"},
            ("fallback_strategy", "unknown rotation policy 'modelmesh.cost-frist.v1'", "modelmesh.cost-first.v1"),
        ),
        (
            {"strategy": "priority-selection", "fallback_strategy": "modelmesh.priority-selection.v1"},
            ("fallback_strategy", "must differ from `strategy`", None),
        ),
    ],
)
def test_rules_that_are_not(pool: dict[str, Any], problem: tuple[str, str, str | None]) -> None:
    assert found(**pool) == [problem]


def test_an_invalid_window() -> None:
    ((path, message, _),) = found(deactivation={"maintenance_window": "sundays"})
    assert path == "deactivation.maintenance_window"
    assert message


def test_what_is_of_a_wrong_type_is_a_problem_once() -> None:
    for pool in ({"select": 5}, {"require": "vision"}, {"fallback_pools": "other"}, {"deactivation": "off"}):
        assert len(found(**pool)) == 1, pool


@pytest.mark.parametrize("strategy", ["cost-first", "latency-first", "session-stickiness", "rate-limit-aware"])
def test_every_strategy_exists(strategy: str) -> None:
    assert found(strategy=strategy, fallback_strategy="load-balanced") == []


def test_a_problem_of_an_expression_has_its_line() -> None:
    text = "pools:\n  chat:\n    capability: chat-completion\n    require:\n      features.x: 1\n    select: wight\n"
    problems = MeshConfig.from_text(text, environ={}).validate()
    assert [(each.line, each.path) for each in problems] == [
        (5, "pools.chat.require.features.x"),
        (6, "pools.chat.select"),
    ]


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"])
def test_a_time_zone(name: str) -> None:
    assert MeshConfig.from_dict({"daemon": {"timezone": name}}).validate() == []


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("Europe/Berlim", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("Europe", None),
        ("../../etc/passwd", None),
        ("", None),
        ("x\0y", None),
    ],
)
def test_an_invalid_time_zone(name: str, suggestion: str | None) -> None:
    (problem,) = MeshConfig.from_dict({"daemon": {"timezone": name}}).validate()
    assert (problem.path, problem.message) == ("daemon.timezone", f"there is no time zone {name!r}")
    assert suggestion is None or problem.suggestion == suggestion
