"""A request of the Gemini API as records, and back; and conversations of other formats as such a request."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given

from meshd.formats.conversation.parts import Audio, File, Image, Other, Reasoning, Source, Text, ToolCall, ToolResult
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
from meshd.formats.gemini.conversation.request import read_request, write_request
from modelmesh import InvalidRequestError
from tests.support.formats import gemini_api

HELLO = {"role": "user", "parts": [{"text": "Hello"}]}
OLDER, NEWER = "gemini-2.5-flash", "gemini-3.5-flash"


def read(*contents: Any, **fields: Any) -> Conversation:
    return read_request(json.dumps({"model": "m", "contents": list(contents) or [HELLO], **fields}).encode())


def written(conversation: Conversation) -> Any:
    return msgspec.json.decode(write_request(conversation))


def said(*parts: Any, role: Role = Role.USER, model: str = "m", **parameters: Any) -> Any:
    return written(Conversation(model, (Turn(role, parts),), (), Parameters(**parameters)))


@given(gemini_api.requests())
def test_nothing_is_lost_on_the_way_through_records(request: dict[str, Any]) -> None:
    body = json.dumps(request).encode()
    conversation = read_request(body)
    again = written(conversation)
    assert again["contents"] == _together(json.loads(body)["contents"])
    apart = {"contents", "tools"} | (set() if conversation.tools else {"toolConfig"})
    known = {name for name in request if not name.startswith("x_")}  # `x_a` is `xA` to Google as well
    for name in known - apart:
        assert again.get(name) == json.loads(body)[name], name
    declared = [each for tool in request.get("tools", ()) for each in tool.get("functionDeclarations", ())]
    found = [each for tool in again.get("tools", ()) for each in tool.get("functionDeclarations", ())]
    assert found == json.loads(json.dumps(declared))
    hash(conversation)


def _together(contents: list[Any]) -> list[Any]:
    """With results that follow each other in one content, which means the same."""
    made: list[Any] = []
    for content in contents:
        if made and _has_results(content) and _has_results(made[-1]):
            made[-1] = {"role": "user", "parts": [*made[-1]["parts"], *content["parts"]]}
        else:
            made.append(content)
    return made


def _has_results(content: Any) -> bool:
    return any("functionResponse" in part for part in content["parts"])


def test_both_spellings_are_read() -> None:
    camel = read(
        {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
        systemInstruction={"parts": [{"text": "Be brief."}]},
        generationConfig={"maxOutputTokens": 5, "stopSequences": ["x"], "topK": 4},
    )
    snake = read(
        {"role": "user", "parts": [{"inline_data": {"mime_type": "image/png", "data": "AAAA"}}]},
        system_instruction={"parts": {"text": "Be brief."}},
        generation_config={"max_output_tokens": 5, "stop_sequences": ["x"], "top_k": 4.0},
    )
    assert [type(part) for turn in snake.turns for part in turn.parts] == [Text, Image]
    assert [turn.role for turn in snake.turns] == [Role.SYSTEM, Role.USER]
    assert (snake.parameters.max_output_tokens, snake.parameters.stop, snake.parameters.top_k) == (5, ("x",), 4)
    assert camel.turns[1].parts[0] == Image(Source(data="AAAA", media_type="image/png"))


def test_media_calls_and_results_are_what_they_are() -> None:
    conversation = read(
        {"role": "user", "parts": [
            {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
            {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/a.pdf"}}]},
        {"role": "model", "parts": [
            {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
            {"executableCode": {"language": "PYTHON", "code": "1"}}]},
        {"role": "user", "parts": [
            {"functionResponse": {"id": "1", "name": "f", "response": {"error": "no"}}},
            {"functionResponse": {"name": "g", "response": {"temperature": 3}}}]},
    )  # fmt: skip
    audio, file = conversation.turns[0].parts
    assert isinstance(audio, Audio)
    assert isinstance(file, File)
    call, code = conversation.turns[1].parts
    assert (call, type(code)) == (ToolCall("1", "f", '{"a":1}', signature="c2ln"), Other)
    first, second = conversation.turns[2].parts
    assert conversation.turns[2].role is Role.TOOL
    assert first == ToolResult("1", (Text("no"),), "f", failed=True)
    assert isinstance(second, ToolResult)
    assert second.parts == (Text('{"temperature":3}'),)


def test_a_schema_of_its_own_dialect_is_json_schema_for_others() -> None:
    own = {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True, "maxLength": "5"}},
           "propertyOrdering": ["a"]}  # fmt: skip
    conversation = read(
        HELLO,
        tools=[{"functionDeclarations": [{"name": "f", "parameters": own}]}, {"googleSearch": {}}],
        generationConfig={"responseMimeType": "application/json", "responseSchema": own},
    )
    expected = {"type": "object", "properties": {"a": {"type": ["string", "null"], "maxLength": 5}}}
    tool, search = conversation.tools
    assert isinstance(tool, Tool)
    assert tool.schema is not None
    assert json.loads(tool.schema) == expected
    assert conversation.parameters.response_format is not None
    assert json.loads(conversation.parameters.response_format.schema or b"") == expected
    assert isinstance(search, Other)
    assert search.spare, "there is a function beside it"
    assert portable(conversation, "openai").tools == (tool,)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"cachedContent": "cachedContents/1"}, "cachedContent"),
        ({"generationConfig": {"responseModalities": ["IMAGE"]}}, "generationConfig.responseModalities"),
        ({"tools": [{"codeExecution": {}}]}, "tools"),
    ],
)
def test_what_only_gemini_can_do_is_refused_for_others_by_name(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        portable(read(HELLO, **fields), "openai")
    assert refusal.value.param == named


@pytest.mark.parametrize(
    ("contents", "where"),
    [
        ([{"role": "king", "parts": []}], "contents[0].role"),
        ([{"parts": [{"text": 5}]}], "contents[0].parts[0].text"),
        ([{"parts": 5}], "contents[0].parts"),
        ([{"parts": [{"inlineData": {"mimeType": "image/png"}}]}], "contents[0].parts[0].inlineData.data"),
        ([{"role": "model", "parts": [{"functionCall": {}}]}], "contents[0].parts[0].functionCall.name"),
    ],
)
def test_a_mistake_is_named(contents: Any, where: str) -> None:
    with pytest.raises(InvalidRequestError) as mistake:
        read(*contents)
    assert mistake.value.param == where


# -- writing ------------------------------------------------------------------------------------------------


def test_tools_choices_and_schemas() -> None:
    tools = (Tool("f", "Does.", b'{"type":"object"}', strict=True), Tool("g"))
    wanted = ResponseFormat(AnswerKind.SCHEMA, b'{"type":"object"}', name="x", strict=True)

    def made(choice: ToolChoice) -> Any:
        parameters = Parameters(response_format=wanted, tool_choice=choice, parallel_tool_calls=False)
        return written(Conversation("m", (Turn(Role.USER, (Text("Hi"),)),), tools, parameters))

    body = made(ToolChoice(ToolMode.REQUIRED, ("f",)))
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "Does.", "parametersJsonSchema": {"type": "object"}},
                {"name": "g"},
            ]
        }
    ]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}
    assert body["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
    }
    modes = [(ToolMode.AUTO, (), "AUTO"), (ToolMode.NONE, (), "NONE"), (ToolMode.AUTO, ("f", "g"), "VALIDATED")]
    for mode, names, word in modes:
        assert made(ToolChoice(mode, names))["toolConfig"]["functionCallingConfig"]["mode"] == word


@pytest.mark.parametrize(
    ("model", "asked", "thinking"),
    [
        (OLDER, {"reasoning_effort": "medium"}, {"thinkingBudget": 8192, "includeThoughts": True}),
        (OLDER, {"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        (OLDER, {"reasoning_budget": 2000}, {"thinkingBudget": 2000, "includeThoughts": True}),
        (OLDER, {"reasoning_adaptive": True}, {"thinkingBudget": -1, "includeThoughts": True}),
        (NEWER, {"reasoning_effort": "medium"}, {"thinkingLevel": "medium", "includeThoughts": True}),
        (NEWER, {"reasoning_effort": "max"}, {"thinkingLevel": "high", "includeThoughts": True}),
        (NEWER, {"reasoning_shown": False}, {"includeThoughts": False}),
        (NEWER, {"reasoning_budget": 9000}, {"thinkingLevel": "high", "includeThoughts": True}),
        (NEWER, {"reasoning_effort": "none"}, {"thinkingLevel": "minimal"}),
        ("gemini-3.1-pro-preview", {"reasoning_budget": 0}, {"thinkingLevel": "low"}),
        (NEWER, {}, None),
    ],
)  # fmt: skip
def test_thinking_is_asked_for_as_the_model_takes_it(model: str, asked: dict[str, Any], thinking: Any) -> None:
    body = said(Text("Hi"), model=model, **asked)
    assert body.get("generationConfig", {}).get("thinkingConfig") == thinking


def test_what_it_cannot_say_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        said(Text("Hi"), stop=tuple("abcdef"))
    assert refusal.value.param == "stop"
    with pytest.raises(InvalidRequestError) as refusal:
        said(Image(Source(id="file-1")))
    assert refusal.value.param == "messages"


def test_media_whose_type_is_not_said_gets_one() -> None:
    body = said(Image(Source(url="https://example.com/a.webp?b=c")), Image(Source(url="https://example.com/a")),
                File(Source(data="JVBERi0x")))  # fmt: skip
    assert body["contents"][0]["parts"] == [
        {"fileData": {"mimeType": "image/webp", "fileUri": "https://example.com/a.webp?b=c"}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.com/a"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0x"}},
    ]


def history(model: str, *parts: Any) -> Any:
    turns = (
        Turn(Role.USER, (Text("Hi"),)),
        Turn(Role.ASSISTANT, parts),
        Turn(Role.TOOL, (ToolResult("1", (Text("x"),)),)),
    )
    return written(Conversation(model, turns))["contents"]


def test_results_name_their_function_and_parallel_ones_are_together() -> None:
    calls = (ToolCall("1", "f", "{}"), ToolCall("2", "g", "not json"))
    results = tuple(Turn(Role.TOOL, (ToolResult(id, (Text(id),)),)) for id in ("2", "1"))
    turns = (Turn(Role.USER, (Text("Hi"),)), Turn(Role.ASSISTANT, calls), *results)
    contents = written(Conversation("m", turns))["contents"]
    assert [part["functionCall"]["args"] for part in contents[1]["parts"]] == [{}, {"INVALID_JSON": "not json"}]
    names = [(part["functionResponse"]["name"], part["functionResponse"]["id"]) for part in contents[2]["parts"]]
    assert names == [("g", "2"), ("f", "1")]
    assert len(contents) == 3


def test_a_signature_of_a_thought_is_on_the_call_that_follows_it() -> None:
    contents = history(NEWER, Reasoning("Hm.", "c2ln"), Text("So:"), ToolCall("1", "f", "{}"), ToolCall("2", "g", "{}"))
    assert contents[1]["parts"] == [
        {"text": "Hm.", "thought": True},
        {"text": "So:"},
        {"functionCall": {"id": "1", "name": "f", "args": {}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"id": "2", "name": "g", "args": {}}},
    ]


def test_a_call_of_another_model_gets_the_documented_mark_and_its_thoughts_are_left_out() -> None:
    contents = history(NEWER, Reasoning("Hm."), ToolCall("1", "f", "{}"))
    mark = "skip_thought_signature_validator"
    assert contents[1]["parts"] == [{"functionCall": {"id": "1", "name": "f", "args": {}}, "thoughtSignature": mark}]
    [part] = history(OLDER, Reasoning("Hm."), ToolCall("1", "f", "{}"))[1]["parts"]
    assert "thoughtSignature" not in part


def test_images_of_results_are_the_users_for_older_models() -> None:
    result = ToolResult("1", (Text("See:"), Image(Source(data="AAAA", media_type="image/png"))))
    turns = (
        Turn(Role.USER, (Text("Hi"),)),
        Turn(Role.ASSISTANT, (ToolCall("1", "f", "{}"),)),
        Turn(Role.TOOL, (result,)),
    )
    newer = written(Conversation(NEWER, turns))["contents"][2]["parts"][0]["functionResponse"]
    assert newer["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
    older = written(Conversation(OLDER, turns))["contents"]
    assert "parts" not in older[2]["parts"][0]["functionResponse"]
    assert older[3]["parts"][-1] == {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}


@pytest.mark.parametrize("data", ["-_8=", "-_8", "+/8=", "+/8"])
def test_base64_is_read_in_both_alphabets_and_passed_on_in_the_usual_one(data: str) -> None:
    content = {"parts": [{"inlineData": {"mimeType": "image/png", "data": data}}], "role": "user"}
    asked = read(content)
    [part] = asked.turns[0].parts
    assert isinstance(part, Image)
    assert part.source.data == "+/8="
    assert written(asked)["contents"] == [content], "Google gets it as it came"
