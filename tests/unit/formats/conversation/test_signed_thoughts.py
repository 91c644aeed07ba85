"""Several signed thoughts in one streamed answer: a chat app sends each back with its own signature."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from meshd.formats.anthropic.conversation.translator import AnthropicTranslator
from meshd.formats.conversation.answer import Finish
from meshd.formats.conversation.events import Began, Event, Finished, ReasoningDelta, TextDelta
from meshd.formats.openai.conversation.translator import OpenAITranslator
from meshd.formats.openai.stream.assembled import Assembly
from meshd.formats.responses.conversation.translator import ResponsesTranslator

Json = dict[str, Any]
CHAT, MESSAGES, RESPONSES = OpenAITranslator(), AnthropicTranslator(), ResponsesTranslator()


def written(events: list[Event], translator: Any = CHAT) -> list[bytes]:
    writer = translator.event_writer()
    return [*(data for event in events for data in writer.write(event)), *writer.end()]


def deltas(chunks: list[bytes]) -> list[Json]:
    return [choice["delta"] for chunk in chunks for choice in json.loads(chunk)["choices"]]


def by_the_sdk(chunks: list[bytes]) -> Json:
    """As OpenAI's Python SDK joins them."""
    state: Any = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(chunk))
    message: Json = state.current_completion_snapshot.choices[0].message.model_dump(exclude_none=True)
    return message


def by_appending(chunks: list[bytes]) -> Json:
    """As an app does that only appends to lists."""
    message: Json = {"role": "assistant", "content": "", "reasoning_content": "", "reasoning_details": []}
    for delta in deltas(chunks):
        for name in ("content", "reasoning_content"):
            message[name] += delta.get(name) or ""
        message["reasoning_details"] += delta.get("reasoning_details", [])
    return message


def by_the_mesh(chunks: list[bytes]) -> Json:
    """As the mesh itself does, for an app that did not ask for a stream."""
    assembly = Assembly()
    for chunk in chunks:
        assembly.add(chunk)
    return json.loads(assembly.answer())["choices"][0]["message"]  # type: ignore[no-any-return]


JOINS = pytest.mark.parametrize("join", [by_the_sdk, by_appending, by_the_mesh])


def sent_back(message: Json, translator: Any) -> Json:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}, message]}
    made: Json = json.loads(translator.write_request(CHAT.read_request(json.dumps(body).encode())))
    return made


def thinking(text: str, signature: str) -> Json:
    return {"type": "thinking", "thinking": text, "signature": signature}


def streamed(blocks: list[Json]) -> list[Event]:
    """The events of an Anthropic stream, in small pieces."""
    reader = MESSAGES.event_reader()
    made: list[Json] = [{"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": [], "usage": {}}}]
    for index, block in enumerate(blocks):
        pieces: list[Json] = []
        if block["type"] == "thinking":
            pieces += [{"type": "thinking_delta", "thinking": piece} for piece in block["thinking"].split("|")]
            pieces.append({"type": "signature_delta", "signature": block["signature"]})
            block = {**block, "thinking": "", "signature": ""}
        elif block["type"] == "text":
            pieces.append({"type": "text_delta", "text": block["text"]})
            block = {**block, "text": ""}
        made.append({"type": "content_block_start", "index": index, "content_block": block})
        made += [{"type": "content_block_delta", "index": index, "delta": piece} for piece in pieces]
        made.append({"type": "content_block_stop", "index": index})
    made.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}})
    return [event for each in made for event in reader.read(json.dumps(each).encode())]


@JOINS
@given(
    st.lists(
        st.sampled_from(
            [thinking("Hm, |well.", "c2ln"), thinking("Then|", "b3RoZXI="), thinking("|", "ZW1wdHk="),
             {"type": "redacted_thinking", "data": "aGlkZGVu"}, {"type": "text", "text": "Yes."}]
        ),
        max_size=6,
    )
)  # fmt: skip
def test_each_thought_comes_back_with_its_signature(join: Callable[[list[bytes]], Json], blocks: list[Json]) -> None:
    message = {"role": "assistant", "content": "", **join(written(streamed(blocks)))}
    content = sent_back({**message, "content": (message["content"] or "") + "End."}, MESSAGES)["messages"][1]["content"]
    said = content if isinstance(content, list) else []
    thoughts = [block for block in blocks if block["type"] != "text"]
    expected = [{**each, "thinking": each["thinking"].replace("|", "")} if "thinking" in each else each
                for each in thoughts]  # fmt: skip
    assert [block for block in said if block["type"] != "text"] == expected


@JOINS
def test_a_thought_of_an_encrypted_item_is_one(join: Callable[[list[bytes]], Json]) -> None:
    """Its text comes first, in pieces, which name the item too."""
    events: list[Event] = [
        Began("a", "m"),
        *(ReasoningDelta(text, block=0, id="rs_1") for text in ("Hm, ", "well.")),
        ReasoningDelta(encrypted="one", block=0, id="rs_1"),
        ReasoningDelta("Then.", block=1, id="rs_2"),
        ReasoningDelta(encrypted="two", block=1, id="rs_2"),
        TextDelta("Yes.", block=2),
        Finished(Finish.STOP),
    ]
    message = {"role": "assistant", **join(written(events))}
    items = [item for item in sent_back(message, RESPONSES)["input"] if item.get("type") == "reasoning"]
    assert [(item["id"], item["encrypted_content"], item["summary"][0]["text"]) for item in items] == [
        ("rs_1", "one", "Hm, well."),
        ("rs_2", "two", "Then."),
    ]


def test_thoughts_of_a_chat_server_stay_apart_in_a_message() -> None:
    """Streamed as OpenRouter does: pieces of a thought have one index."""
    pieces: list[Json] = [
        {"type": "reasoning.text", "text": "Hm, ", "index": 0},
        {"type": "reasoning.text", "text": "well.", "index": 0},
        {"type": "reasoning.text", "signature": "c2ln", "index": 0},
        {"type": "reasoning.text", "text": "Then.", "index": 1},
        {"type": "reasoning.text", "signature": "b3RoZXI=", "index": 1},
    ]
    reader, events = CHAT.event_reader(), list[Event]()
    for piece in pieces:
        said = {"reasoning": piece.get("text", ""), "reasoning_details": [piece]}
        chunk = {"id": "a", "model": "m", "choices": [{"index": 0, "delta": said, "finish_reason": None}]}
        events += reader.read(json.dumps(chunk).encode())
    found: dict[int, Json] = {}
    for data in written([*events, TextDelta("Yes."), Finished(Finish.STOP)], MESSAGES):
        event = json.loads(data)
        if event["type"] == "content_block_start":
            found[event["index"]] = dict(event["content_block"])
        elif event["type"] == "content_block_delta":
            for name in ("thinking", "signature", "text"):
                if name in event["delta"]:
                    found[event["index"]][name] += event["delta"][name]
    assert list(found.values()) == [
        thinking("Hm, well.", "c2ln"), thinking("Then.", "b3RoZXI="), {"type": "text", "text": "Yes."}
    ]  # fmt: skip


def test_entries_of_one_index_that_are_each_signed_stay_apart() -> None:
    details = [{"type": "reasoning.text", "text": text, "signature": text, "index": 0} for text in ("one", "two")]
    message = {"role": "assistant", "content": "Yes.", "reasoning_details": details}
    content = sent_back(message, MESSAGES)["messages"][1]["content"]
    assert content[:2] == [thinking("one", "one"), thinking("two", "two")]
