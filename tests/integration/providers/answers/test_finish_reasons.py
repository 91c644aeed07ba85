"""Finish reasons as servers really send them: too early, under another name, or before a cut."""

from __future__ import annotations

import pytest

from meshd.sdk import FailureKind
from tests.support.answers.saying import AB, DONE, END, STOP, USAGE, chunk, event, read

EARLY = event(chunk("", finish_reason="stop"))
STAMPED = [event(chunk(letter, finish_reason="stop")) for letter in "abc"]


@pytest.mark.parametrize(
    "end", [DONE, b"", event({"choices": [], "usage": USAGE}) + DONE], ids=["done", "close", "usage"]
)
@pytest.mark.parametrize("pieces", [[EARLY, AB, AB], STAMPED, [EARLY, *STAMPED]], ids=["first", "each", "both"])
async def test_a_finish_reason_before_the_end_cuts_nothing(say, monkeypatch, pieces, end):
    from meshd.formats.stream import event_reader

    monkeypatch.setattr(event_reader, "LAST_WORDS", 0.02)
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


async def test_an_early_finish_reason_and_then_nothing_is_not_an_answer(say):
    _, failure, _ = await read(await say(EARLY, stay=True), first_token_timeout=0.2)
    assert failure is not None
    assert failure.kind is FailureKind.TIMEOUT


@pytest.mark.parametrize("end", [DONE, b""], ids=["done", "close"])
@pytest.mark.parametrize("lost", ['{"choices":[{"delta":{"content":"a', "Something has come up"])
async def test_an_early_finish_reason_and_then_a_lost_chunk_is_not_an_empty_answer(say, lost, end):
    text, failure, _ = await read(await say(EARLY, b"data: " + lost.encode() + b"\n\n", end))
    assert text == ""
    assert failure is not None
    assert failure.kind is FailureKind.BAD_ANSWER


async def test_a_lost_chunk_before_a_finish_reason_is_not_an_empty_answer(say):
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
