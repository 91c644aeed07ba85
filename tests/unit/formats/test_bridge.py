"""A provider's stream in an app's other format: each payload says what it holds, and all of them what the event did."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given

from meshd.formats.anthropic.format import ANTHROPIC
from meshd.formats.bridge import Bridge
from meshd.formats.openai.format import OPENAI
from meshd.formats.openai.wire import read_event
from meshd.formats.protocol import Format
from meshd.formats.responses.format import RESPONSES
from meshd.operations.chat import CHAT
from meshd.sdk.provider import Provider, ProviderCall, StreamEvent
from tests.support.formats import openai_chats

ASKED = {
    "anthropic": b'{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}',
    "responses": b'{"model":"m","stream":true,"input":"hi"}',
}


class Saying:
    """A provider of chunks."""

    name = "saying"
    speaks = "openai"
    late_instructions = False

    def __init__(self, chunks: Iterable[dict[str, Any]], custom_tools: bool = False) -> None:
        self.custom_tools = custom_tools
        self.asked: dict[str, Any] = {}
        self.events = [read_event(msgspec.json.encode(chunk), hide_usage=True)[0] for chunk in chunks]

    async def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        self.asked = msgspec.json.decode(msgspec.json.encode(call.fields))
        for event in self.events:
            yield event


async def translated(app: Format, chunks: list[dict[str, Any]]) -> list[StreamEvent]:
    fields = msgspec.json.decode(ASKED[app.name], type=dict[str, msgspec.Raw])
    bridge = Bridge(cast(Provider, Saying(chunks)), app, OPENAI, 5)
    return [event async for event in bridge.stream(ProviderCall(CHAT, "m", fields, True))]


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


CALL = {"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}


async def test_a_call_is_told_with_the_start_of_its_block() -> None:
    events = await translated(ANTHROPIC, [chunk(content="So", tool_calls=[CALL]), chunk("tool_calls")])
    told = [(msgspec.json.decode(event.data)["type"], event.text, bool(event.extra)) for event in events if event.data]
    assert told == [
        ("message_start", "", False),
        ("content_block_start", "", False),
        ("content_block_delta", "So", False),
        ("content_block_stop", "", False),
        ("content_block_start", "", True),
        ("content_block_delta", "", False),
        ("content_block_stop", "", False),
        ("message_delta", "", False),
        ("message_stop", "", False),
    ]
    assert [event.finish_reason for event in events if event.finish_reason] == ["tool_calls"]


@pytest.mark.parametrize("app", [ANTHROPIC, RESPONSES])
@given(chunks=openai_chats.streams())
async def test_nothing_is_told_twice_or_not_at_all(app: Format, chunks: list[dict[str, Any]]) -> None:
    given_ = Saying(chunks).events
    events = await translated(app, chunks)
    for kind in ("text", "reasoning", "extra"):
        assert "".join(getattr(each, kind) for each in events) == "".join(getattr(each, kind) for each in given_)
    # A report comes again with the events that tell it.
    told = [usage for usage, _ in itertools.groupby(each.usage for each in events if each.usage)]
    assert told == [usage for usage, _ in itertools.groupby(each.usage for each in given_ if each.usage)]
    assert any(each.content for each in events) == any(each.content for each in given_)


CODEX: dict[str, Any] = {
    "model": "m",
    "stream": True,
    "tools": [
        {"type": "custom", "name": "apply_patch", "description": "Patch.", "format": {"type": "text"}},
        {"type": "namespace", "name": "fs", "description": "Files.", "tools": [
            {"type": "function", "name": "read", "parameters": {"type": "object"}, "strict": False}]},
    ],
    "input": [
        {"role": "user", "content": "go"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** one"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
        {"type": "function_call", "call_id": "c2", "name": "read", "namespace": "fs", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c2", "output": "text"},
    ],
}  # fmt: skip


@pytest.mark.parametrize("knows", [False, True])
async def test_custom_tools_are_functions_where_a_server_knows_no_others(knows: bool) -> None:
    name, arguments = "apply_patch", ['{"inp', 'ut": "*** t', 'wo\\n"}']
    calls = [
        {"index": 0, "id": "c3", "type": "function", "function": {"name": name, "arguments": arguments[0]}},
        {"index": 0, "function": {"arguments": arguments[1]}},
        {"index": 0, "function": {"arguments": arguments[2]}},
    ]
    if knows:
        calls = [{"index": 0, "id": "c3", "type": "custom", "custom": {"name": name, "input": "*** two\n"}}]
    provider = Saying([*(chunk(tool_calls=[call]) for call in calls), chunk("tool_calls")], custom_tools=knows)
    fields = msgspec.json.decode(msgspec.json.encode(CODEX), type=dict[str, msgspec.Raw])
    bridge = Bridge(cast(Provider, provider), RESPONSES, OPENAI, 5)
    events = [event async for event in bridge.stream(ProviderCall(CHAT, "m", fields, True)) if event.data]
    kinds = [tool["type"] for tool in provider.asked["tools"]]
    assert kinds == ["custom" if knows else "function", "function"]
    said = [call for message in provider.asked["messages"] for call in message.get("tool_calls", ())]
    assert [call["type"] for call in said] == kinds
    if not knows:
        assert msgspec.json.decode(said[0]["function"]["arguments"]) == {"input": "*** one"}
    assert said[1]["function"]["name"] == provider.asked["tools"][1]["function"]["name"] == "fs__read"
    [item] = msgspec.json.decode(events[-1].data)["response"]["output"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", name, "*** two\n")
    deltas = [msgspec.json.decode(event.data) for event in events]
    told = [each["delta"] for each in deltas if each["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(told) == "*** two\n"


LATE = {
    "model": "m",
    "max_tokens": 9,
    "stream": True,
    "system": [{"type": "text", "text": "be brief"}],
    "messages": [{"role": "user", "content": "hi"}, {"role": "system", "content": "today is Monday"}],
    "metadata": {"user_id": "u" * 65},
}


@pytest.mark.parametrize("late", [False, True])
async def test_late_instructions_stay_where_a_server_takes_them(late: bool) -> None:
    """Claude Code sends such, and a long name of its user."""
    provider = Saying([chunk("stop", content="x")])
    provider.late_instructions = late
    fields = msgspec.json.decode(msgspec.json.encode(LATE), type=dict[str, msgspec.Raw])
    bridge = Bridge(cast(Provider, provider), ANTHROPIC, OPENAI, 5)
    assert [event async for event in bridge.stream(ProviderCall(CHAT, "m", fields, True))]
    roles = [message["role"] for message in provider.asked["messages"]]
    assert roles == (["system", "user", "system"] if late else ["system", "user"])
    assert "today is Monday" in str(provider.asked["messages"][-1])
    assert len(provider.asked["user"]) == 64
