"""A response as a record, and back; and answers of other formats as responses."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from openai.types.responses import Response

from meshd.formats.conversation.answer import Answer, Choice, Finish, TokenLogprob
from meshd.formats.conversation.parts import Other, Reasoning, Refusal, Text, ToolCall
from meshd.formats.conversation.reading import Unreadable
from meshd.formats.conversation.request import Conversation, Namespace, Parameters, Role, Tool, Turn
from meshd.formats.openai.conversation import answer as chat
from meshd.formats.responses.conversation.answer import read_answer, write_answer
from meshd.formats.responses.conversation.request import read_request
from meshd.sdk.provider import Usage
from tests.support.formats import openai_chats, responses_api


def written(answer: Answer, asked: Conversation | None = None) -> dict[str, Any]:
    body = write_answer(answer, asked)
    Response.model_validate_json(body, strict=False)
    document: dict[str, Any] = json.loads(body)
    return document


def said(*parts: Any, finish: Finish = Finish.STOP, usage: Usage | None = None) -> Answer:
    return Answer((Choice(parts, finish),), "chatcmpl-1", "m", 5, usage)


@given(responses_api.responses())
def test_nothing_is_lost_on_the_way_through_records(response: dict[str, Any]) -> None:
    body = msgspec.json.encode(response)
    read = read_answer(body)
    assert msgspec.json.decode(write_answer(read)) == msgspec.json.decode(body)
    assert read_answer(write_answer(read)) == read
    assert hash(read) == hash(read_answer(body))


@given(responses_api.responses())
def test_without_its_original_a_response_means_the_same(response: dict[str, Any]) -> None:
    read = read_answer(msgspec.json.encode(response))
    [choice] = read.choices
    kept = tuple(part for part in choice.parts if not isinstance(part, Other))
    bare = replace(read, original=None, choices=(replace(choice, parts=kept, original=None),))
    again = read_answer(write_answer(bare))
    assert meaning(again) == meaning(bare)


@given(openai_chats.answers())
def test_a_chats_answer_means_the_same_as_a_response(answer: dict[str, Any]) -> None:
    read = chat.read_answer(msgspec.json.encode({**answer, "choices": answer["choices"][:1]}))
    parts = [part for choice in read.choices for part in choice.parts]
    ids = [part.id for part in parts if isinstance(part, ToolCall) or (isinstance(part, Reasoning) and part.id)]
    assume(len({*ids}) == len(ids))  # as a provider gives them
    made = written(read)
    again = read_answer(json.dumps(made).encode())
    assert meaning(again, calls=True) == meaning(read, calls=True)


def meaning(answer: Answer, *, calls: bool = False) -> Any:
    """Without originals, sounds, ids that other formats lack, and what is empty. calls: a chat's answer with a call may
    say that it ended for another reason."""
    choice = answer.choices[0] if answer.choices else Choice()
    parts: tuple[Any, ...] = ()
    for part in filter(None, map(_bare, choice.parts)):
        if isinstance(part, Refusal) and parts and isinstance(parts[-1], Refusal):  # a stream has no border there
            parts = (*parts[:-1], Refusal(parts[-1].text + part.text))
        else:
            parts = (*parts, part)
    finish = choice.finish
    if any(isinstance(part, ToolCall) for part in parts) and finish in (Finish.STOP, Finish.TOOL_CALLS):
        finish = Finish.TOOL_CALLS
    if calls and finish in (Finish.STOP, Finish.TOOL_CALLS):
        finish = Finish.STOP
    tokens = tuple(replace(each, spelled=None, top=()) for each in choice.logprobs)
    usage = None if answer.usage is None else replace(answer.usage, written_tokens=None)
    texts = any(isinstance(part, Text) for part in choice.parts)
    return parts, finish, tokens if texts else (), usage, answer.created, answer.model


def _bare(part: Any) -> Any:
    match part:
        case Text() | Refusal():
            return replace(part, original=None) if part.text else None
        case Reasoning():
            encrypted = "" if part.signature else part.encrypted
            bare = Reasoning(part.text, part.signature, encrypted)
            return bare if bare != Reasoning() else None
        case ToolCall():
            return replace(part, original=None, id="" if part.id.startswith("call_") else part.id, signature="")
    return None


@given(openai_chats.values | st.binary(max_size=60))
def test_what_is_not_an_answer_is_unreadable_or_empty(value: Any) -> None:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    try:
        write_answer(read_answer(body))
    except Unreadable:
        return
    assert isinstance(value, dict | bytes)


names = st.sampled_from(
    ["output", "type", "role", "content", "text", "annotations", "logprobs", "summary", "encrypted_content", "id",
     "call_id", "name", "namespace", "arguments", "input", "status", "incomplete_details", "reason", "usage", "model",
     "created_at", "input_tokens", "output_tokens", "input_tokens_details", "cached_tokens", "error", "refusal"]
)  # fmt: skip
kinds = st.sampled_from(
    ["message", "reasoning", "function_call", "custom_tool_call", "output_text", "refusal", "summary_text", "completed",
     "incomplete", "failed", "max_output_tokens", "assistant", "user", "\ud83d"]
)  # fmt: skip
nested = st.recursive(
    openai_chats.scalars | kinds | st.just(float("nan")) | st.just(float("inf")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
    max_leaves=25,
)


@given(st.lists(st.dictionaries(names, nested, max_size=5), max_size=3) | nested, st.dictionaries(names, nested))
def test_an_odd_answer_is_read_as_far_as_it_goes(output: Any, more: dict[str, Any]) -> None:
    answer = read_answer(json.dumps({**more, "output": output}).encode())
    assert read_answer(write_answer(answer)) == answer
    hash(answer)
    chat.write_answer(answer)


def test_what_is_nested_too_deeply_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        read_answer(b'{"output": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def test_a_chats_answer_is_a_response() -> None:
    asked = read_request(b'{"model":"pool","input":"?","instructions":"Be brief.","temperature":0.5,"store":false}')
    made = written(said(Reasoning("Hm"), Text("Yes."), usage=Usage(7, 3, 2, None, (), 1)), asked)
    assert made["id"].startswith("resp_")
    assert (made["object"], made["status"], made["model"], made["created_at"]) == ("response", "completed", "m", 5)
    assert (made["instructions"], made["temperature"], made["store"]) == ("Be brief.", 0.5, False)
    thought, message = made["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "Hm"}]
    assert message["content"] == [{"type": "output_text", "text": "Yes.", "annotations": [], "logprobs": []}]
    assert made["usage"] == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 10,
    }


def test_each_response_has_an_id_of_its_own_unless_the_provider_has_this_apis() -> None:
    """Some servers give the same id twice, and apps find a response by it."""
    answer = said(Reasoning("Hm"), Text("Yes."), ToolCall("", "f", "{}"), ToolCall("", "g", "{}"))
    made, again = written(answer), written(answer)
    assert made["id"] != again["id"]
    ids = [item["id"] for item in made["output"]] + [item["call_id"] for item in made["output"][2:]]
    assert len(set(ids)) == 6
    assert all(len(id) <= 64 for id in [*ids, made["id"]])
    assert written(replace(answer, id="resp_1"))["id"] == "resp_1"


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        (Finish.STOP, "completed", None),
        (Finish.SEQUENCE, "completed", None),
        (Finish.TOOL_CALLS, "completed", None),
        (Finish.LENGTH, "incomplete", "max_output_tokens"),
        (Finish.CONTEXT, "incomplete", "max_output_tokens"),
        (Finish.FILTER, "incomplete", "content_filter"),
        (Finish.REFUSAL, "incomplete", "content_filter"),
        (Finish.OTHER, "completed", None),
    ],
)
def test_why_an_answer_ended_is_its_status(finish: Finish, status: str, reason: str | None) -> None:
    made = written(said(Text("Y"), finish=finish))
    assert made["status"] == made["output"][0]["status"] == status
    assert (made["incomplete_details"] or {}).get("reason") == reason


def test_a_signature_of_another_provider_comes_back() -> None:
    made = written(said(Reasoning("Hm", "sig"), ToolCall("a", "f", "{}")))
    request = {
        "model": "m",
        "input": [*made["output"], {"type": "function_call_output", "call_id": "a", "output": "1"}],
    }
    turn = read_request(json.dumps(request).encode()).turns[0]
    assert isinstance(turn.parts[0], Reasoning)
    assert (turn.parts[0].text, turn.parts[0].signature, turn.parts[0].encrypted) == ("Hm", "sig", "")


def test_calls_are_of_the_apps_own_tools() -> None:
    order = Tool("mcp__shop__order", namespace=Namespace("mcp__shop"), local="order")
    asked = Conversation("m", (), (order, Tool("apply_patch", custom=True)))
    calls = [ToolCall("a", "mcp__shop__order", "{}"), ToolCall("b", "apply_patch", '{"input": "*** \\u00e9"}')]
    first, second = written(said(*calls, finish=Finish.TOOL_CALLS), asked)["output"]
    assert (first["name"], first["namespace"], first["arguments"]) == ("order", "mcp__shop", "{}")
    assert (second["type"], second["name"], second["input"]) == ("custom_tool_call", "apply_patch", "*** é")


def test_what_is_not_the_expected_map_is_the_text_of_a_custom_tool() -> None:
    asked = Conversation("m", (), (Tool("g", custom=True),))
    for arguments, text in [('"x"', "x"), ("{}", "{}"), ("x", "x"), ('{"input": 5}', '{"input": 5}'), ("", "")]:
        [call] = written(said(ToolCall("a", "g", arguments)), asked)["output"]
        assert call["input"] == text


def test_log_probabilities_are_of_the_text() -> None:
    token = TokenLogprob("Y", -0.5, None, (TokenLogprob("N", -1.5),))
    made = written(Answer((Choice((Text("Y"),), Finish.STOP, logprobs=(token,)),), "a"))
    likely = made["output"][0]["content"][0]["logprobs"]
    assert likely == [
        {
            "token": "Y",
            "logprob": -0.5,
            "bytes": [89],
            "top_logprobs": [{"token": "N", "logprob": -1.5, "bytes": [78]}],
        }
    ]


def test_a_response_repeats_its_request() -> None:
    body = {
        "model": "pool",
        "input": [{"role": "user", "content": "?"}],
        "tools": [{"type": "function", "name": "f", "parameters": None, "strict": False}],
        "tool_choice": "required",
        "text": {"format": {"type": "json_object"}},
        "metadata": {"a": "b"},
        "reasoning": {"effort": "low"},
    }
    made = written(said(Text("{}")), read_request(json.dumps(body).encode()))
    for name in ("tools", "tool_choice", "text", "metadata", "reasoning"):
        assert made[name] == body[name]


def test_parts_of_a_chat_only_turn_are_read_with_their_status() -> None:
    body = {
        "id": "resp_1",
        "status": "failed",
        "output": [{"type": "message", "content": None}],
        "usage": {"input_tokens": "7"},
    }
    read = read_answer(json.dumps(body).encode())
    assert read.choices[0].finish is Finish.OTHER
    assert read.usage == Usage(7, 0)


def test_the_records_are_what_the_chat_format_reads() -> None:
    asked = Conversation("m", (Turn(Role.USER, (Text("?"),)),), (), Parameters())
    read = read_answer(write_answer(said(Text("Yes."), ToolCall("a", "f", "{}"), finish=Finish.TOOL_CALLS), asked))
    document = json.loads(chat.write_answer(read))
    assert document["choices"][0]["finish_reason"] == "tool_calls"
    assert document["choices"][0]["message"]["tool_calls"][0]["id"] == "a"
