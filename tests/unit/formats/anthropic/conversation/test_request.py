"""A request of the Messages API as records, and back; and conversations of OpenAI's format as such a request."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshd.formats.anthropic.conversation.request import read_request, write_request
from meshd.formats.conversation.parts import (
    CacheMark,
    File,
    Image,
    Other,
    Reasoning,
    Refusal,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from meshd.formats.conversation.portable import portable
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
from meshd.formats.openai.conversation.request import read_request as read_openai
from modelmesh import InvalidRequestError
from tests.support.formats import anthropic_messages, openai_chats

_encode, _decode = msgspec.json.encode, msgspec.json.decode
HELLO = {"role": "user", "content": "Hello"}


def read(*messages: dict[str, Any], **fields: Any) -> Conversation:
    body = {"model": "m", "max_tokens": 9, "messages": list(messages) or [HELLO], **fields}
    return read_request(json.dumps(body).encode())


def written(conversation: Conversation) -> Any:
    return _decode(write_request(conversation))


def said(*parts: Any, role: Role = Role.USER, **parameters: Any) -> Conversation:
    return Conversation("m", (Turn(role, parts),), (), Parameters(**{"max_output_tokens": 9, **parameters}))


@given(anthropic_messages.requests())
def test_nothing_is_lost_on_the_way_through_records(request: dict[str, Any]) -> None:
    body = _encode({**request, "messages": [*request["messages"], HELLO]})  # a turn at the end may be cut: see below
    conversation = read_request(body)
    again = written(conversation)
    assert again["messages"] == _together(_decode(body)["messages"])
    assert again.pop("tools", []) == _decode(body).get("tools", [])
    apart = ("messages", "tools") if conversation.tools else ("messages", "tools", "tool_choice")
    rest = {name: value for name, value in _decode(body).items() if name not in apart}
    assert {name: value for name, value in again.items() if name not in apart} == rest
    hash(conversation)


def _together(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With results that follow each other in one message, which means the same."""
    made: list[dict[str, Any]] = []
    joined = False
    for message in messages:
        if _has_results(message) and made and _has_results(made[-1]):
            made[-1] = {"role": "user", "content": [*made[-1]["content"], *message["content"]]}
            joined = True
            continue
        made.append(message)
    for message in made if joined else ():
        if _has_results(message) and len(message) == 2:
            results = [block for block in message["content"] if block.get("type") == "tool_result"]
            message["content"] = [*results, *(each for each in message["content"] if each not in results)]
    return made


def _has_results(message: dict[str, Any]) -> bool:
    content = message["content"]
    has = isinstance(content, list) and any(block.get("type") == "tool_result" for block in content)
    return has and message["role"] == "user"


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


def meaning(conversation: Conversation) -> Any:
    """What a conversation says, whatever the format has to write it in: instructions apart, texts that say something,
    results of parallel calls together."""
    conversation = bare(conversation)
    system: list[Any] = []
    turns: list[tuple[Role, list[Any]]] = []
    for turn in conversation.turns:
        parts = [kept for part in turn.parts if (kept := _kept(part)) is not None]
        if turn.role in (Role.SYSTEM, Role.DEVELOPER):
            system += parts
        elif parts and turn.role is Role.TOOL and turns and turns[-1][0] is Role.TOOL:
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((turn.role, parts))
    for role, parts in turns:
        if role is Role.TOOL:
            parts.sort(key=lambda part: not isinstance(part, ToolResult))
    if turns and turns[-1][0] is Role.ASSISTANT:
        turns[-1] = (Role.ASSISTANT, [_trimmed(part) for part in turns[-1][1]])
    parameters = conversation.parameters
    kept = (parameters.stop, parameters.user, parameters.stream, parameters.tool_choice and parameters.tool_choice.mode)
    tools = [(tool.name, tool.description, bool(tool.strict)) for tool in conversation.tools if isinstance(tool, Tool)]
    return conversation.model, system, turns, tools, kept if tools else kept[:3]


def _trimmed(part: Any) -> Any:
    return replace(part, text=part.text.rstrip()) if isinstance(part, Text) else part


def _kept(part: Any) -> Any:
    if isinstance(part, Refusal):
        part = Text(part.text)
    if isinstance(part, Text):
        return replace(part, cache=_mark(part.cache)) if part.text.strip() else None
    if isinstance(part, Reasoning):
        return None if not part.signature and not part.encrypted else replace(part, id="")
    if isinstance(part, ToolCall):
        arguments = _object(part.arguments)
        return replace(part, arguments=json.dumps(arguments, sort_keys=True), signature="")
    if isinstance(part, ToolResult):
        parts = tuple(kept for each in part.parts if (kept := _kept(each)) is not None)
        return replace(part, parts=parts, name="", cache=_mark(part.cache))
    if isinstance(part, Image):
        return replace(part, detail="", cache=_mark(part.cache))
    if isinstance(part, File):
        return replace(part, cache=_mark(part.cache))
    return part


def _mark(mark: CacheMark | None) -> CacheMark | None:
    return None if mark is None else CacheMark(mark.ttl if mark.ttl in ("5m", "1h") else "")


def _object(arguments: str) -> Any:
    try:
        value = json.loads(arguments.strip() or "{}")
    except ValueError:
        return {"INVALID_JSON": arguments}
    return {} if value is None else value if isinstance(value, dict) else {"INVALID_JSON": arguments}


@given(anthropic_messages.requests())
def test_the_records_alone_say_the_same(request: dict[str, Any]) -> None:
    conversation = bare(read_request(_encode(request)))
    assert meaning(read_request(write_request(conversation))) == meaning(conversation)


@given(openai_chats.requests())
def test_a_chat_of_openais_format_says_the_same_or_is_refused_by_name(request: dict[str, Any]) -> None:
    conversation = read_openai(_encode(request))
    body, param = _tried(write_request, conversation)
    if body is None:
        assert param in ("messages", "tools", "n", "logprobs", "response_format", "stop")
        return
    again = read_request(body)
    conversation = with_functions(portable(conversation, "anthropic"))
    choice = conversation.parameters.tool_choice
    if choice is None:  # one call at a time is said by a choice
        again = replace(again, parameters=replace(again.parameters, tool_choice=None))
    if choice is None or not choice.names:
        assert meaning(_with_ids(again)) == meaning(_with_ids(conversation))
    assert again.parameters.max_output_tokens
    document = _decode(body)
    assert document["messages"] == [message for message in document["messages"] if message["content"]]


def _with_ids(conversation: Conversation) -> Conversation:
    """Calls without an id have one afterwards: compared are all without."""

    def anonymous(part: Any) -> Any:
        if isinstance(part, ToolCall):
            return replace(part, id="")
        return replace(part, call="") if isinstance(part, ToolResult) else part

    turns = tuple(replace(turn, parts=tuple(map(anonymous, turn.parts)), name="") for turn in conversation.turns)
    return replace(conversation, turns=turns)


@given(openai_chats.values | st.binary(max_size=40))
def test_an_invalid_body_is_refused(value: Any) -> None:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(InvalidRequestError):
        read_request(body)


names = st.sampled_from(
    ["role", "content", "type", "text", "source", "data", "media_type", "url", "file_id", "tool_use_id", "id", "name",
     "input", "thinking", "signature", "cache_control", "ttl", "is_error", "title", "citations"]
)  # fmt: skip
nested = st.recursive(
    openai_chats.values
    | st.sampled_from(
        ["user", "assistant", "system", "text", "image", "document", "thinking", "tool_use", "tool_result", "base64",
         "url", "redacted_thinking", "content"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(st.dictionaries(names, nested, max_size=5) | openai_chats.values, max_size=3))
def test_odd_messages_are_read_or_refused_with_the_field(messages: list[Any]) -> None:
    body = {"model": "m", "max_tokens": 5, "messages": messages}
    conversation, param = _tried(read_request, _encode(body))
    if conversation is None:
        assert param.startswith("messages")
    else:
        write_request(conversation)


@given(
    st.sampled_from(
        ["system", "tools", "tool_choice", "max_tokens", "temperature", "stop_sequences", "thinking", "output_config",
         "output_format", "metadata", "stream", "top_k", "cache_control", "container"]
    ),
    nested,
)  # fmt: skip
def test_odd_parameters_are_read_or_refused_with_the_field(name: str, value: Any) -> None:
    body = _encode({"model": "m", "max_tokens": 5, "messages": [], name: value})
    conversation, param = _tried(read_request, body)
    if conversation is None:
        assert param.startswith(name)
        return
    left_out = {"tool_choice"} if not conversation.tools else set()
    kept = {key: each for key, each in _decode(body).items() if key not in left_out}
    assert {key: each for key, each in written(conversation).items() if key not in left_out} == kept


def _tried(function: Any, argument: Any) -> tuple[Any, str]:
    """What it returns, or None and the field for which it is refused."""
    try:
        return function(argument), ""
    except InvalidRequestError as error:
        return None, error.param or ""


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b'{"model": "m"}', "messages"),
        (b'{"messages": []}', "model"),
        (b'{"model": "m", "messages": [{"role": "king", "content": "x"}]}', "messages[0].role"),
        (b'{"model": "m", "messages": [{"role": "user", "content": [1]}]}', "messages[0].content[0]"),
        (
            b'{"model": "m", "messages": [{"role": "user", "content": [{"type": "image"}]}]}',
            "messages[0].content[0].source",
        ),
        (
            b'{"model": "m", "messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a", '
            b'"name": "f", "input": "x"}]}]}',
            "messages[0].content[0].input",
        ),
        (b'{"model": "m", "messages": [], "tools": [{"input_schema": {}}]}', "tools[0].name"),
        (b'{"model": "m", "messages": [], "thinking": {"type": "deeply"}}', "thinking.type"),
        (b'{"model": "m", "messages": [], "thinking": {"type": "enabled"}}', "thinking.budget_tokens"),
        (b'{"model": "m", "messages": [], "tool_choice": {"type": "tool"}}', "tool_choice.type"),
        (b'{"model": "m", "messages": [], "output_config": {"format": {"type": "x"}}}', "output_config.format.type"),
        (b'{"model": "m", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
    ],
)
def test_the_error_names_the_field(body: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_request(body)
    assert caught.value.param == param


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"}, "title": "a"}
NOTE = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Rome"}}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"place": "Rome"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "18 °C", "is_error": True}


def test_turns_have_their_roles_and_parts() -> None:
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    conversation = read(
        {"role": "user", "content": ["text", IMAGE, PDF, NOTE][1:]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "sig"}, CALL]},
        {"role": "user", "content": [RESULT, {"type": "text", "text": "Why?", **mark}]},
        system=[{"type": "text", "text": "Be brief.", **mark}],
    )
    assert bare(conversation.turns) == (
        Turn(Role.SYSTEM, (Text("Be brief.", CacheMark("1h")),)),
        Turn(
            Role.USER,
            (
                Image(Source(data="AAAA", media_type="image/png")),
                File(Source(data="BBBB", media_type="application/pdf", name="a")),
                File(Source(data="Um9tZQ==", media_type="text/plain")),
            ),
        ),
        Turn(Role.ASSISTANT, (Reasoning("Hm.", "sig"), ToolCall("toolu_1", "weather", '{"place":"Rome"}'))),
        Turn(
            Role.TOOL,
            (ToolResult("toolu_1", (Text("18 °C"),), failed=True), Text("Why?", CacheMark("1h"))),
        ),
    )


def test_parameters_and_tools_are_read() -> None:
    conversation = read(
        tools=[{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        stop_sequences=["END"],
        thinking={"type": "enabled", "budget_tokens": 2000},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
        metadata={"user_id": "u"},
        stream=True,
        top_k=5,
    )
    assert conversation.tools == (Tool("f", "d", b'{"type":"object"}', True),)
    assert conversation.parameters == Parameters(
        max_output_tokens=9,
        top_k=5,
        stop=("END",),
        reasoning_budget=2000,
        response_format=ResponseFormat(AnswerKind.SCHEMA, b'{"type":"object"}'),
        tool_choice=ToolChoice(ToolMode.REQUIRED),
        parallel_tool_calls=False,
        user="u",
        stream=True,
    )


@pytest.mark.parametrize(
    ("thinking", "budget", "adaptive", "shown"),
    [
        ({"type": "disabled"}, 0, False, None),
        ({"type": "adaptive", "display": "omitted"}, None, True, False),
        ({"type": "enabled", "budget_tokens": 1024, "display": "summarized"}, 1024, False, True),
    ],
)
def test_thinking(thinking: dict[str, Any], budget: int | None, adaptive: bool, shown: bool | None) -> None:
    parameters = read(thinking=thinking).parameters
    read_as = (parameters.reasoning_budget, parameters.reasoning_adaptive, parameters.reasoning_shown)
    assert read_as == (budget, adaptive, shown)
    assert written(said(Text("x"), **_thought(parameters)))["thinking"] == thinking


def _thought(parameters: Parameters) -> dict[str, Any]:
    names = ("reasoning_budget", "reasoning_adaptive", "reasoning_shown")
    return {"max_output_tokens": 4000, **{name: getattr(parameters, name) for name in names}}
