"""Prompt caching by rule, and what it costs, through a real daemon with a member that speaks Anthropic's API."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.integration.formats.conftest import config
from tests.support.providers.vendors.six_apis import SixApis
from tests.support.providers.vendors.three_apis import Json, Said
from tests.support.waiting import WAIT

MARK = {"type": "ephemeral"}
LONG = "A long text, which is worth keeping. " * 100
TOOL: Json = {"type": "object", "properties": {"city": {"type": "string"}}}
CACHED = Said(tokens_in=2000, tokens_out=50, cached=1200, written=600, lasting=200)
COST = (200 * 4 + 1200 * 0.4 + 400 * 4 * 1.25 + 200 * 4 * 2 + 50 * 20) / 1e6
PRICES = {"input_per_1m": 4, "cached_input_per_1m": 0.4, "output_per_1m": 20}
MODEL = "claude-haiku-4-5"


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_apis: SixApis) -> Any:
    """Pools of a Claude: `marked` by rule, and `plain`; each by a provider of its own, to tell them apart."""
    made = config(module_apis)
    settings = {**module_apis.provider("anthropic"), "connector": "anthropic.claude.v1"}
    for name in ("marked", "plain"):
        made["providers"][name] = settings
        made["models"][f"{name}.{MODEL}"] = {"capabilities": ["chat-completion"], "pricing": PRICES}
        made["pools"][name] = {"models": [f"{name}.{MODEL}"]}
    made["pools"]["marked"]["prompt_caching"] = "auto"
    return module_meshd(made)


def marks_in(value: Any, path: str = "") -> dict[str, Any]:
    """Where marks are, and which."""
    found: dict[str, Any] = {}
    if isinstance(value, dict):
        if "cache_control" in value:
            found[path] = value["cache_control"]
        for name, each in value.items():
            found |= marks_in(each, f"{path}.{name}")
    for n, each in enumerate(value if isinstance(value, list) else ()):
        found |= marks_in(each, f"{path}[{n}]")
    return found


def by_messages(claude: Any, gpt: Any, pool: str, stream: bool) -> Any:
    turns: Any = [{"role": role, "content": LONG} for role in ("user", "assistant", "user")]
    tools: Any = [{"name": "f", "input_schema": TOOL}]
    asked: Json = {"model": pool, "max_tokens": 500, "system": LONG, "messages": turns, "tools": tools}
    if not stream:
        return claude.messages.create(**asked).usage
    with claude.messages.stream(**asked) as events:
        return events.get_final_message().usage


def by_chat(claude: Any, gpt: Any, pool: str, stream: bool) -> Any:
    turns: Any = [{"role": role, "content": LONG} for role in ("system", "user", "assistant", "user")]
    tools: Any = [{"type": "function", "function": {"name": "f", "parameters": TOOL}}]
    asked: Json = {"model": pool, "messages": turns, "tools": tools, "max_completion_tokens": 500}
    if not stream:
        return gpt.chat.completions.create(**asked).usage
    with gpt.chat.completions.stream(**asked, stream_options={"include_usage": True}) as events:
        return events.get_final_completion().usage


def by_responses(claude: Any, gpt: Any, pool: str, stream: bool) -> Any:
    turns: Any = [{"role": role, "content": LONG} for role in ("user", "assistant", "user")]
    tools: Any = [{"type": "function", "name": "f", "parameters": TOOL, "strict": False}]
    asked: Json = {"model": pool, "instructions": LONG, "input": turns, "tools": tools, "max_output_tokens": 500}
    if not stream:
        return gpt.responses.create(**asked).usage
    with gpt.responses.stream(**asked) as events:
        return events.get_final_response().usage


APPS: dict[str, Callable[[Any, Any, str, bool], Any]] = {
    "messages": by_messages,
    "chat": by_chat,
    "responses": by_responses,
}


def spent(daemon: Any, provider: str) -> Json:
    rows = daemon.ask("GET", f"/mesh/v1/stats?by=provider&name={provider}")["data"]
    row = rows[0] if rows else {}
    units = row.get("units") or {}
    counts = {name: row.get(name, 0) for name in ("tokens_in", "tokens_cached", "tokens_out", "cost_total")}
    return counts | {name: units.get(name, 0) for name in ("tokens_written", "tokens_written_lasting")}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("app", APPS)
def test_by_rule_and_what_it_costs(
    app: str, stream: bool, daemon: Any, apis: SixApis, claude: anthropic.Anthropic, gpt: openai.OpenAI
) -> None:
    apis.answer = CACHED
    before = spent(daemon, "marked")
    usage = APPS[app](claude, gpt, "marked", stream)
    (asked,) = apis.bodies()
    places = [".messages[0].content[0]", ".messages[2].content[0]", ".system[0]", ".tools[0]"]
    assert marks_in(asked) == dict.fromkeys(places, MARK)
    told = usage.model_dump()
    if app == "messages":
        assert [told[name] for name in ("input_tokens", "cache_read_input_tokens", "output_tokens")] == [200, 1200, 50]
        assert told["cache_creation_input_tokens"] == 600
        assert told["cache_creation"] == {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 200}
    else:
        total, details = ("prompt_tokens", "prompt_tokens_details") if app == "chat" else (
            "input_tokens", "input_tokens_details")  # fmt: skip
        assert (told[total], told[details]["cached_tokens"], told["total_tokens"]) == (2000, 1200, 2050)
        assert told[details]["cache_write_tokens"] == 600
    after = spent(daemon, "marked")
    grown = {name: after[name] - before[name] for name in after}
    assert grown.pop("cost_total") == pytest.approx(COST)
    assert grown == {"tokens_in": 2000, "tokens_cached": 1200, "tokens_out": 50, "tokens_written": 600,
                     "tokens_written_lasting": 200}  # fmt: skip


@pytest.mark.parametrize("app", APPS)
def test_without_the_rule_there_is_no_mark(
    app: str, daemon: Any, apis: SixApis, claude: anthropic.Anthropic, gpt: openai.OpenAI
) -> None:
    APPS[app](claude, gpt, "plain", False)
    assert not marks_in(apis.bodies()[0])


@pytest.mark.parametrize("pool", ["marked", "plain"])
def test_an_apps_own_marks_stay_as_they_are(pool: str, apis: SixApis, http: httpx.Client) -> None:
    hour = {"type": "ephemeral", "ttl": "1h"}
    body: Json = {
        "max_tokens": 50,
        "system": [{"type": "text", "text": LONG, "cache_control": hour}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": LONG, "cache_control": MARK}]}],
    }
    sent = copy.deepcopy(body)
    assert http.post("/v1/messages", json={"model": pool, **body}).status_code == 200
    (asked,) = apis.bodies()
    assert {name: asked[name] for name in sent} == sent


def test_a_chats_marks_are_translated(apis: SixApis, http: httpx.Client) -> None:
    def said(role: str, ttl: str) -> Json:
        mark = {"type": "ephemeral", "ttl": ttl}
        return {"role": role, "content": [{"type": "text", "text": LONG, "cache_control": mark}]}

    body = {"model": "marked", "messages": [said("system", "1h"), said("user", "5m")]}
    assert http.post("/v1/chat/completions", json=body).status_code == 200
    found = marks_in(apis.bodies()[0])
    assert {path: mark["ttl"] for path, mark in found.items()} == {
        ".system[0]": "1h", ".messages[0].content[0]": "5m"}  # fmt: skip


def test_meshctl_shows_it(daemon: Any, apis: SixApis, claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    apis.answer = CACHED
    by_messages(claude, gpt, "marked", False)
    done = subprocess.run(
        [sys.executable, "-m", "meshd.cli", "stats", "--by", "provider", "--name", "marked"],
        env={**os.environ, "MESH_SOCKET": str(daemon.socket), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=True,
    )
    heads, row = (line.split() for line in done.stdout.splitlines()[:2])
    assert {"written"} <= set(heads), json.dumps(heads)
    assert "marked" in row
