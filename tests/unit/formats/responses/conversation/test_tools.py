"""Tools of the Responses API as tools of a conversation, of a chat, and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshd.formats.conversation.parts import Image, Source, Text, ToolCall, ToolResult
from meshd.formats.conversation.request import (
    Conversation,
    Namespace,
    Role,
    Tool,
    Turn,
)
from meshd.formats.conversation.tools.freeform import with_functions
from tests.support.formats.responses_requests import as_chat, read, written

PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edit files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "*"'},
}
GROUP = {
    "type": "namespace",
    "name": "mcp__shop",
    "description": "A shop.",
    "tools": [{"type": "function", "name": "order", "parameters": {"type": "object"}, "strict": False}],
}


def test_the_output_of_a_custom_tool_is_written_as_one() -> None:
    turns = (
        Turn(Role.ASSISTANT, (ToolCall("a", "f", "{}"), ToolCall("b", "g", "x", custom=True))),
        Turn(Role.TOOL, (ToolResult("b", (Text("2"),)), ToolResult("a", (Text("1"), Image(Source(id="file_1")))))),
    )
    assert written(Conversation("m", turns))["input"] == [
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "b", "name": "g", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "b", "output": "2"},
        {
            "type": "function_call_output",
            "call_id": "a",
            "output": [
                {"type": "input_text", "text": "1"},
                {"type": "input_image", "file_id": "file_1", "detail": "auto"},
            ],
        },
    ]


def test_a_tool_of_a_namespace_has_one_name_in_a_chat_and_its_own_again() -> None:
    call = {"type": "function_call", "call_id": "a", "name": "order", "namespace": "mcp__shop", "arguments": "{}"}
    conversation = read(tools=[GROUP], input=[call], tool_choice={"type": "function", "name": "mcp__shop__order"})
    [tool] = conversation.tools
    assert isinstance(tool, Tool)
    assert (tool.name, tool.namespace, tool.local) == ("mcp__shop__order", Namespace("mcp__shop", "A shop."), "order")
    sent = as_chat(conversation)
    assert sent["tools"][0]["function"]["name"] == "mcp__shop__order"
    assert sent["messages"][0]["tool_calls"][0]["function"]["name"] == "mcp__shop__order"
    bare = replace(conversation, turns=tuple(replace(turn, original=None) for turn in conversation.turns))
    assert written(bare)["input"] == [call]
    assert written(bare)["tools"] == [GROUP]


@given(st.text(max_size=80), st.text(max_size=80))
def test_every_joined_name_is_one_that_providers_accept(namespace: str, name: str) -> None:
    tool = {"type": "function", "name": name or "f"}
    conversation = read(tools=[{"type": "namespace", "name": namespace or "n", "description": "", "tools": [tool]}])
    [made] = conversation.tools
    assert isinstance(made, Tool)
    assert 0 < len(made.name) <= 64
    assert all(each.isascii() and (each.isalnum() or each in "_-") for each in made.name)


def test_a_custom_tool_is_one_in_a_chat_or_a_function() -> None:
    call = {"type": "custom_tool_call", "call_id": "a", "name": "apply_patch", "input": '*** "x"\n'}
    conversation = read(tools=[PATCH], input=[call])
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": 'start: "*"'}}
    assert as_chat(conversation)["tools"][0]["custom"]["format"] == grammar
    assert as_chat(conversation)["messages"][0]["tool_calls"][0]["custom"]["input"] == '*** "x"\n'
    sent = as_chat(with_functions(conversation))
    function = sent["tools"][0]["function"]
    assert function["parameters"]["required"] == ["input"]
    assert 'start: "*"' in function["description"]
    arguments = sent["messages"][0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"input": '*** "x"\n'}


def test_tools_that_items_bring_are_tools() -> None:
    item = {"type": "additional_tools", "role": "developer", "tools": [PATCH]}
    found = {"type": "tool_search_output", "call_id": "s", "tools": [GROUP]}
    conversation = read(
        tools=[{"type": "function", "name": "f"}], input=[item, found, {"role": "user", "content": "?"}]
    )
    assert [tool.name for tool in conversation.tools if isinstance(tool, Tool)] == [
        "f",
        "apply_patch",
        "mcp__shop__order",
    ]
    assert [message["role"] for message in as_chat(conversation)["messages"]] == ["user"]


def test_a_schema_of_a_chat_is_not_taken_as_strict() -> None:
    sent = written(Conversation("m", (), (Tool("f", schema=b'{"type":"object"}'),)))
    assert sent["tools"][0] == {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_a_hosted_tool_is_left_out_while_there_are_others(choice: str) -> None:
    conversation = read(tools=[{"type": "web_search"}, PATCH], tool_choice=choice)
    assert [tool["type"] for tool in as_chat(conversation)["tools"]] == ["custom"]
