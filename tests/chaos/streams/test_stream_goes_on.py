"""A stream that broke in its middle: which model continues it, with what text and limit, and when none can."""

from __future__ import annotations

from typing import Any

import pytest

import modelmesh
from tests.support.apps.stream_app import INPUT, OUTPUT, PRICES, Money, Stream, ask

WORDS = ["The ", "quick ", "brown ", "fox ", "jumps."]
TEXT = "".join(WORDS)
CALL = {"name": "look", "arguments": {"at": "foxes"}}
BIG = "x" * 5_000_000

MODELS: dict[str, list[dict[str, Any]]] = {
    # break off
    "early": [{"tokens": WORDS, "after": 1, "fault": "reset"}],
    "middle": [{"tokens": WORDS, "after": 3, "fault": "reset"}],
    "late": [{"tokens": WORDS, "after": 5, "fault": "clean_close"}],
    "later": [{"tokens": WORDS, "after": 4, "fault": "error_event", "shape": "anthropic"}],
    "unsteady": [{"tokens": WORDS, "after": 2, "fault": "silence"}],
    "thinking": [{"reasoning": ["hm ", "well "], "tokens": WORDS, "after": 2, "fault": "reset"}],
    "thought": [{"reasoning": ["hm ", "well "], "tokens": WORDS, "after": 4, "fault": "reset"}],
    "calling": [{"tokens": WORDS[:2], "tool_call": CALL, "after": 3, "fault": "reset"}],
    "about-to-call": [{"tokens": WORDS[:2], "tool_call": CALL, "after": 2, "fault": "reset"}],
    "huge": [{"tokens": ["The ", BIG, " fox"], "after": 2, "fault": "reset"}],
    "before": [{"tokens": WORDS, "fault": "reset"}],
    # go on
    "whole": [{"tokens": WORDS}],
    "tail": [{"tokens": ["quick ", "brown ", "fox ", "jumps."]}],
    "rest": [{"tokens": ["fox ", "jumps."]}],
    "nothing": [{"tokens": [], "usage": {"completion_tokens": 1}}],
    "refusing": [{"error": 400, "message": "Last message must have role `user`.", "code": "invalid_message"}],
    "caller": [{"tokens": WORDS[:2], "tool_call": CALL}],
    "secretive": [{"tokens": WORDS, "usage": {"completion_tokens": 50}}],
    "huge-whole": [{"tokens": ["The " + BIG, " fox"]}],
}
FEATURES = {"tool_calling": True, "structured_output": True, "json_mode": True, "logprobs": True}


def pool(*models: str, **options: Any) -> dict[str, Any]:
    names = [f"m-{model}" for model in models]
    return {
        "models": names,
        "strategy": "priority-selection",
        "model_priority": names,
        "retry": {"max_attempts": 1},
        "deactivation": {"retry_limit": 1000},
        "stream": {"first_token_timeout": "2s", "idle_timeout": "300ms"},
        **options,
    }


POOLS = {
    "whole": pool("middle", "whole"),
    "tail": pool("middle", "tail"),
    "rest": pool("middle", "rest"),
    "nothing": pool("late", "nothing"),
    "early": pool("early", "whole"),
    "twice": pool("unsteady", "later", "whole"),
    "for-ever": pool("early", "unsteady", "later"),
    "not-begun": pool("unsteady", "before", "whole"),
    "refused": pool("middle", "refusing", "whole"),
    "elsewhere": pool("middle", fallback_pools=["reserve"]),
    "reserve": pool("rest"),
    "thinking": pool("thinking", "whole"),
    "thought": pool("thought", "whole"),
    "calling": pool("calling", "caller"),
    "about-to-call": pool("about-to-call", "caller"),
    "secretive": pool("middle", "secretive"),
    "huge": pool("huge", "huge-whole"),
    "begun-badly": pool("before", "whole"),
}


@pytest.fixture(scope="module")
def upstream_server(module_upstream):
    return module_upstream({"script": MODELS})


@pytest.fixture(scope="module")
def daemon(module_meshd, upstream_server):
    return module_meshd(
        {
            "providers": {f"p-{name}": upstream_server.provider(timeout="10s") for name in MODELS},
            "models": {
                f"m-{name}": {
                    "provider": f"p-{name}",
                    "model": name,
                    "capabilities": ["chat-completion", "text-completion"],
                    "features": FEATURES,
                    "pricing": PRICES,
                }
                for name in MODELS
            },
            "pools": POOLS,
            "discovery": {"health": {"enabled": False}},
        }
    )


@pytest.fixture
def stream(daemon, dial, upstream_server):
    """`stream(pool)`: one request to its end; whatever it used is settled."""

    def run(pool: str, **body: Any) -> Stream:
        models = POOLS[pool]["models"] + POOLS.get(*POOLS[pool].get("fallback_pools", [""]), {}).get("models", [])
        names = [model.removeprefix("m-") for model in models]
        for model in models:
            daemon.ask("POST", "/mesh/v1/models/activate", {"id": model})
        money = Money(daemon, upstream_server, *names)
        got = ask(dial(daemon.socket), pool, **body)
        money.is_settled()
        if got.ended:
            assert round(got.mesh["cost"] * 1e9) == sum(map(money.spent, names))
        return got

    return run


def last_asked(upstream_server, count: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = upstream_server.bill[-count:]
    return rows


# -- the text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["whole", "tail", "rest", "nothing", "early"])
def test_whatever_of_it_is_repeated_the_text_is_exact(stream, upstream_server, who):
    got = stream(who)
    got.is_one_answer(TEXT)
    assert got.mesh["continued"] == 1
    assert last_asked(upstream_server, 1)[0]["roles"] == ["user", "assistant", "user"]


@pytest.mark.parametrize("who", ["whole", "rest"])
def test_a_legacy_completion_continues_too(stream, who):
    got = stream(who, path="/v1/completions")
    got.is_one_answer(TEXT)
    assert {chunk["object"] for chunk in got.chunks} == {"text_completion"}
    assert got.mesh["continued"] == 1


@pytest.mark.parametrize(("prompt", "goes_on"), [(["hi"], True), ([1, 2, 3], False)])
def test_a_legacy_prompt_may_be_a_list(stream, prompt, goes_on):
    got = stream("rest", path="/v1/completions", prompt=prompt)
    assert got.text == (TEXT if goes_on else "The quick brown ")
    assert got.ended is goes_on
    if not goes_on:
        assert got.end.head.error["code"] == "stream_interrupted"
        assert got.end.head.mesh["attempts"][1]["reason"] == "unsupported"


def test_a_continuing_model_may_break_too(stream):
    got = stream("twice")
    got.is_one_answer(TEXT)
    assert got.attempts == ["m-unsteady", "m-later", "m-whole"]
    assert got.mesh["continued"] == 2


def test_a_continuing_model_may_fail_before_it_begins(stream):
    got = stream("not-begun")
    got.is_one_answer(TEXT)
    assert got.attempts == ["m-unsteady", "m-before", "m-whole"]
    assert got.mesh["continued"] == 1


def test_a_model_that_refuses_to_continue_does_not_end_the_stream(stream):
    got = stream("refused")
    got.is_one_answer(TEXT)
    assert got.attempts == ["m-middle", "m-refusing", "m-whole"]
    assert got.mesh["attempts"][1]["reason"] == "unsupported"


def test_a_model_of_a_fallback_pool_continues(stream):
    got = stream("elsewhere")
    got.is_one_answer(TEXT)
    assert got.attempts == ["m-middle", "m-rest"]
    assert got.mesh["pool"] == "reserve"


def test_where_all_break_the_text_so_far_is_there(daemon):
    with pytest.raises(modelmesh.StreamInterrupted) as caught:
        list(daemon.say(model="for-ever", stream=True))
    assert caught.value.text == "".join(WORDS[:4])
    assert [attempt["model"] for attempt in caught.value.attempts] == ["m-early", "m-unsteady", "m-later"]


def test_a_chunk_of_5_mb_is_continued(stream):
    got = stream("huge")
    got.is_one_answer(f"The {BIG} fox")
    assert got.mesh["continued"] == 1


# -- tokens -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_continuing_model_has_what_is_left_of_the_output_limit(stream, upstream_server, name):
    stream("twice", **{name: 100})
    limits = [row["max_tokens"] for row in last_asked(upstream_server, 3)]
    first, second, third = limits
    assert first == 100 > second > third >= 1
    assert second <= 100 - 2
    assert third <= second - 4


def test_the_app_hears_of_all_that_was_generated(stream, upstream_server):
    got = stream("secretive")
    usage = got.usages[0]
    assert usage["completion_tokens"] >= 3 + 50, "hidden thinking is in the report"
    asked = last_asked(upstream_server, 2)
    assert usage["prompt_tokens"] >= asked[0]["prompt_tokens"]
    delivered = sum(row["prompt_tokens"] * INPUT + row["completion_tokens"] * OUTPUT for row in asked)
    assert round(got.mesh["cost"] * 1e9) >= delivered


# -- more than text -----------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["thinking", "thought"])
def test_thinking_is_not_part_of_the_answer(stream, when):
    got = stream(when)
    got.is_one_answer(TEXT)
    thoughts = "".join(choice["delta"].get("reasoning_content") or "" for choice in got.choices)
    assert thoughts == "hm well "


TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
INDIVISIBLE: dict[str, tuple[str, dict[str, Any], str]] = {
    "tool-call": ("calling", {"tools": TOOLS}, "The quick "),
    "choices": ("whole", {"n": 2}, "The quick brown "),
    "json": ("whole", {"response_format": {"type": "json_object"}}, "The quick brown "),
    "schema": ("whole", {"response_format": SCHEMA}, "The quick brown "),
    "logprobs": ("whole", {"logprobs": True}, "The quick brown "),
}


@pytest.mark.parametrize("what", INDIVISIBLE)
def test_what_no_model_can_continue_ends_with_the_text_so_far(daemon, stream, what):
    name, body, text = INDIVISIBLE[what]
    got = stream(name, **body)
    assert not got.ended
    assert (got.end.head.status, got.end.head.error["code"]) == (502, "stream_interrupted")
    assert got.text == text
    assert got.finish_reasons == []
    with pytest.raises(modelmesh.StreamInterrupted) as caught:
        list(daemon.say(model=name, stream=True, **body))
    assert caught.value.text == text
    assert len(caught.value.attempts) == 1


@pytest.mark.parametrize("what", INDIVISIBLE)
def test_before_its_first_content_another_model_answers_all_of_it(stream, what):
    got = stream("begun-badly", **INDIVISIBLE[what][1])
    got.is_one_answer(TEXT)
    assert "continued" not in got.mesh


def test_a_continuing_model_may_call_a_tool(stream):
    got = stream("about-to-call", tools=TOOLS)
    assert got.ended
    assert got.text == "The quick "
    calls = [call for choice in got.choices for call in choice["delta"].get("tool_calls") or ()]
    assert [call["function"]["name"] for call in calls] == ["look"]
    assert got.finish_reasons == ["tool_calls"]
    assert len({chunk["id"] for chunk in got.chunks}) == 1
