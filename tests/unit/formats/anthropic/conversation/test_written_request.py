"""A conversation of any format as a request of the Messages API: what it becomes, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from meshd.formats.anthropic.conversation.request import read_request, write_request
from meshd.formats.conversation.parts import (
    Audio,
    File,
    Image,
    Original,
    Other,
    Reasoning,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from meshd.formats.conversation.request import (
    AnswerKind,
    Conversation,
    Parameters,
    ResponseFormat,
    Role,
    Tool,
    ToolChoice,
    ToolMode,
    Turn,
)
from modelmesh import InvalidRequestError

HELLO = {"role": "user", "content": "Hello"}


def read(*messages: dict[str, Any], **fields: Any) -> Conversation:
    return read_request(msgspec.json.encode({"model": "m", "max_tokens": 9, "messages": messages, **fields}))


def written(conversation: Conversation) -> Any:
    return msgspec.json.decode(write_request(conversation))


def said(*parts: Any, role: Role = Role.USER, **parameters: Any) -> Conversation:
    return Conversation("m", (Turn(role, parts),), (), Parameters(**{"max_output_tokens": 9, **parameters}))


@pytest.mark.parametrize(
    ("model", "effort", "asked"),
    [
        ("claude-opus-4-8", "high", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("claude-opus-4-8", "minimal", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ("claude-sonnet-4-6", "xhigh", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("claude-haiku-4-5-20251001", "medium", {"thinking": {"type": "enabled", "budget_tokens": 5000}}),
        ("glm-5", "low", {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        ("claude-opus-4-8", "none", {}),
        ("claude-opus-4-8", "", {}),
    ],
)
def test_an_effort_is_asked_for_as_the_models_version_takes_it(model: str, effort: str, asked: Any) -> None:
    document = written(replace(said(Text("x"), max_output_tokens=10_000, reasoning_effort=effort), model=model))
    assert {name: value for name, value in document.items() if name in ("thinking", "output_config")} == asked


def test_a_model_that_has_to_call_a_tool_or_has_no_room_does_not_think() -> None:
    small = said(Text("x"), max_output_tokens=1000, reasoning_effort="high")
    assert "thinking" not in written(small)
    forced = replace(small, tools=(Tool("f"),), parameters=Parameters(
        max_output_tokens=9000, reasoning_effort="high", tool_choice=ToolChoice(ToolMode.REQUIRED)
    ))  # fmt: skip
    assert "thinking" not in written(forced)


@pytest.mark.parametrize(
    ("model", "effort", "sent"),
    [
        ("glm-5", "", {"temperature": 1, "top_p": 0.5, "top_k": 3}),
        ("claude-opus-4-5", "", {"temperature": 1, "top_k": 3}),
        ("claude-opus-4-8", "", {}),
        ("glm-5", "high", {}),
    ],
)
def test_sampling_is_what_the_model_takes(model: str, effort: str, sent: dict[str, float]) -> None:
    conversation = said(
        Text("x"), max_output_tokens=9000, temperature=1.5, top_p=0.5, top_k=3, reasoning_effort=effort, seed=4
    )
    document = written(replace(conversation, model=model))
    assert {name: document[name] for name in ("temperature", "top_p", "top_k", "seed") if name in document} == sent


def test_a_request_without_an_output_limit_gets_the_models() -> None:
    for model, limit in (("claude-haiku-4-5-20251001", 64000), ("glm-5", 4096)):
        assert written(replace(said(Text("x"), max_output_tokens=None), model=model))["max_tokens"] == limit


def test_instructions_of_all_turns_are_the_system_prompt() -> None:
    turns = (Turn(Role.SYSTEM, (Text("a"),)), Turn(Role.USER, (Text("x"),)), Turn(Role.DEVELOPER, (Text("b"),)))
    document = written(Conversation("m", turns))
    assert document["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert document["messages"] == [{"role": "user", "content": "x"}]


def test_results_of_parallel_calls_are_one_message() -> None:
    turns = tuple(Turn(Role.TOOL, (ToolResult(id, (Text(id),)),)) for id in ("a", "b"))
    [message] = written(Conversation("m", turns))["messages"]
    assert [block["tool_use_id"] for block in message["content"]] == ["a", "b"]


def test_calls_have_ids_that_are_accepted() -> None:
    """Of formats without ids, or with other characters in them."""
    calls = Turn(Role.ASSISTANT, (ToolCall("", "f", "{}"), ToolCall("", "g", "{}"), ToolCall("functions.h:0", "h")))
    results = (ToolResult("", (), "g"), ToolResult("", (), "f"), ToolResult("functions.h:0"))
    messages = written(Conversation("m", (calls, Turn(Role.TOOL, results))))["messages"]
    assert [block["id"] for block in messages[0]["content"]] == ["call_1", "call_2", "functions_h_0"]
    assert [block["tool_use_id"] for block in messages[1]["content"]] == ["call_2", "call_1", "functions_h_0"]


@pytest.mark.parametrize(
    ("arguments", "input"),
    [
        ("", {}),
        ("null", {}),
        ('{"a":1}', {"a": 1}),
        ('{"a":', {"INVALID_JSON": '{"a":'}),
        ("[1]", {"INVALID_JSON": "[1]"}),
    ],
)
def test_arguments_are_an_object(arguments: str, input: Any) -> None:
    [message] = written(said(ToolCall("a", "f", arguments), role=Role.ASSISTANT))["messages"]
    assert message["content"][0]["input"] == input


def test_reasoning_goes_back_where_its_provider_signed_it() -> None:
    parts = (
        Reasoning("a", "sig"),
        Reasoning(encrypted="x"),
        Reasoning("no one's"),
        Reasoning(encrypted="y", id="rs_1"),
    )
    [message] = written(said(*parts, Text("z"), role=Role.ASSISTANT))["messages"]
    assert message["content"] == [
        {"type": "thinking", "thinking": "a", "signature": "sig"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "z"},
    ]


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (ToolChoice(ToolMode.AUTO), None, {"type": "auto"}),
        (ToolChoice(ToolMode.NONE), False, {"type": "none"}),
        (ToolChoice(ToolMode.REQUIRED), True, {"type": "any", "disable_parallel_tool_use": False}),
        (ToolChoice(ToolMode.REQUIRED, ("f",)), None, {"type": "tool", "name": "f"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (None, None, None),
    ],
)
def test_tool_choice(choice: ToolChoice | None, parallel: bool | None, sent: Any) -> None:
    conversation = said(Text("x"), tool_choice=choice, parallel_tool_calls=parallel)
    assert "tool_choice" not in written(conversation)  # without tools it is refused
    document = written(replace(conversation, tools=(Tool("f"), Tool("g"))))
    assert document.get("tool_choice") == sent


def test_a_choice_of_several_tools_leaves_out_the_others() -> None:
    conversation = said(Text("x"), tool_choice=ToolChoice(ToolMode.REQUIRED, ("f", "h")))
    document = written(replace(conversation, tools=(Tool("f"), Tool("g"), Tool("h"))))
    assert [tool["name"] for tool in document["tools"]] == ["f", "h"]
    assert document["tool_choice"] == {"type": "any"}


def test_a_schema_is_that_of_an_object() -> None:
    tools = (Tool("f"), Tool("g", schema=b'{"properties":{}}'), Tool("h", schema=b'{"type":"object","x":1}'))
    document = written(replace(said(Text("x")), tools=tools))
    assert [tool["input_schema"] for tool in document["tools"]] == [
        {"type": "object"},
        {"type": "object", "properties": {}},
        {"type": "object", "x": 1},
    ]


@pytest.mark.parametrize(
    ("conversation", "param"),
    [
        (said(Audio(Source(data="AAAA", media_type="audio/mp3"))), "messages"),
        (said(File(Source(data="AAAA", media_type="application/zip"))), "messages"),
        (said(Image(Source(data="AAAA"))), "messages"),
        (said(Other(original=Original("openai", b'{"type": "x"}'))), "messages"),
        (said(Image(Source(url="u")), role=Role.SYSTEM), "messages"),
        (replace(said(Text("x")), tools=(Other(original=Original("openai", b"{}")),)), "tools"),
        (said(Text("x"), choices=2), "n"),
        (said(Text("x"), logprobs=True), "logprobs"),
        (said(Text("x"), stop=("\n",)), "stop"),
        (said(Text("x"), response_format=ResponseFormat(AnswerKind.JSON)), "response_format"),
    ],
)
def test_what_anthropics_api_cannot_say_is_refused_by_name(conversation: Conversation, param: str) -> None:
    with pytest.raises(InvalidRequestError, match="Anthropic") as caught:
        write_request(conversation)
    assert caught.value.param == param


def test_what_is_changed_is_written_with_the_fields_that_it_had() -> None:
    conversation = read({"role": "user", "content": "my secret", "x": 1}, max_tokens=5, container="c")
    masked = replace(conversation.turns[0], parts=(Text("my ***"),))
    limited = replace(conversation.parameters, max_output_tokens=3)
    document = written(replace(conversation, turns=(masked,), parameters=limited))
    assert document["messages"] == [{"role": "user", "content": "my ***", "x": 1}]
    assert (document["max_tokens"], document["container"]) == (3, "c")


def test_a_turn_at_the_end_does_not_end_in_white_space() -> None:
    turns = (Turn(Role.USER, (Text("Go on "),)), Turn(Role.ASSISTANT, (Text("Once \n"),)))
    assert [message["content"] for message in written(Conversation("m", turns))["messages"]] == ["Go on ", "Once"]


def test_a_message_between_others_with_instructions_stays_there() -> None:
    messages = [HELLO, {"role": "system", "content": "Be brief."}]
    assert written(read(*messages))["messages"] == messages
