"""Errors, signs of life, ends and usage reports as servers really put them into a stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshd.sdk import FailureKind
from tests.support.answers.saying import AB, DONE, END, ERRORS, STOP, USAGE, call, chunk, event, read


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
async def test_a_sign_of_life_is_not_a_chunk(say, beat, end):
    text, failure, events = await read(
        await say(beat * 3 + event(chunk("a")) + beat * 3 + event(chunk("b")) + beat * 3 + end)
    )
    assert (text, failure) == ("ab", None)
    assert len(events) <= 3


@pytest.mark.parametrize("beat", BEATS, ids=str)
@pytest.mark.parametrize("begun", [True, False])
async def test_a_sign_of_life_is_not_progress(say, beat, begun):
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
