"""A provider's stream in an app's other format: each payload says what it holds, and all of them what the event did."""

from __future__ import annotations

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

    def __init__(self, chunks: Iterable[dict[str, Any]]) -> None:
        self._events = [read_event(msgspec.json.encode(chunk), hide_usage=True)[0] for chunk in chunks]

    async def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        for event in self._events:
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
    given_ = Saying(chunks)._events
    events = await translated(app, chunks)
    for kind in ("text", "reasoning", "extra"):
        assert "".join(getattr(each, kind) for each in events) == "".join(getattr(each, kind) for each in given_)
    assert [each.usage for each in events if each.usage] == [each.usage for each in given_ if each.usage]
    assert any(each.content for each in events) == any(each.content for each in given_)
