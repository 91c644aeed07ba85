"""What the request log has of prompts and answers: bounded, readable, and without keys and personal data."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from meshd.core.events.content import Content, ContentRoom
from meshd.telemetry.text.content import ContentReader
from meshd.telemetry.text.redaction import Redactor

KEY = "knownsecretknownsecret"
PERSONAL = ("email", "phone", "iban", "card", "ip", "mac", "ssn")


def content(
    body: Any, *answer: Any, operation: str = "chat.completions", format: str = "openai", streamed: bool = False
) -> Content:
    found = Content(ContentRoom(), operation, format, _bytes(body), 1 << 20)
    for each in answer:
        found.add(_bytes(each), streamed=streamed)
    return found


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def read(found: Content, level: str = "full", most: int = 65536) -> dict[str, Any]:
    return ContentReader(Redactor([KEY]), level, most, PERSONAL).fields_of(found)


def traced(found: Content, most: int = 65536) -> dict[str, Any]:
    said = ContentReader(Redactor([KEY]), "metadata", most, PERSONAL).attributes_of(found)
    return {name: json.loads(value) for name, value in said.items()}


def chat(*texts: str, **more: Any) -> dict[str, Any]:
    roles = ("system", "user", "assistant")
    messages = [{"role": roles[min(at, 1)], "content": text} for at, text in enumerate(texts)]
    return {"model": "chat", "messages": messages, **more}


def answer(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}


def chunk(text: str) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}


def test_a_summary_has_the_first_characters_of_what_was_said_last() -> None:
    found = read(content(chat("be kind", "Who wrote this?\nAnd when? " + "x" * 500), answer("Ada. " * 100)), "summary")
    assert found["prompt"].startswith("Who wrote this?\nAnd when? xxx")
    assert len(found["prompt"]) == len(found["answer"]) == 200
    assert found["answer"].startswith("Ada. Ada.")
    assert found["prompt"].endswith("…")
    assert found["answer_size"] == len(_bytes(answer("Ada. " * 100)))


@pytest.mark.parametrize("level", ["summary", "full"])
def test_a_stream_reads_like_an_answer(level: str) -> None:
    found = read(content(chat("s", "u"), *(chunk(text) for text in ("Hel", "lo", "!")), streamed=True), level)
    said = found["answer"] if level == "summary" else found["answer"]["choices"][0]["message"]["content"]
    assert said == "Hello!"


SAID = {
    "anthropic": (
        {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
        {"content": [{"type": "text", "text": "Yo"}], "stop_reason": "end_turn"},
    ),
    "gemini": (
        {"model": "m", "contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
        {"candidates": [{"content": {"parts": [{"text": "Yo"}]}}]},
    ),
    "responses": (
        {"model": "m", "input": "Hi"},
        {"output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yo"}]}]},
    ),
}


@pytest.mark.parametrize("format", SAID)
def test_every_format_of_apps(format: str) -> None:
    body, said = SAID[format]
    found = read(content(body, said, format=format), "summary")
    assert (found["prompt"], found["answer"]) == ("Hi", "Yo")


@pytest.mark.parametrize("format", SAID)
def test_every_format_as_messages_of_a_trace(format: str) -> None:
    body, said = SAID[format]
    found = traced(content(body, said, format=format))
    assert found["gen_ai.input.messages"] == [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
    [message] = found["gen_ai.output.messages"]
    assert (message["role"], message["parts"]) == ("assistant", [{"type": "text", "content": "Yo"}])


def test_a_tool_in_the_messages_of_a_trace() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sea"}'}}
    asked = {"model": "m", "messages": [
        {"role": "user", "content": [{"type": "text", "text": "u"},
                                     {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "calm"},
    ]}  # fmt: skip
    said = {"choices": [{"index": 0, "message": {"role": "assistant", "tool_calls": [call]},
                         "finish_reason": "tool_calls"}]}  # fmt: skip
    found = traced(content(asked, said))
    tool = {"type": "tool_call", "id": "c1", "name": "look", "arguments": '{"at": "sea"}'}
    assert [message["parts"] for message in found["gen_ai.input.messages"]] == [
        [{"type": "text", "content": "u"}, {"type": "image"}],
        [tool],
        [{"type": "tool_call_response", "id": "c1", "response": [{"type": "text", "content": "calm"}]}],
    ]
    assert found["gen_ai.output.messages"] == [{"role": "assistant", "parts": [tool], "finish_reason": "tool_call"}]


def test_a_trace_has_no_key_no_personal_data_and_a_bound() -> None:
    found = traced(content(chat("s", f"I am ada@example.org, my key is {KEY}"), answer("x" * 100_000)), 1000)
    shown = json.dumps(found)
    assert "I am [email], my key is" in shown
    assert "knownsecret" not in shown
    assert len(shown) < 4000


def test_what_is_not_a_conversation_is_not_in_a_trace() -> None:
    assert traced(content({"model": "m", "input": "one"}, {"data": []}, operation="embeddings")) == {}
    assert traced(content(b"{", b"[" * 1000)) == {}


def test_other_operations() -> None:
    found = read(content({"model": "m", "input": ["one", "two"]}, {"data": []}, operation="embeddings"), "summary")
    assert (found["prompt"], found["answer"]) == ("one\ntwo", '{"data": []}')


@pytest.mark.parametrize("level", ["summary", "full"])
def test_no_key_and_no_personal_data(level: str) -> None:
    said = f"I am ada@example.org, +49 30 1234567, at 10.1.2.3; my key is {KEY} or sk-proj-abcdefgh12345678"
    body = chat("s", said, api_key="short", metadata={KEY: "x"})
    for hidden in (content(body, answer(said)), content(body, *map(chunk, [said[:12], said[12:]]), streamed=True)):
        shown = json.dumps(read(hidden, level), ensure_ascii=False)
        for text in ("ada@", "1234567", "10.1.2.3", "knownsecret", "sk-proj", "short"):
            assert text not in shown
        assert "[email], [phone], at [ip]" in shown


def test_json_stays_json_and_has_a_bound() -> None:
    image = base64.b64encode(bytes(300_000)).decode()
    body = chat("s", "u", image=image, more=["x" * 50] * 10_000, last=1)
    found = read(content(body, b"no json " * 100_000), most=10_000)
    assert found["prompt"]["messages"][1]["content"] == "u"
    assert found["prompt"]["image"].endswith("…")
    assert "last" not in found["prompt"]
    assert found["prompt_size"] == len(_bytes(body))
    for name in ("prompt", "answer"):
        assert len(json.dumps(found[name], ensure_ascii=False).encode()) < 11_000
    assert found["answer"].startswith("no json no json")


def test_a_secret_at_the_cut_is_not_shown_in_part() -> None:
    for at in range(480, 520):
        found = read(content({"text": "x" * at + " " + KEY + "y" * 5000}), most=1000)
        assert "known" not in str(found)
        summary = read(content(chat("s", "x" * (at - 320) + " " + KEY + "y" * 5000)), "summary")
        assert "known" not in str(summary)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b"null", b'"\\ud800"']
)
@pytest.mark.parametrize("level", ["summary", "full"])
def test_what_cannot_be_read_harms_nothing(body: bytes, level: str) -> None:
    found = read(content(body, body), level, 1000)
    assert len(str(found["prompt"])) < 5000
    json.dumps(found)


def test_files_are_not_held() -> None:
    found = content(chat("s", "u"))
    found.is_file = True
    for _ in range(3):
        found.add(b"\0" * 1000, streamed=True)
    told = read(found)
    assert (told["answer"], told["answer_size"]) == (None, 3000)


def test_contents_share_a_room() -> None:
    room = ContentRoom(1000)
    first = Content(room, "chat", "openai", b"x" * 600, 1 << 20)
    second = Content(room, "chat", "openai", b"x" * 600, 1 << 20)
    second.add(b"y", streamed=False)
    assert (first.left_out, second.left_out) == (False, True)
    told = read(second)
    assert told == {"prompt_size": 600, "answer_size": 1, "content": "left out: too many requests at once"}
    read(first)
    third = Content(room, "chat", "openai", b"x" * 1000, 1 << 20)
    assert not third.left_out
    del third
    assert room.take(1000)


def test_at_metadata_nothing_is_shown() -> None:
    assert read(content(chat("s", "u"), answer("a")), "metadata") == {}
    assert ContentReader(Redactor(), "full", 100, ()).fields_of(None) == {}
