"""Answers and chunks in shapes near OpenAI's reach the app in OpenAI's, each text once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.formats.openai.stream.whole_messages import Messages
from meshd.operations.completion import COMPLETION
from meshd.sdk import ProviderFailure, StreamEvent
from meshd.sdk.reading.message_content import Said
from tests.support.answers.saying import AB, DONE, END, STOP, USAGE, call, event, read

WORDS = ["The ", "quick ", "brown ", "fox."]
TEXT = "".join(WORDS)


def shown(events: list[StreamEvent]) -> str:
    """As an OpenAI client shows it."""
    text = ""
    for each in events:
        document = json.loads(each.data)
        for choice in [] if each.hidden else document["choices"]:
            text += choice["delta"].get("content") or ""
    return text


def delta(word: str) -> dict[str, Any]:
    return {"index": 0, "delta": {"content": word}, "finish_reason": None}


def a_chunk(word: str) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "choices": [delta(word)]}


SHAPES: dict[str, Any] = {
    "delta is a text": lambda word: {"choices": [{"index": 0, "delta": word}]},
    "delta is a list": lambda word: {"choices": [{"index": 0, "delta": [{"type": "text", "text": word}]}]},
    "delta is a list of texts": lambda word: {"choices": [{"index": 0, "delta": [word[:1], word[1:]]}]},
    "delta is a list of deltas": lambda word: {"choices": [{"index": 0, "delta": [{"content": word}]}]},
    "delta has a text": lambda word: {"choices": [{"index": 0, "delta": {"text": word}}]},
    "delta has a delta": lambda word: {"choices": [{"index": 0, "delta": {"delta": {"content": word}}}]},
    "delta has a message": lambda word: {"choices": [{"index": 0, "delta": {"message": {"content": word}}}]},
    "text of a completion": lambda word: {"choices": [{"index": 0, "text": word}]},
    "text beside an empty delta": lambda word: {"choices": [{"index": 0, "delta": {}, "text": word}]},
    "content of the choice": lambda word: {"choices": [{"index": 0, "content": word}]},
    "choice is a text": lambda word: {"choices": [word]},
    "choices is a choice": lambda word: {"choices": delta(word)},
    "choices with null": lambda word: {"choices": [None, delta(word)]},
    "in data": lambda word: {"data": a_chunk(word)},
    "in data, with a code": lambda word: {"code": 0, "msg": "ok", "data": a_chunk(word)},
    "in result": lambda word: {"result": a_chunk(word), "success": True, "errors": []},
    "in response": lambda word: {"response": a_chunk(word)},
    "in any name": lambda word: {"id": "x", "nested": {"chunk": a_chunk(word)}},
    "in four others": lambda word: {"data": {"result": {"body": {"x": a_chunk(word)}}}},
    "as a text": lambda word: json.dumps(a_chunk(word)),
    "as a text in data": lambda word: {"data": json.dumps(a_chunk(word))},
    "beside no choices": lambda word: {"choices": [], "output": a_chunk(word)},
    "a choice alone": delta,
    "a delta alone": lambda word: {"delta": {"content": word}},
    "a delta alone, a text": lambda word: {"id": "1", "delta": word},
    "a message alone (Ollama)": lambda word: {"message": {"role": "assistant", "content": word}, "done": False},
    "response is a text (Cloudflare)": lambda word: {"response": word, "p": "abc"},
    "in result, response is a text": lambda word: {"result": {"response": word}, "success": True},
    "message": lambda word: {"choices": [{"index": 0, "message": {"role": "assistant", "content": word}}]},
    "message is a text": lambda word: {"choices": [{"index": 0, "message": word}]},
    "message beside a delta": lambda word: {"choices": [{"index": 0, "delta": {}, "message": {"content": word}}]},
    "message in data": lambda word: {"data": {"choices": [{"index": 0, "message": {"content": word}}]}},
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
async def test_text_in_a_shape_near_openais_is_shown(say, shape):
    body = b"".join(event(shape(word)) for word in WORDS)
    text, failure, events = await read(await say(body + END))
    assert (text, failure, shown(events)) == (TEXT, None, TEXT)
    assert (await read(await say(body)))[1] is not None  # cut
    _, failure, events = await read(await say(body + event({"error": {"message": "boom"}}) + DONE))
    assert failure is not None
    # As a completion's, where that was asked for.
    text, failure, events = await read(await say(body + END), operation=COMPLETION, body={"prompt": "x"})
    assert (text, failure) == (TEXT, None)
    assert "".join(choice.get("text") or "" for each in events for choice in json.loads(each.data)["choices"]) == TEXT


BESIDE: dict[str, Any] = {"message": "success", "text": "x", "content": "x", "reasoning": "x", "refusal": "x",
                          "delta": "x", "response": "x", "status": "ok", "msg": "ok"}  # fmt: skip


@pytest.mark.parametrize("where", ["chunk", "choice", "delta"])
@pytest.mark.parametrize("name", BESIDE)
async def test_what_is_beside_a_usual_delta_is_not_text(say, name, where):
    """One strange field in every chunk, as a provider or a gateway adds it: an OpenAI client shows nothing of it."""
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in WORDS), {}]
    chunks = [{"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks[-1]["choices"][0]["finish_reason"] = "stop"
    chunks.append({"id": "c", "choices": [], "usage": USAGE})
    for each in chunks:
        choices = each["choices"]
        places = {"chunk": [each], "choice": choices, "delta": [choice["delta"] for choice in choices]}[where]
        for place in places:
            place.setdefault(name, BESIDE[name])
    text, failure, events = await read(await say(b"".join(map(event, chunks)) + DONE))
    assert failure is None
    if where == "delta" and name in ("text", "content"):  # where content is due, or nearly
        assert TEXT in shown(events)
    else:
        assert (text, shown(events)) == (TEXT, TEXT)


def cumulative(words: list[str]) -> list[str]:
    return ["".join(words[: count + 1]) for count in range(len(words))]


@pytest.mark.parametrize("object", ["chat.completion", "chat.completion.chunk", None])
@pytest.mark.parametrize("finish", ["last", "after", "none"])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "pieces"])
async def test_messages_in_the_place_of_deltas(say, whole, finish, object):
    texts = cumulative(WORDS) if whole else WORDS
    documents = [{"object": object, "choices": [{"index": 0, "message": {"content": text}}]} for text in texts]
    if finish == "last":
        documents[-1]["choices"][0]["finish_reason"] = "stop"
    body = b"".join(map(event, documents)) + (event({"choices": [STOP]}) if finish == "after" else b"")
    text, failure, events = await read(await say(body + DONE))
    assert (text, failure, shown(events)) == (TEXT, None, TEXT)
    if finish == "none":
        assert (await read(await say(body)))[1] is not None


@pytest.mark.parametrize("finish", ["stop", None])
@pytest.mark.parametrize("delta", [{}, {"delta": {}}, {"delta": None}, {"delta": {"role": "assistant", "content": ""}}])
async def test_the_whole_message_after_its_deltas_is_not_told_again(say, delta, finish):
    """MiniMax ends a stream so, with the usage."""
    last = {"object": "chat.completion", "usage": USAGE,
            "choices": [{"index": 0, "message": {"content": "ab"}, "finish_reason": finish, **delta}]}  # fmt: skip
    text, failure, events = await read(await say(AB + event(last) + DONE))
    assert (text, failure, shown(events)) == ("ab", None, "ab")
    assert events[-1].usage is not None
    assert events[-1].finish_reason == finish


async def test_both_in_every_chunk_are_told_once(say):
    """Perplexity does so."""
    body = b"".join(
        event({"choices": [{"index": 0, "delta": {"content": word}, "message": {"content": text}}]})
        for word, text in zip(WORDS, cumulative(WORDS), strict=True)
    )
    last = {"choices": [{"index": 0, "delta": {"content": ""}, "message": {"content": TEXT}, "finish_reason": "stop"}]}
    text, failure, events = await read(await say(body + event(last) + DONE))
    assert (text, failure, shown(events)) == (TEXT, None, TEXT)


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}


async def test_a_call_that_only_the_last_message_has_is_reported(say):
    message = {"content": "ab", "tool_calls": [CALL]}
    last = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    text, failure, events = await read(await say(AB + event(last) + DONE))
    assert (text, failure) == ("ab", None)
    assert json.loads(events[-1].data)["choices"][0]["delta"] == {"tool_calls": [CALL | {"index": 0}]}


async def test_a_call_in_every_message_is_told_once(say):
    chunks = [
        {"choices": [{"index": 0, "message": {"content": None, "tool_calls": [CALL | {"function": {"name": "f", "arguments": '{"x": 1}'[:length]}}]}}]}  # noqa: E501
        for length in (0, 4, 8, 8)
    ]  # fmt: skip
    _, failure, events = await read(await say(b"".join(map(event, chunks)) + END))
    assert failure is None
    told = [call for each in events for choice in json.loads(each.data)["choices"] for call in choice["delta"].get("tool_calls", [])]  # noqa: E501  # fmt: skip
    assert "".join(call["function"]["arguments"] for call in told) == '{"x": 1}'
    assert [call.get("id") for call in told] == ["c1", None, None]


async def test_a_message_that_takes_back_what_came_is_not_whole(say):
    texts = ["A long beginning", "A long beginning and more", "Another answer altogether"]
    body = b"".join(event({"choices": [{"index": 0, "message": {"content": text}}]}) for text in texts)
    text, failure, _ = await read(await say(body + END))
    assert text == texts[1]
    assert failure is not None


@pytest.mark.parametrize(
    "document", [{"choices": "ab"}, {"choices": 5, "x": {"content": "ab"}}, {"x": [{"delta": "ab"}]}]
)
async def test_what_may_be_a_text_and_is_not_read_is_not_an_empty_answer(say, document):
    assert (await read(await say(event(document) + END)))[1] is not None


async def test_the_end_inside_of_something_else_is_one(say):
    body = event({"data": a_chunk("ab")}) + event({"data": "[DONE]"})
    assert (await read(await say(body)))[:2] == ("ab", None)


NO_CHUNKS: list[dict[str, Any]] = [
    {"code": 500, "message": "boom", "data": {}}, {"data": {"error": "boom"}}, {"result": {"error": "boom"}},
    {"success": False, "result": a_chunk("x")}, {"error": "boom", "data": a_chunk("x")},
    {"response": "the engine failed", "code": "engine_error"}, {"data": {**a_chunk("x"), "error": "boom"}},
]  # fmt: skip


@pytest.mark.parametrize("document", NO_CHUNKS, ids=str)
async def test_an_error_around_or_inside_is_one(say, document):
    text, failure, _ = await read(await say(AB + event(document) + DONE))
    assert text == "ab"
    assert failure is not None


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[str], str]:
    """Messages, and the text that they have."""
    words = draw(st.lists(st.text("ab \n哈", min_size=1, max_size=6), min_size=1, max_size=8))
    if draw(st.booleans()):
        texts = cumulative(words)
        repeated = draw(st.lists(st.integers(0, len(texts) - 1), max_size=2))
        for at in sorted(repeated, reverse=True):
            if len(texts[at]) >= 8:
                texts.insert(at, texts[at])
        return texts, "".join(words)
    return [*words, "qed."], "".join(words) + "qed."


@given(streams(), st.booleans())
@settings(deadline=None)
def test_each_text_is_told_once_whichever_way_it_came(made, ended):
    """Pieces end in a word that none begins with, so that they cannot be taken for all so far."""
    texts, text = made
    messages = Messages(Said())
    documents = [{"choices": [{"index": 0, "message": {"content": each}, "finish_reason": None}]} for each in texts]
    if ended:
        documents[-1]["choices"][0]["finish_reason"] = "stop"
    chunks = [chunk for document in documents for chunk in messages.deltas(document)] + messages.rest()
    assert len(chunks) == len(texts)
    told = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
    assert told == text


# -- plain answers ------------------------------------------------------------------------------------


def answer(**choice: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "finish_reason": "stop", **choice}], "usage": USAGE}


WHOLE: list[Any] = [
    {"data": answer(message={"content": "ab"})}, {"code": 0, "data": answer(message={"content": "ab"})},
    {"result": answer(message={"content": "ab"}), "success": True}, {"response": answer(message={"content": "ab"})},
    {"result": {"response": "ab", "usage": USAGE}, "success": True, "errors": [], "messages": []},
    {"response": "ab", "usage": USAGE}, answer(message="ab"), answer(delta={"content": "ab"}), answer(delta="ab"),
    answer(text="ab"), answer(message=[{"type": "text", "text": "ab"}]), answer(content="ab"),
    {"message": {"role": "assistant", "content": "ab"}, "done": True, "usage": USAGE},
    {"choices": answer(message={"content": "ab"})["choices"][0], "usage": USAGE},
    {"choices": [None, *answer(message={"content": "ab"})["choices"]], "usage": USAGE},
    {"data": json.dumps(answer(message={"content": "ab"}))},
]  # fmt: skip


@pytest.mark.parametrize("document", WHOLE, ids=str)
async def test_an_answer_in_a_shape_near_openais_is_one(say, document):
    provider = await say(json.dumps(document).encode(), kind="application/json")
    whole = await provider.execute(call(stream=False))
    assert json.loads(whole.body)["choices"][0]["message"]["content"] == "ab"
    assert whole.usage is not None
    assert whole.usage.output_tokens == 2
    text, failure, events = await read(provider)
    assert (text, failure, shown(events)) == ("ab", None, "ab")
    completion = await provider.execute(call(False, COMPLETION, body={"prompt": "x"}))
    assert json.loads(completion.body)["choices"][0]["text"] == "ab"


# -- an event stream where a plain answer was asked for -----------------------------------------------

KINDS = ["text/event-stream", "text/event-stream; charset=utf-8", "application/json", "text/plain"]
USED = event({"id": "c", "model": "m", "choices": [], "usage": USAGE})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [b"", b": waiting\n\n", b"\n", b"event: message\nid: 1\n"])
async def test_a_stream_is_put_together_where_a_plain_answer_was_asked_for(say, kind, before):
    usual = await say(before + AB + event({"choices": [STOP]}) + USED + DONE, kind=kind)
    whole = await usual.execute(call(stream=False))
    document = json.loads(whole.body)
    assert document == {
        "id": "c", "model": "m", "object": "chat.completion", "usage": USAGE,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ab"}, "finish_reason": "stop"}],
    }  # fmt: skip
    assert whole.usage is not None
    assert whole.usage.output_tokens == 2


async def test_it_is_put_together_though_the_connection_stays_open(say):
    provider = await say(AB + END, stay=True)
    whole = await provider.execute(call(stream=False, timeout=8.0))
    assert json.loads(whole.body)["choices"][0]["message"]["content"] == "ab"


async def test_calls_thinking_and_several_choices_are_put_together(say):
    parts: list[tuple[int, dict[str, Any]]] = [
        (0, {"role": "assistant", "content": ""}), (0, {"reasoning_content": "h"}), (0, {"reasoning_content": "m"}),
        (0, {"tool_calls": [{"index": 0, "id": "c0", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
        (0, {"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]}), (1, {"content": "b"}),
        (0, {"tool_calls": [{"index": 1, "id": "c1", "type": "function"}]}),
        (0, {"tool_calls": [{"index": 1, "function": {"name": "g", "arguments": "{}"}}]}),
        (0, {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}), (1, {"content": "c"}),
    ]  # fmt: skip
    body = b"".join(event({"id": "c", "choices": [{"index": index, "delta": each}]}) for index, each in parts)
    ends = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}) + event({"choices": [STOP | {"index": 1}]})  # noqa: E501  # fmt: skip
    whole = await (await say(body + ends + DONE)).execute(call(stream=False, body={"messages": [], "n": 2}))
    first, second = json.loads(whole.body)["choices"]
    assert first["finish_reason"] == "tool_calls"
    assert first["message"]["reasoning_content"] == "hm"
    assert [(each["id"], each["type"], each["function"]) for each in first["message"]["tool_calls"]] == [
        ("c0", "function", {"name": "f", "arguments": '{"x":1}'}),
        ("c1", "function", {"name": "g", "arguments": "{}"}),
    ]
    assert second == {"index": 1, "message": {"role": "assistant", "content": "bc"}, "finish_reason": "stop"}


async def test_a_completion_is_put_together(say):
    body = b"".join(event({"id": "c", "choices": [{"index": 0, "text": word}]}) for word in WORDS)
    end = event({"choices": [{"index": 0, "text": "", "finish_reason": "length"}]}) + DONE
    whole = await (await say(body + end)).execute(call(False, COMPLETION, body={"prompt": "x"}))
    assert json.loads(whole.body)["choices"] == [{"index": 0, "text": TEXT, "finish_reason": "length"}]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_plain_answer_is_one_whatever_it_is_called(say, kind):
    raw = json.dumps(answer(message={"content": "ab", "odd": 1}), indent=2).encode()
    assert (await (await say(raw, kind=kind)).execute(call(stream=False))).body == raw


BROKEN = [AB, AB + event({"error": {"message": "boom"}}) + DONE, AB + event(b'{"choices":') + END, DONE, b": hi\n\n",
          event({"choices": [STOP]}), AB + event({"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}) + DONE]  # noqa: E501  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", BROKEN, ids=str)
async def test_a_broken_stream_is_not_a_plain_answer(say, body, kind):
    provider = await say(body, kind=kind)
    if body == BROKEN[-2]:
        whole = await provider.execute(call(stream=False))  # an empty answer is one
        assert json.loads(whole.body)["choices"][0]["finish_reason"] == "stop"
        return
    with pytest.raises(ProviderFailure):
        await provider.execute(call(stream=False))
