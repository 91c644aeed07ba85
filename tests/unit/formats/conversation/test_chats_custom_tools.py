"""A chat app's custom tools, for a chat server that knows only functions."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.support.conversations.member import Member, answered
from tests.support.providers.vendors.three_apis import Said

PATCH = '*** Begin Patch\n\u2028🙂\\n"'
ASKED: dict[str, Any] = {
    "x_unknown": [1],
    "temperature": 0.5,
    "tools": [
        {"type": "custom", "custom": {"name": "patch", "description": "Patches.", "format": {"type": "text"}}},
        {"type": "function", "function": {"name": "read", "parameters": {"type": "object"}, "x_more": 1}},
    ],
    "messages": [
        {"role": "user", "content": "go", "x_note": 1},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": PATCH}},
            {"id": "c2", "type": "function", "function": {"name": "read", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
        {"role": "tool", "tool_call_id": "c2", "content": "text"},
    ],
}  # fmt: skip
CALLED = Said("", calls=(("patch", {"input": PATCH}), ("read", {"path": "/"})))


@pytest.mark.parametrize(("stream", "member"), list(itertools.product([False, True], ["openai", "anthropic"])))
async def test_they_are_functions_there_and_custom_here(stream: bool, member: str) -> None:
    upstream = Member(member, CALLED)
    got = await answered("openai", ASKED, upstream, stream=stream)
    names = [tool.get("function", tool)["name"] for tool in upstream.asked["tools"]]
    assert names == ["patch", "read"]
    if member == "openai":
        one, two = upstream.asked["messages"][1]["tool_calls"]
        assert (one["type"], two) == ("function", ASKED["messages"][1]["tool_calls"][1])
        assert upstream.asked["tools"][1] == ASKED["tools"][1]
        assert upstream.asked["messages"][0] == ASKED["messages"][0]
        assert (upstream.asked["x_unknown"], upstream.asked["temperature"]) == ([1], 0.5)
    calls = _joined(got) if stream else got[0]["choices"][0]["message"]["tool_calls"]
    assert [call["type"] for call in calls] == ["custom", "function"]
    assert calls[0]["custom"] == {"name": "patch", "input": PATCH}
    assert calls[1]["function"]["name"] == "read"


def _joined(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    calls: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            for call in choice["delta"].get("tool_calls", ()):
                known = calls.setdefault(call["index"], {"type": call.get("type"), "custom": {"name": "", "input": ""}})
                if known["type"] == "custom":
                    known["custom"]["name"] += call["custom"].get("name", "")
                    known["custom"]["input"] += call["custom"].get("input", "")
                else:
                    known.setdefault("function", call["function"])
    return [calls[index] for index in sorted(calls)]
