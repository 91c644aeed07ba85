"""Prices that change and models that end, as an operator sees them: events, `meshctl status`, `models`, `catalogue`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from meshd.catalogue import overrides
from meshd.catalogue.overrides import Listed, Overrides
from tests.support.daemons.pool_rule_cases import events
from tests.support.processes.meshctl import run

OPENAI = "openai.llm.v1"
ENDED, DAY = "gpt-4.1-nano", "2026-10-23"


@pytest.fixture(scope="module")
def daemon(module_meshd: Callable[..., Any], module_upstream: Callable[..., Any]) -> Any:
    server = module_upstream()
    models = {f"openai.{name}": {} for name in (ENDED, "gpt-4o-mini")}
    return module_meshd(
        {
            "providers": {"openai": {**server.provider(), "connector": OPENAI}},
            "models": models,
            "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}},
        }
    )


def test_a_model_that_ends_is_said_where_people_look(daemon: Any) -> None:
    [event] = events(daemon, "model_deprecated", model=f"openai.{ENDED}")
    assert (event["severity"], event["changed"]["day"]) == ("warning", DAY)

    def said(*words: str) -> str:
        return run(*words, MESH_SOCKET=str(daemon.socket), COLUMNS="200").stdout

    assert f"openai stops serving 2 models between {DAY} and " in said("status", "--all")
    assert f"to be retired on {DAY}" in said("models")
    assert json.loads(said("models", f"openai.{ENDED}", "--json"))["retires"] == DAY
    assert json.loads(said("catalogue", "show", "openai", ENDED, "--json"))["retires"] == DAY


def test_an_update_of_the_catalogue_says_which_prices_changed(daemon: Any) -> None:
    told = Listed(prices={"input_per_1m": "7", "output_per_1m": "9"}, source="a test", date="2026-11-28")
    overrides.write(daemon.state, Overrides({OPENAI: {"gpt-4o-mini": told}}))
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    [event] = events(daemon, "price_changed")
    assert event["ids"] == {"model": "openai.gpt-4o-mini", "provider": "openai"}
    assert event["changed"]["prices"]["input_per_1m"] == [0.15, 7.0]
    assert event["changed"]["day"] == "2026-11-28"
    assert "input_per_1m 0.15 → 7 USD" in event["reason"]
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    assert len(events(daemon, "price_changed")) == 1
