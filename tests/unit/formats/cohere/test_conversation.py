"""Conversations as requests of Cohere's chat, and back. Shapes: tests/support/providers/vendors/cohere.py."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given

from meshd.formats.cohere.conversation.translator import CohereTranslator
from meshd.formats.conversation.events import assembled
from meshd.formats.conversation.parts import Text, ToolCall
from meshd.formats.openai.conversation.translator import OpenAITranslator
from modelmesh.errors import InvalidRequestError
from tests.support.answers.cohere_chat import chat, events
from tests.support.conversations import asked, drawn
from tests.support.providers.vendors.three_apis import Said

OURS, THEIRS = OpenAITranslator(), CohereTranslator()
HI: Any = [{"role": "user", "content": "hi"}]
TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
THINKS, THINKS_NOT, UNKNOWN = "command-a-reasoning-08-2025", "command-r-08-2024", "command-z"


def written(model: str = UNKNOWN, messages: Any = HI, **more: Any) -> Any:
    """An app's request of OpenAI's chat, as Cohere gets it."""
    body = json.dumps({"model": model, "messages": messages, **more}).encode()
    return json.loads(THEIRS.write_request(OURS.read_request(body)))


@given(chat=drawn.chats())
def test_what_both_can_say_comes_back(chat: drawn.Chat) -> None:
    said = asked.body("openai", drawn.without_pictures_of_tools(chat))
    body = json.dumps({"model": "m", **said}).encode()
    there = THEIRS.write_request(OURS.read_request(body))
    back = json.loads(OURS.write_request(THEIRS.read_request(there)))
    told = [fact for fact in asked.meant("openai", back) if fact[0] != "thought"]
    assert told == [fact for fact in asked.meant("openai", {"model": "m", **said}) if fact[0] != "thought"]
    assert back["max_completion_tokens"] == said["max_completion_tokens"]


@given(said=drawn.answers())
def test_a_stream_is_the_unary_answer(said: Said) -> None:
    said = drawn.as_said_in("cohere", said)
    whole = THEIRS.read_answer(json.dumps(chat({}, said)).encode())
    reader = THEIRS.event_reader()
    payloads = [line[6:] for event in events({}, said) for line in event.split(b"\n") if line.startswith(b"data: ")]
    assert assembled(event for payload in payloads for event in reader.read(payload)) == whole


@given(said=drawn.answers())
def test_an_answer_written_is_read_again(said: Said) -> None:
    said = drawn.as_said_in("cohere", said)
    whole = THEIRS.read_answer(json.dumps(chat({}, said)).encode())
    assert THEIRS.read_answer(THEIRS.write_answer(whole)) == whole
    reader, again, writer = THEIRS.event_reader(), THEIRS.event_reader(), THEIRS.event_writer()
    payloads = [line[6:] for event in events({}, said) for line in event.split(b"\n") if line.startswith(b"data: ")]
    told = [made for payload in payloads for event in reader.read(payload) for made in writer.write(event)]
    made = assembled(event for payload in (*told, *writer.end()) for event in again.read(payload))
    assert [part for part in made.choices[0].parts if isinstance(part, ToolCall)] == [
        part for part in whole.choices[0].parts if isinstance(part, ToolCall)
    ]
    assert "".join(part.text for part in made.choices[0].parts if isinstance(part, Text)) == said.text
    assert (made.choices[0].finish, made.usage, made.id) == (whole.choices[0].finish, whole.usage, whole.id)


def test_a_text_file_is_a_document() -> None:
    data = base64.b64encode("Pinguïns".encode()).decode()
    file = {"type": "file", "file": {"filename": "birds.txt", "file_data": f"data:text/plain;base64,{data}"}}
    asked = written(messages=[{"role": "user", "content": [file, {"type": "text", "text": "?"}]}])
    assert asked["documents"] == [{"data": {"title": "birds.txt", "text": "Pinguïns"}}]
    assert asked["messages"] == [{"role": "user", "content": "?"}]
    back = json.loads(OURS.write_request(THEIRS.read_request(json.dumps(asked).encode())))
    assert back["messages"][0]["content"] == [file, {"type": "text", "text": "?"}]
    file["file"] = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
    with pytest.raises(InvalidRequestError, match="application/pdf") as refused:
        written(messages=[{"role": "user", "content": [file]}])
    assert refused.value.param == "messages"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"top_p": 1, "temperature": 1.5, "seed": 7}, {"p": 0.99, "temperature": 1.5, "seed": 7}),
        ({"top_p": 0}, {"p": 0.01}),
        ({"frequency_penalty": 1.8, "presence_penalty": 0.2}, {"frequency_penalty": 1}),
        ({"frequency_penalty": -1, "presence_penalty": 0}, {}),
        ({"stop": "x", "user": "u", "verbosity": "low"}, {"stop_sequences": ["x"]}),
        ({"max_tokens": 7, "stream": True}, {"max_tokens": 7, "stream": True}),
        ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}},
            {"response_format": {"type": "json_object", "json_schema": {"type": "object"}}},
        ),
        ({"tool_choice": "required"}, {}),
    ],
)
def test_parameters(given: Any, made: Any) -> None:
    assert written(**given) == {"model": UNKNOWN, "messages": HI, **made}


@pytest.mark.parametrize(
    ("model", "given", "thinking"),
    [
        (THINKS, {"reasoning_effort": "none"}, {"type": "disabled"}),
        (THINKS, {"reasoning_effort": "medium", "max_tokens": 1000}, {"type": "enabled", "token_budget": 500}),
        (THINKS, {"reasoning_effort": "low"}, {"type": "enabled", "token_budget": 6400}),
        (THINKS, {"thinking_budget": 77}, {"type": "enabled", "token_budget": 77}),
        (THINKS, {}, None),
        (THINKS_NOT, {"reasoning_effort": "high"}, None),
        (UNKNOWN, {"reasoning_effort": "high"}, {"type": "enabled"}),
    ],
)
def test_reasoning(model: str, given: Any, thinking: Any) -> None:
    assert written(model, **given).get("thinking") == thinking


def test_tools_and_which_may_be_called() -> None:
    other = {"type": "function", "function": {"name": "g", "description": "G.", "strict": True}}
    asked = written(tools=[TOOL, other], tool_choice={"type": "function", "function": {"name": "g"}})
    [tool] = asked["tools"]
    assert tool["function"] == {"name": "g", "description": "G.", "parameters": {"type": "object", "properties": {}}}
    assert (asked["tool_choice"], asked["strict_tools"]) == ("REQUIRED", True)
    asked = written(tools=[TOOL, other], tool_choice="none")
    assert (asked["tool_choice"], "strict_tools" in asked, len(asked["tools"])) == ("NONE", False, 2)
    assert "tool_choice" not in written(tools=[TOOL], tool_choice="auto")


def test_a_plan_before_calls_and_calls_without_an_id() -> None:
    call = {"name": "f", "arguments": ""}
    messages = [
        *HI,
        {"role": "assistant", "content": "I look.", "function_call": call},
        {"role": "function", "name": "f", "content": ""},
    ]
    made = written(messages=messages)["messages"][1:]
    function = {"name": "f", "arguments": "{}"}
    assert made == [
        {
            "role": "assistant",
            "tool_plan": "I look.",
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": ""}]},
    ]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": [{"role": "x"}]}, "messages[0].role"),
        ({"model": "m", "messages": HI, "tool_choice": "ANY"}, "tool_choice"),
        ({"model": "m", "messages": HI, "stop_sequences": [1]}, "stop_sequences"),
        ({"model": "m", "messages": HI, "thinking": {"type": "x"}}, "thinking.type"),
        ({"model": "m", "messages": HI, "tools": [{"function": {}}]}, "tools[0].function.name"),
    ],
)
def test_a_request_that_is_wrong_names_its_field(body: Any, param: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        THEIRS.read_request(json.dumps(body).encode())
    assert refused.value.param == param
