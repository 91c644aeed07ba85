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
        value = json.loads(arguments or "{}")
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
    if conversation.parameters.tool_choice is None or not conversation.parameters.tool_choice.names:
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
        (replace(said(Text("x")), tools=(Tool("f", custom=True),)), "tools"),
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
