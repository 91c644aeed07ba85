"""A stream that breaks in its text on one member, and continues on another, whatever their formats are."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.genai.types import FunctionDeclaration, GenerateContentConfig, Tool

from tests.integration.formats.conftest import FORMATS
from tests.support.apps.sdks.sdk_calls import Sdks
from tests.support.providers.vendors.six_apis import SixApis, format_of
from tests.support.providers.vendors.three_apis import Asked, Said

WEATHER: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ASKED = "What is the weather in Oslo and in Rome?"
BEGUN = "I look up t"
REST = "he weather in both cities."
CALLS = (("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"}))
IN_TEXT = {"anthropic": 5, "openai": 3, "responses": 5, "cohere": 5, "gemini": 2, "bedrock": 3}
"""The events of a stream that breaks after two pieces of its text."""

Streamed = tuple[str, list[tuple[str, Any]], str, tuple[int, int]]
"""The text, the calls, how it ended, and the tokens."""


def by_messages(sdks: Sdks, pool: str) -> Streamed:
    tools: Any = [{"name": "weather", "input_schema": WEATHER}]
    asked: Any = [{"role": "user", "content": ASKED}]
    with sdks.claude.messages.stream(model=pool, max_tokens=500, messages=asked, tools=tools) as stream:
        message = stream.get_final_message()
    text = "".join(block.text for block in message.content if block.type == "text")
    calls = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
    used = message.usage.input_tokens, message.usage.output_tokens
    return text, calls, {"tool_use": "calls", "end_turn": "end"}[str(message.stop_reason)], used


def by_chat(sdks: Sdks, pool: str) -> Streamed:
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    asked: Any = [{"role": "user", "content": ASKED}]
    usage: Any = {"include_usage": True}
    with sdks.gpt.chat.completions.stream(model=pool, messages=asked, tools=tools, stream_options=usage) as stream:
        chat = stream.get_final_completion()
    (choice,) = chat.choices
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or ()]
    assert chat.usage is not None
    used = chat.usage.prompt_tokens, chat.usage.completion_tokens
    return choice.message.content or "", calls, {"tool_calls": "calls", "stop": "end"}[choice.finish_reason], used


def by_responses(sdks: Sdks, pool: str) -> Streamed:
    tools: Any = [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}]
    with sdks.gpt.responses.stream(model=pool, input=ASKED, tools=tools) as stream:
        response = stream.get_final_response()
    found = [item for item in response.output if item.type == "function_call"]
    calls = [(call.name, json.loads(call.arguments)) for call in found]
    assert response.status == "completed"
    assert response.usage is not None
    used = response.usage.input_tokens, response.usage.output_tokens
    return response.output_text, calls, "calls" if calls else "end", used


def by_gemini(sdks: Sdks, pool: str) -> Streamed:
    declared = FunctionDeclaration(name="weather", parameters_json_schema=WEATHER)
    config = GenerateContentConfig(tools=[Tool(function_declarations=[declared])])
    chunks: Any = list(sdks.google.models.generate_content_stream(model=pool, contents=ASKED, config=config))
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or ()]
    calls = [(part.function_call.name, part.function_call.args) for part in parts if part.function_call]
    assert chunks[-1].candidates[0].finish_reason == "STOP"
    used = chunks[-1].usage_metadata
    tokens = used.prompt_token_count, used.candidates_token_count
    text = "".join(part.text for part in parts if part.text and not part.thought)
    return text, calls, "calls" if calls else "end", tokens


APPS = {"messages": by_messages, "chat": by_chat, "responses": by_responses, "gemini": by_gemini}


def _cases() -> Iterator[Any]:
    """Each pair of members with one of the apps; with all of them in `make soak`."""
    for first, second in itertools.product(range(len(FORMATS)), repeat=2):
        for number, app in enumerate(APPS):
            marks = () if number == (first + second) % len(APPS) else pytest.mark.soak
            yield pytest.param(app, FORMATS[first], FORMATS[second], marks=marks)


every_case = pytest.mark.parametrize(("app", "first", "second"), list(_cases()))


def breaking(rest: Said) -> Callable[[Asked], Said]:
    """The first request of all breaks, and the next gets the rest."""
    asked: list[str] = []

    def answer(request: Asked) -> Said:
        asked.append(request.path)
        return rest if len(asked) > 1 else Said(BEGUN[:8] + "…" * 20, cut=IN_TEXT[format_of(request)])

    return answer


@every_case
def test_a_call_stays_a_call(app: str, first: str, second: str, apis: SixApis, sdks: Sdks) -> None:
    apis.answer = breaking(Said(BEGUN[8:] + REST, thought="Two cities.", calls=CALLS))
    text, calls, ended, (_, tokens_out) = APPS[app](sdks, f"{first}-then-{second}")
    assert (text, calls, ended) == (BEGUN + REST, list(CALLS), "calls")
    assert tokens_out > Said().tokens_out  # of both attempts
    assert len(apis.asked) == 2


@every_case
def test_a_call_at_once_or_in_one_piece_stays_a_call(
    app: str, first: str, second: str, apis: SixApis, sdks: Sdks
) -> None:
    for text, whole in (("", False), ("", True), (BEGUN[8:] + REST, True)):
        apis.answer = breaking(Said(text, calls=CALLS, whole=whole))
        assert APPS[app](sdks, f"{first}-then-{second}")[:3] == (BEGUN[:8] + text, list(CALLS), "calls")


@every_case
def test_text_goes_on(app: str, first: str, second: str, apis: SixApis, sdks: Sdks) -> None:
    apis.answer = breaking(Said(BEGUN + REST))  # all of it again, which is not told twice
    assert APPS[app](sdks, f"{first}-then-{second}")[:3] == (BEGUN + REST, [], "end")
