"""Answers as servers really write them: what is odd costs the odd field, what is broken is never taken for whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshd.operations.completion import COMPLETION
from meshd.operations.embeddings import EMBEDDINGS
from meshd.sdk import FailureKind, ProviderFailure
from tests.support.answers.saying import AB, END, ERRORS, USAGE, call, chunk, event, read

A, B = (json.dumps(chunk(letter)).encode() for letter in "ab")


@pytest.mark.parametrize(
    "body",
    [b"data: %s\ndata: %s\n\n" % (A, B), b"data: %s%s\n\n" % (A, B), b"data: [%s,%s]\n\n" % (A, B),
     b"data: data: %s\n\ndata: data: %s\n\n" % (A, B), b"data: %s\ndata: %s\ndata: [DONE]\n" % (A, B)],
)  # fmt: skip
async def test_chunks_that_run_together_are_all_read(say, body):
    text, failure, events = await read(await say(body + END))
    assert (text, failure) == ("ab", None)
    assert [json.loads(each.data)["choices"][0]["delta"].get("content") for each in events[:2]] == ["a", "b"]


# -- half surrogate pairs, and JSON beyond the standard -----------------------------------------------

HALF = "\ud83c"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb'{"choices":[{"index":0,"delta":{"content":"Elbe\ud83c"}}]}', "Elbe" + HALF),
        (rb'{"choices":[{"index":0,"delta":{"content":"\udf0a Elbe"}}]}', "\udf0a Elbe"),
        (b'{"choices":[{"index":0,"delta":{"content":"x"},"logprobs":{"content":[{"logprob":NaN}]}}]}', "x"),
        (b'{"choices":[{"index":0,"delta":{"content":"x"},"logprobs":{"a":-Infinity}}]}', "x"),
        (b'{"choices":[{"index":0,"delta":{"content":"a\tb"}}]}', "a\tb"),
        (b'{"choices":[{"index":0,"delta":{"content":"Stra\xdfe"}}]}', "Stra�e"),
        (b'\xef\xbb\xbf{"choices":[{"index":0,"delta":{"content":"x"}}]}', "x"),
    ],
)
async def test_json_that_an_openai_client_reads_is_read_and_passed_on(say, raw, text):
    got, failure, events = await read(await say(event(raw) + AB + END))
    assert (got, failure) == (text + "ab", None)
    assert json.loads(events[0].data)["choices"][0]["delta"]["content"] == text
    if b"\\u" in raw:
        assert events[0].data == raw


async def test_half_a_pair_in_the_arguments_of_a_tool(say):
    raw = rb'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\ud83c"}}]}}]}'
    _, failure, events = await read(await say(event(raw) + END))
    assert failure is None
    assert (events[0].data, events[0].content, "\\ud83c" in events[0].extra) == (raw, True, True)


async def test_half_a_pair_in_a_plain_answer(say):
    raw = rb'{"choices":[{"index":0,"message":{"content":"Elbe\ud83c"},"finish_reason":"stop"}],"usage":%s}'
    raw %= json.dumps(USAGE).encode()
    provider = await say(raw, kind="application/json")
    answer = await provider.execute(call(stream=False))
    assert (answer.body, answer.usage.output_tokens) == (raw, 2)
    text, failure, events = await read(provider)
    assert (text, failure, events[0].finish_reason) == ("Elbe" + HALF, None, "stop")


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
async def test_a_plain_answer_in_another_unicode_than_utf_8(say, coding):
    """As httpx and `requests` read it, by the first bytes."""
    raw = json.dumps(whole({"content": "Straße"}), ensure_ascii=False).encode(coding)
    answer = await (await say(raw, kind="application/json")).execute(call(stream=False))
    assert json.loads(answer.body) == whole({"content": "Straße"})


# -- fields of other types ----------------------------------------------------------------------------

ODD: list[Any] = [None, False, True, 0, 0.0, 1.5, -1, 2**70, "", "0", "x", [], [None], {}, {"a": 1}, [[]], [{}]]
FIELDS = ["index", "logprobs", "matched_stop", "stop_reason"]
OF_DELTA = ["role", "refusal", "tool_calls", "function_call", "audio", "images", "reasoning_content", "reasoning",
            "reasoning_details", "thinking", "thinking_blocks", "annotations", "name"]  # fmt: skip
TOP = ["id", "object", "created", "model", "system_fingerprint", "service_tier", "usage", "x_groq", "choices_count"]


@pytest.mark.parametrize("field", [*FIELDS, "finish_reason", *OF_DELTA, *TOP])
async def test_a_field_of_any_other_type_costs_that_field_and_not_the_text(say, field):
    for odd in ODD:
        if (field, odd) in (("object", "x"), ("finish_reason", "x")):
            continue
        texts = [chunk("a"), chunk("b")]
        for document in texts:
            choice = document["choices"][0]
            where = document if field in TOP else choice["delta"] if field in OF_DELTA else choice
            where[field] = odd
        text, failure, _ = await read(await say(b"".join(map(event, texts)) + END))
        assert (text, failure) == ("ab", None), odd


@pytest.mark.parametrize("choices", [None, 0, "x", [None], [1], [[]], {}], ids=str)
async def test_a_chunk_whose_choices_are_none_is_passed_over(say, choices):
    text, failure, _ = await read(await say(AB + event({"id": "c", "choices": choices}) + END))
    assert (text, failure) == ("ab", None)


# -- content in parts, thinking in its many fields ----------------------------------------------------


@pytest.mark.parametrize(
    ("delta", "text", "reasoning"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab", ""),
        ({"content": ["a", "b"]}, "ab", ""),
        ({"content": {"type": "text", "text": "a"}}, "a", ""),
        ({"content": [{"type": "text", "text": {"value": "a"}}]}, "a", ""),
        ({"content": [{"type": "output_text", "text": "a"}]}, "a", ""),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}, "", "hm"),
        ({"content": 5}, "5", ""),
        ({"reasoning": "hm"}, "", "hm"),
        ({"reasoning_content": "hm"}, "", "hm"),
        ({"thinking": "hm"}, "", "hm"),
        ({"thinking": {"content": "hm"}}, "", "hm"),
        ({"reasoning_text": "hm"}, "", "hm"),
        ({"thoughts": "hm"}, "", "hm"),
        ({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}, "", "hm"),
        ({"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]}, "", "hm"),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "AAAA"}]}, "", ""),
        ({"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}, "", "hm"),
        ({"content": "a", "reasoning_details": [{"text": "hm"}]}, "a", "hm"),
        ({"reasoning": "hm", "reasoning_details": [{"text": "hm"}]}, "", "hm"),
        ({"reasoning": "hm", "reasoning_content": "hm"}, "", "hm"),
    ],
    ids=str,
)
async def test_text_and_thinking_are_read_out_of_any_shape(say, delta, text, reasoning):
    document = {"choices": [{"index": 0, "delta": delta}]}
    _, failure, events = await read(await say(event(document) + AB + END))
    assert failure is None
    assert (events[0].text, events[0].reasoning) == (text, reasoning)
    assert json.loads(events[0].data) == document


# -- plain answers ------------------------------------------------------------------------------------


def whole(message: Any, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": USAGE, **more}


NO_ANSWERS: list[Any] = [
    {"choices": []}, {"choices": [None]}, {"choices": None}, {"choices": {}}, {}, {"choices": [{}]},
    whole(None), whole({"role": "assistant", "content": None}, None), whole({}, None), whole({"content": ""}, ""),
    whole({"content": ""}, "error"), whole({"content": "half an ans"}, "error"),
    whole({"content": "half"}, "insufficient_system_resource"), whole({"content": "half"}, "network_error"),
    {"choices": [{"index": 0, "message": {"content": ""}, "error": {"code": 502, "message": "boom"}}]},
    {"choices": [{"index": 0, "error": {"code": 502, "message": "boom"}, "finish_reason": "stop", "message": None}]},
    {"object": "chat.completion", "choices": [], "usage": USAGE},
    *(error for error in ERRORS if "choices" not in error),
]  # fmt: skip


@pytest.mark.parametrize("document", NO_ANSWERS, ids=str)
async def test_after_a_200_without_an_answer_another_model_is_asked(say, document):
    provider = await say(json.dumps(document).encode(), kind="application/json")
    with pytest.raises(ProviderFailure) as caught:
        await provider.execute(call(stream=False))
    assert caught.value.kind is not FailureKind.INVALID_REQUEST
    _, failure, _ = await read(provider)
    assert failure is not None


ANSWERS: list[Any] = [
    whole({"content": ""}), whole({"content": ""}, "length"), whole({"content": None}, "content_filter"),
    whole({"role": "assistant"}, "content_filter: PROHIBITED"),
    whole({"content": None, "tool_calls": [{"id": "x", "function": {"name": "f", "arguments": "{}"}}]}, "tool_calls"),
    whole({"content": None, "refusal": "no"}, None), whole({"content": None, "reasoning_content": "hm"}, None),
    whole({"content": None, "reasoning_details": [{"text": "hm"}]}, None),
    whole({"content": [{"type": "text", "text": "a"}]}),
    whole({"content": "a"}, {}), whole({"content": "a"}, False), whole({"content": "a", "tool_calls": False}),
    whole({"content": "a", "refusal": False}), whole({"content": "a"}, error={}), whole({"content": "a"}, usage="x"),
    whole({"content": "a"}, base_resp={"status_code": 0, "status_msg": "success"}),
    whole({"content": "a"}, code=0, msg="ok"),
]  # fmt: skip


@pytest.mark.parametrize("document", ANSWERS, ids=str)
async def test_an_odd_answer_is_one_byte_for_byte(say, document):
    raw = json.dumps(document).encode()
    provider = await say(raw, kind="application/json")
    assert (await provider.execute(call(stream=False))).body == raw
    _, failure, events = await read(provider)
    assert failure is None
    assert events[0].content


@pytest.mark.parametrize(
    "data",
    [[], None, {}, [None], [{}], [{"embedding": None}], [{"embedding": []}], [{"embedding": ""}], "x", 0,
     {"embedding": [1.0]}, {"data": [{"embedding": [1.0]}]}],
    ids=str,
)  # fmt: skip
async def test_embeddings_without_a_vector_are_none(say, data):
    provider = await say(json.dumps({"object": "list", "data": data, "usage": USAGE}).encode(), kind="application/json")
    with pytest.raises(ProviderFailure):
        await provider.execute(call(False, EMBEDDINGS, body={"input": "a"}))


async def test_no_vectors_are_an_answer_to_no_texts(say):
    none = b'{"object":"list","data":[],"usage":{"prompt_tokens":0,"total_tokens":0}}'
    provider = await say(none, kind="application/json")
    assert (await provider.execute(call(False, EMBEDDINGS, body={"input": []}))).body == none
    provider = await say(none, kind="application/json")
    with pytest.raises(ProviderFailure):
        await provider.execute(call(False, EMBEDDINGS, body={"input": ["a"]}))


@pytest.mark.parametrize("text", [None, "", 0, False])
async def test_a_completion_without_a_text_is_none(say, text):
    raw = json.dumps({"choices": [{"index": 0, "text": text, "finish_reason": None}], "usage": USAGE}).encode()
    provider = await say(raw, kind="application/json")
    with pytest.raises(ProviderFailure):
        await provider.execute(call(False, COMPLETION, body={"prompt": "a"}))


async def test_an_answer_told_whole_in_an_event_is_streamed(say):
    for framing in (b"data: %s\n\n", b"%s"):
        text, failure, events = await read(await say(framing % json.dumps(whole({"content": "all"})).encode()))
        assert (text, failure) == ("all", None)
        assert json.loads(events[0].data)["choices"][0]["delta"] == {"content": "all"}
