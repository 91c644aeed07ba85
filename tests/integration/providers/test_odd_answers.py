"""Answers as servers really write them: what is odd costs the odd field, what is broken is never taken for whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshd.sdk import FailureKind, Operation, ProviderFailure
from tests.support.providers.saying import AB, DONE, END, STOP, USAGE, call, chunk, event, read

# -- a finish reason before the end -------------------------------------------------------------------

EARLY = event(chunk("", finish_reason="stop"))
STAMPED = [event(chunk(letter, finish_reason="stop")) for letter in "abc"]


@pytest.mark.parametrize(
    "end", [DONE, b"", event({"choices": [], "usage": USAGE}) + DONE], ids=["done", "close", "usage"]
)
@pytest.mark.parametrize("pieces", [[EARLY, AB, AB], STAMPED, [EARLY, *STAMPED]], ids=["first", "each", "both"])
async def test_a_finish_reason_before_the_end_cuts_nothing(say, monkeypatch, pieces, end):
    from meshd.formats.openai.stream import event_stream

    monkeypatch.setattr(event_stream, "LAST_WORDS", 0.02)
    provider = await say(*pieces, end, pause=0.06)
    text, failure, _ = await read(provider)
    assert (text, failure) == ("abab" if AB in pieces else "abc", None)


@pytest.mark.parametrize("pieces", [[EARLY, AB], STAMPED[:2]], ids=["first", "each"])
async def test_after_a_finish_reason_too_soon_a_broken_connection_is_a_cut(say, pieces):
    text, failure, _ = await read(await say(*pieces, reset=True))
    assert text == "ab"
    assert failure is not None
    assert failure.kind is FailureKind.STREAM_CUT


async def test_after_a_finish_reason_at_the_end_it_is_none(say):
    assert (await read(await say(AB, event({"choices": [STOP]}), reset=True)))[:2] == ("ab", None)
    last = event(chunk("c", finish_reason="stop"))
    assert (await read(await say(AB, last, reset=True)))[:2] == ("abc", None)


@pytest.mark.parametrize("pieces", [[EARLY, AB], STAMPED], ids=["first", "each"])
async def test_silence_is_the_end_where_a_finish_reason_came(say, pieces):
    text, failure, _ = await read(await say(*pieces, stay=True), idle_timeout=0.2)
    assert (text, failure) == ("ab" if AB in pieces else "abc", None)


async def test_an_early_finish_reason_and_then_nothing_is_no_answer(say):
    _, failure, _ = await read(await say(EARLY, stay=True), first_token_timeout=0.2)
    assert failure is not None
    assert failure.kind is FailureKind.TIMEOUT


@pytest.mark.parametrize("end", [DONE, b""], ids=["done", "close"])
@pytest.mark.parametrize("lost", ['{"choices":[{"delta":{"content":"a', "Something has come up"])
async def test_an_early_finish_reason_and_then_a_lost_chunk_is_no_empty_answer(say, lost, end):
    text, failure, _ = await read(await say(EARLY, b"data: " + lost.encode() + b"\n\n", end))
    assert text == ""
    assert failure is not None
    assert failure.kind is FailureKind.BAD_ANSWER


async def test_a_lost_chunk_before_a_finish_reason_is_no_empty_answer(say):
    _, failure, _ = await read(await say(event(b"{'choices': python}") + END))
    assert failure is not None
    assert failure.kind is FailureKind.BAD_ANSWER


LAST = {"index": 0, "delta": {"content": "c"}}


@pytest.mark.parametrize("end", [DONE, b""], ids=["done", "close"])
@pytest.mark.parametrize("beside", [{}, {"finish_reason": None}, {"finish_reason": ""}], ids=str)
async def test_a_finish_reason_has_another_name_too(say, beside, end):
    """Gemini's last chunk: https://github.com/jakobdylanc/llmcord/issues/84."""
    whole = event({"choices": [{**LAST, **beside, "finishReason": "stop"}]})
    assert (await read(await say(AB, whole, end)))[:2] == ("abc", None)
    assert (await read(await say(AB, whole, reset=True)))[:2] == ("abc", None)
    broken = event({"choices": [{**LAST, **beside, "finishReason": "MALFORMED_FUNCTION_CALL"}]})
    assert (await read(await say(AB, broken, end)))[1] is not None


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


# -- errors -------------------------------------------------------------------------------------------

ERRORS: list[Any] = [
    {"error": {"message": "boom", "code": 500}},
    {"error": "boom"},
    {"error": True},
    {"errors": [{"message": "boom"}]},
    {"text": "the engine is overloaded", "error_code": 50001},
    {"object": "error", "message": "boom", "code": 40303},
    {"type": "error", "message": "boom"},
    {"detail": "boom"},
    {"detail": [{"msg": "boom"}]},
    {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}},
    {"id": "x", "choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
    {"id": "x", "choices": [], "error": {"message": "boom"}},
    {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "insufficient_system_resource"}]},
    {"choices": [{"index": 0, "delta": {"content": "c"}, "finish_reason": "error"}]},
    {"choices": [{"index": 0, "delta": {"content": "c"}, "error": {"code": 502, "message": "boom"}}]},
    {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": None}], "error": {"message": "boom"}},
    {"code": 1301, "msg": "boom"},
    {"code": "InvalidParameter", "message": "boom", "request_id": "r"},
    {"status": 503, "title": "boom"},
    {"success": False, "reason": "boom"},
    {"message": "Internal server error"},
    {"err": "boom"},
    {"error_description": "boom"},
    {"errmsg": "boom", "errcode": 7},
    [{"error": {"code": 503, "message": "boom"}}],
    {"Error": "boom"},
    {"Message": "Internal failure"},
    {"fault": {"faultstring": "boom"}},
    {"internalServerException": {"message": "boom"}},
    {"response": {"error": {"message": "boom"}}},
    {"data": {"error": "boom"}},
    {"header": {"code": 10013, "message": "boom", "sid": "x"}},
    {"ResponseMetadata": {"Error": {"Code": "InvalidParameter", "Message": "boom"}}},
    {"httpStatus": 503, "text": "boom"},
    {"usage": USAGE, "message": "boom", "code": 500},
    {"is_error": True, "content": "boom"},
    {"choices": [{"index": 0, "delta": {"error": {"message": "boom"}}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "timeout"}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "engine_overloaded"}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "function_call_filter: MALFORMED_FUNCTION_CALL"}]},
]


@pytest.mark.parametrize("error", ERRORS, ids=str)
@pytest.mark.parametrize("framing", [b"data: %s\n\n", b"%s\n\n", b"%s\n", b"event: error\ndata: %s\n\n"])
async def test_an_error_in_any_shape_is_one_and_not_the_end_of_an_answer(say, error, framing):
    for before in (AB, b""):
        text, failure, _ = await read(await say(before + framing % json.dumps(error).encode() + DONE))
        assert failure is not None
        assert text == ("ab" if before else "")


@pytest.mark.parametrize(
    "words", ["Internal Server Error", "upstream connect error or disconnect/reset", "rate limited: too many"]
)
@pytest.mark.parametrize("framing", ["data: %s\n\n", "%s\n\n", "event: error\ndata: %s\n\n"])
async def test_an_error_in_bare_words(say, words, framing):
    text, failure, _ = await read(await say(AB + (framing % words).encode() + DONE))
    assert text == "ab"
    assert failure is not None


@pytest.mark.parametrize("told", ["event: error", "event: exception\ndata: {}", "data: [ERROR] x", 'data: ["error"]'])
async def test_an_error_in_the_name_of_its_event_or_in_brackets(say, told):
    text, failure, _ = await read(await say(AB + told.encode() + b"\n\n" + DONE))
    assert text == "ab"
    assert failure is not None


async def test_words_that_may_be_an_error_need_a_finish_reason_after_them(say):
    odd = event(b"Something has come up")
    assert (await read(await say(AB + odd + END)))[:2] == ("ab", None)
    assert (await read(await say(AB + odd + AB + DONE)))[:2] == ("abab", None)
    assert (await read(await say(AB + odd + DONE)))[1] is not None


NO_ERRORS: list[Any] = [None, {}, "", [], 0, False, {"message": "", "code": 0}, {"message": None, "code": None},
                        {"code": "0"}, {"code": 200}, {"code": "success", "message": "OK"}, "null"]  # fmt: skip


@pytest.mark.parametrize("nothing", NO_ERRORS, ids=str)
@pytest.mark.parametrize("name", ["error", "error_code", "base_resp", "errors"])
async def test_an_error_that_says_nothing_is_none(say, nothing, name):
    body = event(chunk("a") | {name: nothing}) + event({"choices": [STOP], name: nothing}) + DONE
    assert (await read(await say(body)))[:2] == ("a", None)
    whole = {"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}], name: nothing}
    raw = json.dumps(whole).encode()
    assert (await (await say(raw, kind="application/json")).execute(call(stream=False))).body == raw


# -- signs of life ------------------------------------------------------------------------------------

BEATS = [b"data:\n\n", b"data: \n\n", b"data\n\n", b"data: null\n\n", b"data: heartbeat\n\n", b": comment\n\n",
         b"data: ping\n\n", b'data: "ping"\n\n', b"event: ping\ndata: {}\n\n", b"data: {}\n\n", b"data: []\n\n",
         b'event: ping\ndata: {"type":"ping"}\n\n', b"data: 1700000000\n\n", b"data: 2026-01-01T00:00:00Z\n\n",
         b"data: keep-alive\n\n", b"data: : OPENROUTER PROCESSING\n\n", b"event: heartbeat\n\n", b"id: 7\n\n",
         b'data: {"status":"processing","message":"still working"}\n\n', b"event: ping\ndata: some words\n\n",
         b"data: true\n\n", b"data: -\n\n", b"foo: bar\n\n", b"data: [PING]\n\n", b"data: [STILL ALIVE]\n\n",
         b"data: <keep-alive>\n\n", b'data: ["ping"]\n\n', b"data: \x00\n\n"]  # fmt: skip


@pytest.mark.parametrize("beat", BEATS, ids=str)
@pytest.mark.parametrize(
    "end", [END, DONE, b"data: [DONE] \n\n", b"data:[DONE]\n\n", b"data:  [DONE]\t\n\n", b"data: [done]\n\n"]
)
async def test_a_sign_of_life_is_no_chunk(say, beat, end):
    text, failure, events = await read(
        await say(beat * 3 + event(chunk("a")) + beat * 3 + event(chunk("b")) + beat * 3 + end)
    )
    assert (text, failure) == ("ab", None)
    assert len(events) <= 3


@pytest.mark.parametrize("beat", BEATS, ids=str)
@pytest.mark.parametrize("begun", [True, False])
async def test_a_sign_of_life_is_no_progress(say, beat, begun):
    provider = await say(AB if begun else b"", *[beat] * 100, pause=0.02)
    text, failure, _ = await read(provider, first_token_timeout=0.15, idle_timeout=0.15)
    assert text == ("ab" if begun else "")
    assert failure is not None
    assert failure.kind is (FailureKind.STREAM_CUT if begun else FailureKind.TIMEOUT)


@pytest.mark.parametrize(
    "end", ["data: [DONE] and more", 'data: "[DONE]"', "data: [END]", "data: data: [DONE]", "data: [DONE]\xa0",
            "event: done\ndata: {}", "event: done", 'data: {"done":true}', 'data: {"type":"done"}'],
)  # fmt: skip
async def test_the_end_is_known_in_other_words(say, end):
    assert (await read(await say(AB + end.encode() + b"\n\n")))[:2] == ("ab", None)
    lost = event(b"Something has come up")
    assert (await read(await say(AB + lost + end.encode() + b"\n\n")))[1] is not None


# -- usage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document", [{"usage": USAGE}, {"choices": None, "usage": USAGE}, {"choices": [], "usage": USAGE}]
)
@pytest.mark.parametrize("asked", [True, False])
async def test_the_usage_report_reaches_who_asked_for_it(say, document, asked):
    body = {"messages": [], "stream_options": {"include_usage": asked}}
    _, failure, events = await read(await say(AB + event({"choices": [STOP]}) + event(document) + DONE), body=body)
    assert failure is None
    assert (events[-1].usage.output_tokens, events[-1].hidden) == (2, not asked)
    assert json.loads(events[-1].data) == document


async def test_a_usage_report_inside_of_a_choice(say):
    """Moonshot's, in the last chunk: https://github.com/earendil-works/pi/issues/2017."""
    for last in ({**STOP, "usage": USAGE}, {"index": 0, "delta": {}, "finish_reason": "length", "usage": USAGE}):
        _, failure, events = await read(await say(AB + event({"choices": [last]}) + DONE))
        assert (failure, events[-1].usage.input_tokens, events[-1].usage.output_tokens) == (None, 3, 2)


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
async def test_a_200_that_is_no_answer_is_another_models_turn(say, document):
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
        await provider.execute(call(False, Operation.EMBEDDINGS, body={"input": "a"}))


async def test_no_vectors_are_an_answer_to_no_texts(say):
    none = b'{"object":"list","data":[],"usage":{"prompt_tokens":0,"total_tokens":0}}'
    provider = await say(none, kind="application/json")
    assert (await provider.execute(call(False, Operation.EMBEDDINGS, body={"input": []}))).body == none
    provider = await say(none, kind="application/json")
    with pytest.raises(ProviderFailure):
        await provider.execute(call(False, Operation.EMBEDDINGS, body={"input": ["a"]}))


@pytest.mark.parametrize("text", [None, "", 0, False])
async def test_a_completion_without_a_text_is_none(say, text):
    raw = json.dumps({"choices": [{"index": 0, "text": text, "finish_reason": None}], "usage": USAGE}).encode()
    provider = await say(raw, kind="application/json")
    with pytest.raises(ProviderFailure):
        await provider.execute(call(False, Operation.COMPLETION, body={"prompt": "a"}))


async def test_an_answer_told_whole_in_an_event_is_streamed(say):
    for framing in (b"data: %s\n\n", b"%s"):
        text, failure, events = await read(await say(framing % json.dumps(whole({"content": "all"})).encode()))
        assert (text, failure) == ("all", None)
        assert json.loads(events[0].data)["choices"][0]["delta"] == {"content": "all"}
