"""Conversations as requests of the Converse API, which botocore's description of it accepts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshd.formats.bedrock.conversation.request import write_request
from meshd.formats.conversation.parts import (
    Audio,
    CacheMark,
    File,
    Image,
    Original,
    Other,
    Part,
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
from modelmesh.errors import InvalidRequestError
from tests.support.formats.converse_types import check

CLAUDE, NOVA, NOVA_2, LLAMA = (
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-pro-v1:0", "us.amazon.nova-2-lite-v1:0",
    "meta.llama3-3-70b-instruct-v1:0",
)  # fmt: skip
OPUS = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4-8"
HELLO = Turn(Role.USER, (Text("Hello"),))
SCHEMA = b'{"type":"object","properties":{"place":{"type":"string"}}}'
NONE = Parameters()
WEATHER = Tool("weather", "Of a place", SCHEMA)
CALL = ToolCall("call_1", "weather", '{"place": "Oslo"}')


def asked(
    *turns: Turn, model: str = LLAMA, tools: tuple[Tool | Other, ...] = (), parameters: Parameters = NONE
) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(write_request(Conversation(model, turns or (HELLO,), tools, parameters)))
    check(body)
    return body


def said(*parts: Part, model: str = LLAMA, role: Role = Role.USER) -> list[dict[str, Any]]:
    messages = asked(HELLO, Turn(role, parts), model=model)["messages"]
    content: list[dict[str, Any]] = messages[-1]["content"]
    return content[1:] if role is Role.USER else content


def refusal(*turns: Turn, **more: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        asked(*turns, **more)
    return caught.value


def test_roles_alternate_and_instructions_stand_apart() -> None:
    body = asked(
        Turn(Role.SYSTEM, (Text("Be brief."),)),
        HELLO,
        Turn(Role.USER, (Text("Are you there?"), Text(" "))),
        Turn(Role.ASSISTANT, (Text("Yes. "),)),
        Turn(Role.DEVELOPER, (Text("Be kind."),)),
    )
    assert body == {
        "system": [{"text": "Be brief."}, {"text": "Be kind."}],
        "messages": [
            {"role": "user", "content": [{"text": "Hello"}, {"text": "Are you there?"}]},
            {"role": "assistant", "content": [{"text": "Yes."}]},
        ],
    }


def test_an_image_in_instructions_is_refused() -> None:
    picture = Image(Source(data="AAAA", media_type="image/png"))
    assert refusal(Turn(Role.SYSTEM, (picture,)), HELLO).param == "messages"


def test_calls_and_results() -> None:
    results = ToolResult("call_1", (Text("Rain"), Image(Source(data="AAAA", media_type="image/jpg"))), failed=True)
    turns = (HELLO, Turn(Role.ASSISTANT, (CALL,)), Turn(Role.TOOL, (results,)), Turn(Role.USER, (Text("And?"),)))
    body = asked(*turns, model=CLAUDE, tools=(WEATHER,))
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [{"toolUse": {"toolUseId": "call_1", "name": "weather", "input": {"place": "Oslo"}}}],
        },
        {
            "role": "user",
            "content": [
                {
                    "toolResult": {
                        "toolUseId": "call_1",
                        "content": [{"text": "Rain"}, {"image": {"format": "jpeg", "source": {"bytes": "AAAA"}}}],
                        "status": "error",
                    }
                },
                {"text": "And?"},
            ],
        },
    ]
    spec = {"name": "weather", "description": "Of a place", "inputSchema": {"json": json.loads(SCHEMA)}}
    assert body["toolConfig"] == {"tools": [{"toolSpec": spec}]}
    told = asked(*turns, tools=(WEATHER,))["messages"][2]["content"][0]["toolResult"]
    assert "status" not in told, "other models refuse it"


def test_results_of_parallel_calls_are_one_message() -> None:
    calls = (CALL, ToolCall("x" * 80, "weather", "not JSON"))
    results = [Turn(Role.TOOL, (ToolResult(call.id, (Text("Rain"),)),)) for call in calls]
    body = asked(HELLO, Turn(Role.ASSISTANT, calls), *results, tools=(WEATHER,))
    used, answered = (message["content"] for message in body["messages"][1:])
    ids = [block["toolUse"]["toolUseId"] for block in used]
    assert ids == [block["toolResult"]["toolUseId"] for block in answered]
    assert len(ids[1]) == 64
    assert used[1]["toolUse"]["input"] == {"INVALID_JSON": "not JSON"}


def test_tool_choices() -> None:
    def chosen(mode: ToolMode, *names: str) -> dict[str, Any]:
        tools = (WEATHER, Tool("time"))
        body = asked(tools=tools, parameters=Parameters(tool_choice=ToolChoice(mode, names)))
        config: dict[str, Any] = body.get("toolConfig", {})
        return config

    assert chosen(ToolMode.AUTO)["toolChoice"] == {"auto": {}}
    assert chosen(ToolMode.REQUIRED)["toolChoice"] == {"any": {}}
    assert chosen(ToolMode.REQUIRED, "time")["toolChoice"] == {"tool": {"name": "time"}}
    some = chosen(ToolMode.AUTO, "time")
    assert [tool["toolSpec"]["name"] for tool in some["tools"]] == ["time"]
    assert chosen(ToolMode.NONE) == {}
    assert chosen(ToolMode.AUTO)["tools"][1]["toolSpec"]["inputSchema"] == {"json": {"type": "object"}}


@pytest.mark.parametrize("tools", [(WEATHER,), ()])
def test_without_callable_tools_calls_are_told_as_text(tools: tuple[Tool, ...]) -> None:
    turns = (HELLO, Turn(Role.ASSISTANT, (CALL,)), Turn(Role.TOOL, (ToolResult("call_1", (Text("Rain"),)),)))
    body = asked(*turns, tools=tools, parameters=Parameters(tool_choice=ToolChoice(ToolMode.NONE)))
    assert "toolConfig" not in body
    assert body["messages"][1:] == [
        {"role": "assistant", "content": [{"text": '[Called the tool weather with {"place": "Oslo"}]'}]},
        {"role": "user", "content": [{"text": "[Result of the tool weather:]"}, {"text": "Rain"}]},
    ]


def test_one_call_at_a_time() -> None:
    single = Parameters(parallel_tool_calls=False, tool_choice=ToolChoice(ToolMode.REQUIRED))
    body = asked(model=CLAUDE, tools=(WEATHER,), parameters=single)
    assert "toolChoice" not in body["toolConfig"]
    assert body["additionalModelRequestFields"] == {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}}
    assert refusal(tools=(WEATHER,), parameters=single).param == "parallel_tool_calls"
    assert "toolConfig" not in asked(parameters=Parameters(parallel_tool_calls=False))


def test_images_by_bytes_or_in_s3() -> None:
    assert said(Image(Source(data="AAAA", media_type="image/webp"))) == [
        {"image": {"format": "webp", "source": {"bytes": "AAAA"}}}
    ]
    assert said(Image(Source(url="s3://some-bucket/a.png"))) == [
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://some-bucket/a.png"}}}}
    ]


@pytest.mark.parametrize(
    "part",
    [
        Image(Source(url="https://example.com/a.png")),
        Image(Source(id="file_1")),
        Image(Source(data="AAAA", media_type="image/tiff")),
        Image(Source(data="AAAA")),
        File(Source(url="https://example.com/a.pdf")),
        File(Source(id="file_1")),
        File(Source(data="AAAA", media_type="application/zip", name="a.zip")),
        Audio(Source(data="AAAA", media_type="audio/midi")),
        Other(original=Original("anthropic", b"{}")),
    ],
)
def test_media_that_cannot_be_said(part: Part) -> None:
    error = refusal(HELLO, Turn(Role.USER, (Text("See"), part)))
    assert error.param == "messages"
    assert error.code == "unsupported_parameter"


def test_only_the_user_shows_images() -> None:
    picture = Image(Source(data="AAAA", media_type="image/png"))
    assert refusal(HELLO, Turn(Role.ASSISTANT, (Text("See"), picture))).param == "messages"


def test_documents_have_a_format_and_a_name_of_their_own() -> None:
    pdf = Source(data="JVBERi0x", media_type="application/pdf", name="Q1_report (final).pdf")
    blocks = said(File(pdf), File(pdf), File(Source(data="AAAA", name="a.docx")), File(Source(data="JVBERi0x")))
    told = [(block["document"]["format"], block["document"]["name"]) for block in blocks]
    assert told == [("pdf", "Q1 report (final)"), ("pdf", "Q1 report (final) 2"), ("docx", "a"), ("pdf", "document")]
    assert blocks[0]["document"]["source"] == {"bytes": "JVBERi0x"}
    assert refusal(Turn(Role.USER, (File(pdf),))).param == "messages"


def test_sound() -> None:
    assert said(Audio(Source(data="AAAA", media_type="audio/mpeg"))) == [
        {"audio": {"format": "mp3", "source": {"bytes": "AAAA"}}}
    ]
    assert said(Audio(Source(id="audio_1"), "I said"), role=Role.ASSISTANT) == [{"text": "I said"}]


def test_reasoning_goes_back_to_its_provider() -> None:
    thoughts = (Reasoning("Let me see", "c2ln"), Reasoning(encrypted="c2VhbA=="), Reasoning("Not theirs"))
    others = Reasoning("", "", "abc", "rs_1")
    assert said(*thoughts, others, Text("Hi"), role=Role.ASSISTANT) == [
        {"reasoningContent": {"reasoningText": {"text": "Let me see", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "c2VhbA=="}},
        {"text": "Hi"},
    ]


def test_marks_for_the_cache() -> None:
    turns = (Turn(Role.SYSTEM, (Text("Long", CacheMark("1h")),)), Turn(Role.USER, (Text("Hello", CacheMark("5m")),)))
    tools = (Tool("weather", cache=CacheMark()),)
    body = asked(*turns, model=CLAUDE, tools=tools)
    point = {"cachePoint": {"type": "default"}}
    assert body["system"][1:] == [{"cachePoint": {"type": "default", "ttl": "1h"}}]
    assert body["messages"][0]["content"][1:] == [point]
    assert body["toolConfig"]["tools"][1:] == [point]
    nova = asked(*turns, model=NOVA, tools=tools)
    assert nova["system"][1:] == [point]
    assert len(nova["toolConfig"]["tools"]) == 1
    assert "cachePoint" not in json.dumps(asked(*turns, tools=tools)), "other models refuse it"


def test_a_mark_inside_a_result_stands_after_it() -> None:
    result = ToolResult("call_1", (Text("Rain", CacheMark()),))
    turns = (HELLO, Turn(Role.ASSISTANT, (CALL,)), Turn(Role.TOOL, (result,)))
    body = asked(*turns, model=CLAUDE, tools=(WEATHER,))
    assert [*map(next, map(iter, body["messages"][2]["content"]))] == ["toolResult", "cachePoint"]


def test_parameters() -> None:
    parameters = Parameters(
        max_output_tokens=100, temperature=1.5, top_p=0.5, top_k=7, stop=("END",), seed=1, user="me", verbosity="low",
        frequency_penalty=0.1, reasoning_effort="high",
    )  # fmt: skip
    assert asked(parameters=parameters) == {
        "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
        "inferenceConfig": {"maxTokens": 100, "temperature": 1, "topP": 0.5, "stopSequences": ["END"]},
    }
    assert asked(model=NOVA, parameters=parameters)["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 7}}
    assert asked(model=CLAUDE, parameters=Parameters(top_k=7, temperature=0.5, top_p=0.5)) == {
        "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
        "inferenceConfig": {"temperature": 0.5},
        "additionalModelRequestFields": {"top_k": 7},
    }


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        (Parameters(choices=2), "n"),
        (Parameters(logprobs=True), "logprobs"),
        (Parameters(response_format=ResponseFormat(AnswerKind.JSON)), "response_format"),
        (Parameters(previous="r", original=Original("responses", b"{}")), "previous_response_id"),
    ],
)
def test_parameters_that_cannot_be_said(parameters: Parameters, param: str) -> None:
    assert refusal(parameters=parameters).param == param


def test_a_schema_is_a_text() -> None:
    wanted = ResponseFormat(AnswerKind.SCHEMA, SCHEMA, "place", "Where?", strict=True)
    assert asked(parameters=Parameters(response_format=wanted))["outputConfig"] == {
        "textFormat": {
            "type": "json_schema",
            "structure": {"jsonSchema": {"schema": SCHEMA.decode(), "name": "place", "description": "Where?"}},
        }
    }


def test_claude_thinks_by_a_budget_or_an_effort() -> None:
    older = asked(model=CLAUDE, parameters=Parameters(max_output_tokens=10_000, reasoning_effort="medium"))
    assert older["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 5000}}
    assert older["inferenceConfig"] == {"maxTokens": 10_000}
    unlimited = asked(model=CLAUDE, parameters=Parameters(reasoning_budget=2000, temperature=0.2))
    assert unlimited["inferenceConfig"]["maxTokens"] > 2000
    assert "temperature" not in unlimited["inferenceConfig"]
    newer = asked(model=OPUS, parameters=Parameters(reasoning_effort="xhigh"))
    assert newer["additionalModelRequestFields"] == {"thinking": {"type": "adaptive"}}
    assert newer["outputConfig"] == {"effort": "xhigh"}


def test_nova_thinks_by_an_effort() -> None:
    body = asked(model=NOVA_2, parameters=Parameters(reasoning_effort="max", temperature=0.2))
    assert body["additionalModelRequestFields"] == {
        "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}
    }
    assert "inferenceConfig" not in body
    limited = asked(model=NOVA_2, parameters=Parameters(reasoning_effort="high", max_output_tokens=500))
    assert limited["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"] == "medium"
    assert "additionalModelRequestFields" not in asked(model=NOVA, parameters=Parameters(reasoning_effort="high"))


def test_its_own_fields_reach_it_from_any_format() -> None:
    own = {
        "guardrailConfig": {"guardrailIdentifier": "gr1", "guardrailVersion": "1", "trace": "enabled"},
        "additionalModelRequestFields": {"top_k": 9, "anthropic_beta": ["x"]},
        "requestMetadata": {"team": "a"},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
    }
    original = Original("openai", json.dumps({**own, "serviceTier": {"type": "priority"}, "odd": 1}).encode())
    body = asked(model=CLAUDE, parameters=Parameters(top_k=7, original=original))
    assert {name: body[name] for name in own} == own
    assert "serviceTier" not in body, "it has another price"


def test_custom_tools_become_functions() -> None:
    body = asked(tools=(Tool("run", "Any text", custom=True),))
    schema = body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]
    assert list(schema["properties"]) == ["input"]
    hosted = Other(original=Original("openai", b"{}"))
    assert refusal(tools=(hosted,)).param == "tools"
