"""A chat completion's request as a conversation, and back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshd.formats.conversation.parts import (
    Audio,
    CacheMark,
    File,
    Image,
    Original,
    Other,
    Reasoning,
    Refusal,
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
from meshd.formats.openai.conversation.request import read_request, uses_functions, write_request
from modelmesh.errors import InvalidRequestError
from tests.support.formats import openai_chats


def read(*messages: dict[str, Any], **fields: Any) -> Conversation:
    return read_request(json.dumps({"model": "m", "messages": list(messages), **fields}).encode())


def written(conversation: Conversation) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(write_request(conversation))
    return document


def user(*parts: Any) -> Conversation:
    return Conversation("m", (Turn(Role.USER, parts),))


@given(openai_chats.requests())
def test_nothing_is_lost_on_the_way_through_records(request: dict[str, Any]) -> None:
    body = msgspec.json.encode(request)
    conversation = read_request(body)
    assert msgspec.json.decode(write_request(conversation)) == msgspec.json.decode(body)
    assert read_request(write_request(conversation)) == conversation
    assert hash(conversation) == hash(read_request(body))


@given(openai_chats.requests())
def test_the_records_alone_say_the_same(request: dict[str, Any]) -> None:
    """Without the originals, what is written has the same meaning, in the newer of two spellings."""
    conversation = bare(read_request(msgspec.json.encode(request)))
    again = bare(read_request(write_request(conversation)))
    assert _comparable(again) == _comparable(conversation)


def bare(record: Any) -> Any:
    """Without any original, and without what is nothing else."""
    if isinstance(record, msgspec.Struct):
        fields = {name: bare(getattr(record, name)) for name in record.__struct_fields__}
        if "original" in fields:
            fields["original"] = None
        return type(record)(**fields)
    if isinstance(record, tuple):
        return tuple(bare(each) for each in record if not isinstance(each, Other))
    return record


def _comparable(conversation: Conversation) -> Conversation:
    """Without what no writer sends to a server that may not know it: reasoning, marks and extensions."""
    turns = tuple(replace(turn, parts=_known(turn.parts)) for turn in conversation.turns)
    tools = tuple(replace(tool, cache=None) if isinstance(tool, Tool) else tool for tool in conversation.tools)
    parameters = replace(conversation.parameters, top_k=None, reasoning_budget=None)
    return replace(conversation, turns=turns, tools=tools, parameters=parameters)


def _known(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    kept = []
    for part in parts:
        if isinstance(part, Reasoning | Refusal) or (isinstance(part, Text) and not part.text):
            continue
        if isinstance(part, ToolResult):
            part = replace(part, parts=_known(part.parts), name="" if part.call else part.name)
        kept.append(replace(part, cache=None) if hasattr(part, "cache") else part)
    return (*kept, refusal)


@given(openai_chats.values | st.binary(max_size=40))
def test_an_invalid_body_is_refused(value: Any) -> None:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(InvalidRequestError):
        read_request(body)


odd = openai_chats.values
names = st.sampled_from(
    ["role", "content", "name", "tool_calls", "tool_call_id", "function_call", "audio", "refusal", "type", "text",
     "image_url", "input_audio", "file", "function", "custom", "id", "arguments", "reasoning_details", "url"]
)  # fmt: skip
nested = st.recursive(
    odd | st.sampled_from(["user", "assistant", "tool", "text", "image_url", "function"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
    max_leaves=20,
)


@given(st.lists(st.dictionaries(names, nested, max_size=5) | odd, max_size=3), st.dictionaries(names, nested))
def test_odd_input_is_read_or_refused_with_the_field(messages: list[Any], more: dict[str, Any]) -> None:
    body = msgspec.json.encode({"model": "m", "messages": messages, **more})
    assert _refused_field(body) != ""


def _refused_field(body: bytes) -> str | None:
    """The field for which it is refused; None if it is read, and written as it came."""
    try:
        conversation = read_request(body)
    except InvalidRequestError as error:
        return error.param or ""
    assert msgspec.json.decode(write_request(conversation)) == msgspec.json.decode(body)
    return None


@given(
    st.sampled_from(
        ["tools", "functions", "tool_choice", "function_call", "max_tokens", "temperature", "stop", "seed", "n",
         "logprobs", "response_format", "stream", "stream_options", "user", "verbosity", "top_k"]
    ),
    nested,
)  # fmt: skip
def test_odd_parameters_are_read_or_refused_with_the_field(name: str, value: Any) -> None:
    body = msgspec.json.encode({"model": "m", "messages": [], name: value})
    assert (_refused_field(body) or name).startswith(name)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b'{"model": "m", "messages": [NaN]}', None),
        (b'{"model": "m", "messages": [1e999]}', None),
        (b'{"model": "m"}', "messages"),
        (b'{"messages": []}', "model"),
        (b'{"model": 1, "messages": []}', "model"),
        (b'{"model": "m", "messages": [{"role": "king", "content": "x"}]}', "messages[0].role"),
        (b'{"model": "m", "messages": [{"role": "user", "content": 1}]}', "messages[0].content"),
        (b'{"model": "m", "messages": [{"role": "user", "content": [1]}]}', "messages[0].content[0]"),
        (
            b'{"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}',
            "messages[0].content[0].image_url.url",
        ),
        (b'{"model": "m", "messages": [], "max_tokens": true}', "max_tokens"),
        (b'{"model": "m", "messages": [], "seed": 99999999999999999999}', "seed"),
        (b'{"model": "m", "messages": [], "tools": [{"type": "function", "function": {}}]}', "tools[0].function.name"),
        (b'{"model": "m", "messages": [], "tool_choice": {"type": "function"}}', "tool_choice"),
        (b'{"model": "m", "messages": [], "response_format": {"type": "yaml"}}', "response_format.type"),
        (b'{"model": "m", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
    ],
)
def test_the_error_names_the_field(body: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_request(body)
    assert caught.value.param == param


def test_half_a_surrogate_pair_is_replaced() -> None:
    conversation = read_request(b'{"model": "m", "messages": [{"role": "user", "content": "a\\ud83d"}]}')
    assert conversation.turns[0].parts == (Text("a\ufffd"),)
    assert written(conversation)["messages"][0]["content"] == "a\ufffd"


def test_turns_have_their_roles_and_parts() -> None:
    conversation = read(
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "name": "ada", "content": [{"type": "text", "text": "What is it?"}, _IMAGE, _SOUND, _FILE]},
        {"role": "assistant", "content": None, "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "18 °C"},
        {"role": "assistant", "content": None, "refusal": "No."},
    )
    image = Image(Source(data="AAAA", media_type="image/png"), "low")
    sound = Audio(Source(data="BBBB", media_type="audio/mp3"))
    file = File(Source(data="CCCC", media_type="application/pdf", name="a.pdf"))
    assert conversation.turns == (
        Turn(Role.DEVELOPER, (Text("Be brief."),)),
        Turn(Role.USER, (Text("What is it?"), image, sound, file), "ada"),
        Turn(Role.ASSISTANT, (ToolCall("call_1", "weather", '{"place": "Rome"}'),)),
        Turn(Role.TOOL, (ToolResult("call_1", (Text("18 °C"),)),)),
        Turn(Role.ASSISTANT, (Refusal("No."),)),
    )


_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
_SOUND = {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "mp3"}}
_FILE = {"type": "file", "file": {"file_data": "data:application/pdf;base64,CCCC", "filename": "a.pdf"}}
_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"place": "Rome"}'}}


def test_parameters_and_tools_are_read() -> None:
    conversation = read(
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        max_completion_tokens=9,
        stop=["END"],
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "array"}}},
        stream=True,
        stream_options={"include_usage": True},
        reasoning_effort="low",
    )
    assert conversation.tools == (Tool("f", schema=b'{"type":"object"}', strict=True),)
    assert conversation.parameters == Parameters(
        max_output_tokens=9,
        stop=("END",),
        reasoning_effort="low",
        response_format=ResponseFormat(AnswerKind.SCHEMA, b'{"type":"array"}', "s"),
        tool_choice=ToolChoice(ToolMode.REQUIRED, ("f",)),
        stream=True,
        stream_usage=True,
    )


@pytest.mark.parametrize(
    ("limits", "tokens"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": -1}, None),
        ({"max_tokens": 5, "max_completion_tokens": 0}, None),
    ],
)
def test_of_two_output_limits_the_larger_counts(limits: dict[str, int], tokens: int | None) -> None:
    assert read(**limits).parameters.max_output_tokens == tokens


def test_deprecated_functions_are_tools() -> None:
    function = {"name": "f", "parameters": {"type": "object"}}
    conversation = read(
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "42"},
        functions=[function],
        function_call={"name": "f"},
    )
    assert uses_functions(conversation)
    assert bare(conversation.tools) == (Tool("f", schema=b'{"type":"object"}'),)
    assert conversation.parameters.tool_choice == ToolChoice(ToolMode.REQUIRED, ("f",))
    assert conversation.turns[0].parts == (ToolCall("", "f", "{}"),)
    assert conversation.turns[1].parts == (ToolResult("", (Text("42"),), "f"),)
    assert written(conversation)["functions"] == [function]
    assert not uses_functions(read(tools=[]))


def test_what_is_changed_is_written_with_the_fields_that_it_had() -> None:
    """A record that no longer says what it was read from is written from its fields, with the unknown ones."""
    conversation = read({"role": "user", "content": "my secret", "x": 1, "name": None}, max_tokens=5, x=2)
    masked = replace(conversation.turns[0], parts=(Text("my ***"),))
    limited = replace(conversation.parameters, max_output_tokens=3)
    document = written(replace(conversation, turns=(masked,), parameters=limited))
    assert document == {
        "model": "m",
        "messages": [{"role": "user", "content": "my ***", "x": 1}],
        "max_completion_tokens": 3,
        "x": 2,
    }


def test_marks_for_a_cache_are_read_in_both_spellings() -> None:
    marked = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit"}},
    ]
    parts = read({"role": "user", "content": marked}).turns[0].parts
    assert [part.cache for part in parts if isinstance(part, Text)] == [CacheMark("1h"), CacheMark()]


def test_signatures_come_back_from_the_fields_that_servers_added() -> None:
    details = [
        {"type": "reasoning.text", "text": "Hm.", "signature": "sig"},
        {"type": "reasoning.encrypted", "data": "xyz", "id": "r1"},
    ]
    google = {"google": {"thought_signature": "g"}}
    turn = read(
        {
            "role": "assistant",
            "content": "Yes.",
            "reasoning_details": details,
            "tool_calls": [{**_CALL, "extra_content": google}],
        }
    ).turns[0]
    assert bare(turn.parts) == (
        Reasoning("Hm.", "sig"),
        Reasoning(encrypted="xyz", id="r1"),
        Text("Yes."),
        ToolCall("call_1", "weather", '{"place": "Rome"}', signature="g"),
    )


def test_another_formats_reasoning_and_marks_are_left_out() -> None:
    turn = Turn(
        Role.ASSISTANT,
        (Reasoning("Hm.", "sig"), Text("Yes.", CacheMark("5m")), ToolCall("c", "f", "{}", signature="g")),
    )
    message = written(Conversation("m", (turn,)))["messages"][0]
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert message == {"role": "assistant", "content": "Yes.", "tool_calls": [call]}


def test_another_formats_turn_of_results_is_a_message_for_each() -> None:
    """As Anthropic and Gemini have them: several results, and text beside them."""
    turn = Turn(Role.TOOL, (ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),)), Text("And now?")))
    assert written(Conversation("m", (turn,)))["messages"] == [
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "user", "content": "And now?"},
    ]


@pytest.mark.parametrize(
    "part",
    [
        Image(Source(id="file_1")),
        File(Source(url="https://example.com/a.pdf")),
        Audio(Source(url="https://example.com/a.mp3")),
        Other(original=Original("anthropic", b'{"type": "search_result"}')),
    ],
)
def test_what_openai_cannot_say_is_refused(part: Any) -> None:
    with pytest.raises(InvalidRequestError, match="OpenAI"):
        write_request(user(part))


def test_records_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        user(Text("a")).model = "other"
