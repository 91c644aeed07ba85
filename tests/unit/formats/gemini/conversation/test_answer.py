"""Answers of the Gemini API as records, and back; a stream amounts to the answer in one piece."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given

from meshd.formats.conversation.answer import Finish
from meshd.formats.conversation.events import ReasoningDelta, assembled
from meshd.formats.conversation.parts import Reasoning, Text, ToolCall
from meshd.formats.conversation.reading import Unreadable
from meshd.formats.gemini.conversation.answer import read_answer, write_answer
from meshd.formats.gemini.conversation.event_reader import ChunkReader
from meshd.formats.gemini.conversation.event_writer import ChunkWriter
from meshd.formats.gemini.conversation.request import read_request
from meshd.formats.gemini.stream.assembled import Assembly
from meshd.sdk.provider import Usage
from tests.support.formats import gemini_api

Json = dict[str, Any]


def response(*parts: Json, reason: str | None = "STOP", **more: Any) -> bytes:
    candidate: Json = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    return json.dumps({"candidates": [candidate], "modelVersion": "m", "responseId": "r", **more}).encode()


@given(gemini_api.answers())
def test_nothing_is_lost_on_the_way_through_records(answer: Json) -> None:
    body = json.dumps(answer).encode()
    assert json.loads(write_answer(read_answer(body))) == json.loads(body)


def test_signatures_are_told_as_those_of_thoughts() -> None:
    """Other formats have a place for them only there."""
    answer = read_answer(
        response(
            {"text": "Hm.", "thought": True},
            {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "AA=="},
            {"functionCall": {"id": "2", "name": "g"}},
        )
    )
    thought, first, second = answer.choices[0].parts
    assert thought == Reasoning("Hm.", "AA==")
    assert isinstance(first, ToolCall)
    assert (first.name, first.signature, first.id[:5]) == ("f", "AA==", "call_")
    assert second == ToolCall("2", "g", "{}")
    assert answer.choices[0].finish is Finish.TOOL_CALLS
    last = read_answer(response({"text": "Yes.", "thoughtSignature": "AA=="})).choices[0]
    assert last.parts == (Text("Yes."), Reasoning("", "AA=="))


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("MAX_TOKENS", Finish.LENGTH),
        ("SAFETY", Finish.FILTER),
        ("PROHIBITED_CONTENT", Finish.FILTER),
        ("IMAGE_SAFETY", Finish.FILTER),
        ("NO_IMAGE", Finish.OTHER),
    ],
)
def test_why_it_ended(reason: str, finish: Finish) -> None:
    assert read_answer(response({"text": "x"}, reason=reason)).choices[0].finish is finish


def test_a_blocked_prompt_is_a_filtered_answer() -> None:
    body = json.dumps({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": "m"}).encode()
    [choice] = read_answer(body).choices
    assert (choice.parts, choice.finish) == ((), Finish.FILTER)
    assert assembled(ChunkReader().read(body)).choices == (choice,)


def test_usage_is_added_up() -> None:
    usage = {
        "promptTokenCount": 100, "cachedContentTokenCount": 40, "toolUsePromptTokenCount": 7,
        "candidatesTokenCount": 30, "thoughtsTokenCount": 20, "totalTokenCount": 157,
    }  # fmt: skip
    answer = read_answer(response({"text": "x"}, usageMetadata=usage))
    assert answer.usage == Usage(107, 50, 40, None, (), 20)
    again = json.loads(write_answer(answer))
    assert again["usageMetadata"] == usage, "as it came"


def test_likelihoods() -> None:
    result = {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
        "topCandidates": [
            {"candidates": [{"token": "a", "logProbability": -0.5}, {"token": "b", "logProbability": -2}]}],
    }  # fmt: skip
    document = json.loads(response({"text": "a"}))
    document["candidates"][0]["logprobsResult"] = result
    [token] = read_answer(json.dumps(document).encode()).choices[0].logprobs
    assert (token.token, token.logprob, [each.token for each in token.top]) == ("a", -0.5, ["a", "b"])


@given(gemini_api.answers())
def test_a_stream_amounts_to_the_answer(answer: Json) -> None:
    """Each part in a chunk of its own, as the provider sends them."""
    [candidate] = answer["candidates"]
    parts = candidate["content"].get("parts", [])
    chunks = [{**answer, "candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}]} for part in parts]
    chunks.append({**answer, "candidates": [{**candidate, "content": {"role": "model"}}]})
    reader, assembly = ChunkReader(), Assembly()
    events = [event for chunk in chunks for event in reader.read(json.dumps(chunk).encode())]
    for chunk in chunks:
        assembly.add(json.dumps(chunk).encode())
    for whole in (read_answer(json.dumps(answer).encode()), read_answer(assembly.answer())):
        streamed = assembled(events)
        [choice], [other] = streamed.choices, whole.choices
        assert _plain(choice.parts) == _plain(other.parts)
        assert choice.finish == other.finish
        assert (streamed.id, streamed.model) == (whole.id, whole.model)


def _plain(parts: Any) -> list[Any]:
    """What a stream keeps: neighbouring texts are one, media and code are of this format alone."""
    made: list[Any] = []
    for part in parts:
        continues = bool(made) and made[-1][0] is type(part) and made[-1][2] == ""
        if isinstance(part, Text | Reasoning) and part.text and continues:
            made[-1] = (type(part), made[-1][1] + part.text, getattr(part, "signature", ""))
        elif isinstance(part, ToolCall):
            made.append((ToolCall, part.name, json.dumps(json.loads(part.arguments), sort_keys=True), part.signature))
        elif isinstance(part, Text | Reasoning) and (part.text or getattr(part, "signature", "")):
            made.append((type(part), part.text, getattr(part, "signature", "")))
    return made


def test_another_providers_thoughts_come_back_as_they_were() -> None:
    """Google's SDK decodes a signature, and encodes it again."""
    for thought in (Reasoning("Hm.", "a+/=:x"), Reasoning("", "", "gAAA"), Reasoning("Hm.", "", "gAAA", "rs_1")):
        [payload] = ChunkWriter().write(
            ReasoningDelta(thought.text, thought.signature, thought.encrypted, 0, 0, thought.id)
        )
        [part] = json.loads(payload)["candidates"][0]["content"]["parts"]
        decoded = base64.b64decode(part["thoughtSignature"], altchars=b"-_")
        part["thoughtSignature"] = base64.urlsafe_b64encode(decoded).decode()
        body = {"model": "m", "contents": [{"role": "model", "parts": [part]}]}
        [turn] = read_request(json.dumps(body).encode()).turns
        assert turn.parts == (thought,)


def test_what_is_no_object_is_unreadable() -> None:
    for body in (b"[]", b"{", b"5"):
        with pytest.raises(Unreadable):
            read_answer(body)
