"""A request to the Responses API as a conversation, and back; and through the chat format."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshd.formats.anthropic.conversation import request as messages
from meshd.formats.conversation.parts import Audio, Image, Other, Reasoning, Refusal, Text, ToolCall, ToolResult
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
from meshd.formats.conversation.tools.freeform import with_functions
from meshd.formats.openai.conversation import request as chat
from meshd.formats.responses.conversation.request import read_request, write_request
from modelmesh.errors import InvalidRequestError
from tests.support.formats import openai_chats, responses_api
from tests.support.formats.responses_requests import as_chat, read, said, written

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


def given_fields(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None and (name, value) != ("tools", [])}


@given(responses_api.requests())
def test_nothing_is_lost_on_the_way_through_records(request: dict[str, Any]) -> None:
    body = msgspec.json.encode(request)
    conversation = read_request(body)
    assert given_fields(msgspec.json.decode(write_request(conversation))) == given_fields(msgspec.json.decode(body))
    assert read_request(write_request(conversation)) == conversation
    assert hash(conversation) == hash(read_request(body))


def plain(conversation: Conversation) -> Conversation:
    """Without what only one of the formats keeps: originals, names of participants, reasoning that no other provider
    reads, and what is not said is off."""
    tools = []
    for tool in conversation.tools:
        if isinstance(tool, Tool):
            tools.append(replace(tool, original=None, strict=None if tool.custom else bool(tool.strict), cache=None))
    turns: list[Turn] = []
    for turn in conversation.turns:
        parts = tuple(_bare(part) for part in turn.parts if not isinstance(part, Reasoning))
        parts = tuple(part for part in parts if part != Text(""))
        if turns and turns[-1].role is turn.role is Role.ASSISTANT:
            turns[-1] = replace(turns[-1], parts=_texts_first(turns[-1].parts + parts))
        else:
            turns.append(Turn(turn.role, _texts_first(parts)))
        if turn.role is Role.ASSISTANT:  # its texts are written as one
            turns[-1] = replace(turns[-1], parts=_joined(turns[-1].parts))
    parameters = replace(conversation.parameters, original=None, stream_usage=False)
    dropped = {"seed": None, "top_k": None, "reasoning_budget": None}
    penalties = {"frequency_penalty": None, "presence_penalty": None, "choices": None}
    parameters = replace(parameters, **dropped, **penalties)
    if parameters.response_format is not None and parameters.response_format.kind is not AnswerKind.SCHEMA:
        parameters = replace(parameters, response_format=ResponseFormat(parameters.response_format.kind))
    return Conversation(conversation.model, tuple(turn for turn in turns if turn.parts), tuple(tools), parameters)


def _texts_first(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(parts, key=lambda part: isinstance(part, ToolCall)))


def _joined(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    found: list[Any] = []
    for part in parts:
        before = found[-1] if found else None
        if isinstance(part, Text) and isinstance(before, Text) and replace(before, text="") == replace(part, text=""):
            found[-1] = replace(part, text=before.text + part.text)
        else:
            found.append(part)
    return tuple(found)


def _bare(part: Any) -> Any:
    if isinstance(part, ToolResult):
        parts = tuple(bare for each in part.parts if (bare := _bare(each)) != Text(""))
        return ToolResult("" if part.call.startswith("call_") else part.call, parts)
    if isinstance(part, ToolCall) and part.id.startswith("call_"):  # it had none
        part = replace(part, id="")
    known: dict[str, Any] = {name: None for name in ("original", "cache") if hasattr(part, name)}
    if isinstance(part, Image):
        known["detail"] = part.detail or "auto"
    return replace(part, **known)


def _only_a_chat_says(asked: Conversation) -> bool:
    """A tool or a part of a kind that is not OpenAI's, or an answer's sound."""
    parts = [part for turn in asked.turns for part in turn.parts]
    inside = [each for part in parts if isinstance(part, ToolResult) for each in part.parts]
    sounds = any(isinstance(part, Audio) and not part.source.data for part in parts)
    said = (part for turn in asked.turns if turn.role is Role.ASSISTANT for part in turn.parts)
    return (
        sounds
        or any(isinstance(each, Other) for each in (*asked.tools, *parts, *inside))
        or any(isinstance(part, Audio) for part in said)
    )


@given(openai_chats.requests())
def test_a_chat_means_the_same_as_a_response(request: dict[str, Any]) -> None:
    for name in ("stop", "n", "frequency_penalty", "presence_penalty"):
        request.pop(name, None)
    asked = chat.read_request(msgspec.json.encode(request))
    if _only_a_chat_says(asked):
        return
    body = write_request(asked)
    again = read_request(body)
    assert plain(again) == plain(asked)


@given(openai_chats.values | st.binary(max_size=60))
def test_what_is_not_a_request_is_refused(value: Any) -> None:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(InvalidRequestError):
        read_request(body)


names = st.sampled_from(
    ["model", "input", "instructions", "tools", "tool_choice", "type", "role", "content", "text", "output", "call_id",
     "name", "namespace", "arguments", "summary", "encrypted_content", "reasoning", "format", "schema", "include", "id",
     "image_url", "input_audio", "file_data", "grammar", "definition", "max_output_tokens", "previous_response_id"]
)  # fmt: skip
kinds = st.sampled_from(
    ["message", "function_call", "custom_tool_call", "function_call_output", "reasoning", "item_reference", "namespace",
     "input_text", "output_text", "input_image", "input_file", "input_audio", "refusal", "user", "assistant",
     "function", "custom", "json_schema", "allowed_tools", "additional_tools", "tool_search_output", "\ud83d"]
)  # fmt: skip
nested = st.recursive(
    openai_chats.scalars | kinds,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
    max_leaves=25,
)


@given(st.dictionaries(names, nested, max_size=6), nested)
def test_an_odd_request_is_read_or_refused(fields: dict[str, Any], given: Any) -> None:
    try:
        conversation = read_request(json.dumps({"model": "m", "input": given, **fields}).encode())
    except InvalidRequestError:
        return
    hash(conversation)
    for write in (write_request, chat.write_request, lambda asked: chat.write_request(with_functions(asked))):
        with contextlib.suppress(InvalidRequestError):
            write(conversation)


def test_instructions_and_a_text_are_two_turns() -> None:
    conversation = read(instructions="Be brief.", stream=True, max_output_tokens=50)
    assert [(turn.role, turn.parts) for turn in conversation.turns] == [
        (Role.SYSTEM, (Text("Be brief."),)),
        (Role.USER, (Text("Hello?"),)),
    ]
    assert written(conversation)["input"] == "Hello?"
    assert as_chat(conversation)["max_completion_tokens"] == 50
    assert as_chat(conversation)["stream_options"] == {"include_usage": True}


def test_what_the_model_said_in_one_go_is_one_turn() -> None:
    turns = said(
        {"role": "user", "content": [{"type": "input_text", "text": "Both?"}]},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm"}],
            "encrypted_content": "e",
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "b", "name": "g", "input": "x"},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "custom_tool_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "2"}]},
    )
    assert turns == (
        Turn(Role.USER, (Text("Both?"),)),
        Turn(
            Role.ASSISTANT,
            (Reasoning("Hm", "", "e", "rs_1"), Text("Yes."), ToolCall("a", "f", "{}"), ToolCall("b", "g", "x", True)),
        ),
        Turn(Role.TOOL, (ToolResult("a", (Text("1"),)),)),
        Turn(Role.TOOL, (ToolResult("b", (Text("2"),)),)),
    )


def test_reasoning_goes_back_only_to_who_can_read_it() -> None:
    parts = (Reasoning("shown"), Reasoning("", "signed"), Reasoning("", "", "secret", "rs_1"), Text("Yes."))
    assert written(Conversation("m", (Turn(Role.ASSISTANT, parts),)))["input"] == [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "secret"},
        {"type": "message", "role": "assistant", "content": "Yes."},
    ]


def test_a_refusal_stays_one() -> None:
    assert written(Conversation("m", (Turn(Role.ASSISTANT, (Refusal("No."),)),)))["input"][0]["content"] == [
        {"type": "refusal", "refusal": "No."}
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tools": [{"type": "file_search"}, PATCH], "tool_choice": {"type": "file_search"}}, "tools"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input"),
        ({"input": [{"id": "msg_1"}]}, "input"),
        ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "input"),
        ({"input": [{"type": "local_shell_call", "id": "l", "call_id": "c", "action": {}}]}, "input"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p1"}}, "prompt"),
        ({"background": True}, "background"),
    ],
)
def test_what_only_this_api_has_is_refused_for_a_chat(fields: dict[str, Any], param: str) -> None:
    conversation = read(**fields)
    with pytest.raises(InvalidRequestError, match=param) as caught:
        chat.write_request(conversation)
    assert caught.value.param == param
    assert written(conversation)["model"] == "m"


def test_what_the_provider_did_by_itself_is_left_out_for_a_chat() -> None:
    items = [
        {"role": "user", "content": "News?"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}},
        {"type": "message", "role": "assistant", "content": "None."},
    ]
    messages = as_chat(read(input=items))["messages"]
    assert messages == [{"role": "user", "content": "News?"}, {"role": "assistant", "content": "None."}]


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        (Parameters(stop=("x",)), "stop"),
        (Parameters(choices=2), "n"),
        (Parameters(frequency_penalty=0.5), "frequency_penalty"),
        (Parameters(presence_penalty=-1), "presence_penalty"),
    ],
)
def test_what_this_api_lacks_is_refused(parameters: Parameters, param: str) -> None:
    with pytest.raises(InvalidRequestError, match=param) as caught:
        write_request(Conversation("m", (), (), parameters))
    assert caught.value.param == param


def test_parameters_have_their_names() -> None:
    parameters = Parameters(
        logprobs=True,
        top_logprobs=2,
        reasoning_effort="low",
        reasoning_shown=True,
        verbosity="low",
        response_format=ResponseFormat(AnswerKind.SCHEMA, b'{"type":"object"}'),
        tool_choice=ToolChoice(ToolMode.REQUIRED, ("g",)),
        parallel_tool_calls=False,
        choices=1,
        frequency_penalty=0,
        seed=1,
    )
    sent = written(Conversation("m", (), (Tool("g", custom=True),), parameters))
    assert sent == {
        "model": "m",
        "input": [],
        "tools": [{"type": "custom", "name": "g"}],
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {
            "format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}},
            "verbosity": "low",
        },
        "tool_choice": {"type": "custom", "name": "g"},
        "parallel_tool_calls": False,
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 5}, "model"),
        ({"input": 5}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"tools": "f"}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}]}, "tools[0].tools[0].name"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format.type"),
        ({"reasoning": "much"}, "reasoning"),
        ({"temperature": "hot"}, "temperature"),
    ],
)
def test_a_mistake_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(**fields)
    assert caught.value.param == param


def test_parts_of_an_unknown_kind_are_kept() -> None:
    part = {"type": "input_video", "video_url": "https://example.com/v.mp4"}
    conversation = read(input=[{"role": "user", "content": [part]}])
    assert isinstance(conversation.turns[0].parts[0], Other)
    with pytest.raises(InvalidRequestError, match="input_video"):
        chat.write_request(conversation)


@given(responses_api.requests())
def test_a_model_of_another_api_gets_all_that_its_api_has(request: dict[str, Any]) -> None:
    """Or a refusal that names the field; with the same names of tools, and the same texts, whatever the API."""
    conversation = read_request(msgspec.json.encode(request))
    texts = [part.text for turn in conversation.turns for part in turn.parts if isinstance(part, Text) and part.text]
    names = [tool.name for tool in conversation.tools if isinstance(tool, Tool)]
    for write in (chat.write_request, messages.write_request):
        try:
            sent = json.loads(write(with_functions(conversation)))
        except InvalidRequestError:
            continue
        written_names = [tool.get("name") or tool["function"]["name"] for tool in sent.get("tools", ())]
        assert set(written_names) <= set(names)
        assert all(json.dumps(text.strip()).strip('"') in json.dumps(sent) for text in texts)
