"""A stream that breaks in its text on one member, and continues on another, whatever the three formats are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from tests.integration.formats.conftest import FORMATS
from tests.support.providers.three_apis import Asked, Said, ThreeApis

WEATHER: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ASKED = "What is the weather in Oslo and in Rome?"
BEGUN = "I look up t"
REST = "he weather in both cities."
CALLS = (("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"}))
IN_TEXT = {"/v1/messages": 5, "/v1/chat/completions": 3, "/v1/responses": 5, "/v2/chat": 5}
"""The events of a stream that breaks after two pieces of its text."""

Streamed = tuple[str, list[tuple[str, Any]], str, tuple[int, int]]
"""The text, the calls, how it ended, and the tokens."""


def by_messages(claude: anthropic.Anthropic, gpt: openai.OpenAI, pool: str) -> Streamed:
    tools: Any = [{"name": "weather", "input_schema": WEATHER}]
    asked: Any = [{"role": "user", "content": ASKED}]
    with claude.messages.stream(model=pool, max_tokens=500, messages=asked, tools=tools) as stream:
        message = stream.get_final_message()
    text = "".join(block.text for block in message.content if block.type == "text")
    calls = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
    used = message.usage.input_tokens, message.usage.output_tokens
    return text, calls, {"tool_use": "calls", "end_turn": "end"}[str(message.stop_reason)], used


def by_chat(claude: anthropic.Anthropic, gpt: openai.OpenAI, pool: str) -> Streamed:
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    asked: Any = [{"role": "user", "content": ASKED}]
    usage: Any = {"include_usage": True}
    with gpt.chat.completions.stream(model=pool, messages=asked, tools=tools, stream_options=usage) as stream:
        chat = stream.get_final_completion()
    (choice,) = chat.choices
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or ()]
    assert chat.usage is not None
    used = chat.usage.prompt_tokens, chat.usage.completion_tokens
    return choice.message.content or "", calls, {"tool_calls": "calls", "stop": "end"}[choice.finish_reason], used


def by_responses(claude: anthropic.Anthropic, gpt: openai.OpenAI, pool: str) -> Streamed:
    tools: Any = [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}]
    with gpt.responses.stream(model=pool, input=ASKED, tools=tools) as stream:
        response = stream.get_final_response()
    found = [item for item in response.output if item.type == "function_call"]
    calls = [(call.name, json.loads(call.arguments)) for call in found]
    assert response.status == "completed"
    assert response.usage is not None
    used = response.usage.input_tokens, response.usage.output_tokens
    return response.output_text, calls, "calls" if calls else "end", used


APPS = {"messages": by_messages, "chat": by_chat, "responses": by_responses}


def breaking(rest: Said) -> Callable[[Asked], Said]:
    """The first request of all breaks, and the next gets the rest."""
    asked: list[str] = []

    def answer(request: Asked) -> Said:
        asked.append(request.path)
        path = request.path.partition("?")[0]
        return rest if len(asked) > 1 else Said(BEGUN[:8] + "…" * 20, cut=IN_TEXT[path])

    return answer


@pytest.mark.parametrize("second", FORMATS)
@pytest.mark.parametrize("first", FORMATS)
@pytest.mark.parametrize("app", APPS)
def test_a_call_stays_a_call(
    app: str, first: str, second: str, apis: ThreeApis, claude: anthropic.Anthropic, gpt: openai.OpenAI
) -> None:
    apis.answer = breaking(Said(BEGUN[8:] + REST, thought="Two cities.", calls=CALLS))
    text, calls, ended, (_, tokens_out) = APPS[app](claude, gpt, f"{first}-then-{second}")
    assert (text, calls, ended) == (BEGUN + REST, list(CALLS), "calls")
    assert tokens_out > Said().tokens_out  # of both attempts
    assert len(apis.asked) == 2


@pytest.mark.parametrize("second", FORMATS)
@pytest.mark.parametrize("first", FORMATS)
@pytest.mark.parametrize("app", APPS)
def test_a_call_at_once_or_in_one_piece_stays_a_call(
    app: str, first: str, second: str, apis: ThreeApis, claude: anthropic.Anthropic, gpt: openai.OpenAI
) -> None:
    for text, whole in (("", False), ("", True), (BEGUN[8:] + REST, True)):
        apis.answer = breaking(Said(text, calls=CALLS, whole=whole))
        assert APPS[app](claude, gpt, f"{first}-then-{second}")[:3] == (BEGUN[:8] + text, list(CALLS), "calls")


@pytest.mark.parametrize("second", FORMATS)
@pytest.mark.parametrize("first", FORMATS)
@pytest.mark.parametrize("app", APPS)
def test_text_goes_on(
    app: str, first: str, second: str, apis: ThreeApis, claude: anthropic.Anthropic, gpt: openai.OpenAI
) -> None:
    apis.answer = breaking(Said(BEGUN + REST))  # all of it again, which is not told twice
    assert APPS[app](claude, gpt, f"{first}-then-{second}")[:3] == (BEGUN + REST, [], "end")
