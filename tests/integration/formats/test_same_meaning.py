"""One conversation means the same to a member of any format, whichever API an app asks by."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from meshd.formats.conversation.parts import Part, Reasoning, Text, ToolCall, ToolResult
from meshd.formats.known import provider_format
from tests.integration.formats.conftest import FORMATS
from tests.support.providers.three_apis import ThreeApis

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CALLS = [("c1", '{"city":"Oslo"}', "rain"), ("c2", '{"city":"Rome"}', "sun")]
URL = f"data:image/png;base64,{PNG}"
SAID: dict[str, tuple[str, Any]] = {
    "openai": ("/v1/chat/completions", {
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "Where?"}, {"type": "image_url", "image_url": {"url": URL}}]},
            {"role": "assistant", "content": "Let me see.", "tool_calls": [
                {"id": id, "type": "function", "function": {"name": "weather", "arguments": arguments}}
                for id, arguments, _ in CALLS]},
            *({"role": "tool", "tool_call_id": id, "content": result} for id, _, result in CALLS),
        ],
    }),
    "anthropic": ("/v1/messages", {
        "max_tokens": 100,
        "system": "Be brief.",
        "tools": [{"name": "weather", "input_schema": SCHEMA}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "Where?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}},
                {"type": "tool_use", "id": "c2", "name": "weather", "input": {"city": "Rome"}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": id, "content": result} for id, _, result in CALLS]},
        ],
    }),
    "responses": ("/v1/responses", {
        "instructions": "Be brief.",
        "tools": [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}],
        "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "Where?"}, {"type": "input_image", "image_url": URL}]},
            {"role": "assistant", "content": "Let me see."},
            *({"type": "function_call", "call_id": id, "name": "weather", "arguments": arguments}
              for id, arguments, _ in CALLS),
            *({"type": "function_call_output", "call_id": id, "output": result} for id, _, result in CALLS),
        ],
    }),
}  # fmt: skip


def meaning(name: str, raw: bytes) -> list[Any]:
    """What a request of that format says, in order, however it is cut into turns."""
    asked = provider_format(name).translator().read_request(raw)
    return [said for turn in asked.turns for part in turn.parts if (said := _said(part)) is not None]


def _said(part: Part) -> Any:
    match part:
        case Text():
            return part.text
        case ToolCall():
            return part.id, part.name, part.arguments.replace(" ", "")
        case ToolResult():
            return part.call, [_said(each) for each in part.parts]
        case Reasoning():
            return None
    return type(part).__name__


MEANT: list[Any] = ["Be brief.", "Where?", "Image", "Let me see."]
MEANT += [(id, "weather", arguments) for id, arguments, _ in CALLS]
MEANT += [(id, [result]) for id, _, result in CALLS]


@pytest.mark.parametrize("member", FORMATS)
@pytest.mark.parametrize("app", FORMATS)
def test_a_conversation_reaches_every_member(app: str, member: str, apis: ThreeApis, http: httpx.Client) -> None:
    path, body = SAID[app]
    answer = http.post(path, json={**body, "model": f"of-{member}"})
    assert answer.status_code == 200, answer.text
    (asked,) = apis.asked
    assert meaning(member, asked.raw) == MEANT
    assert PNG.encode() in asked.raw
