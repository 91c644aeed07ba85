"""What is broken is never taken for complete, and what is complete never for broken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshd.sdk import FailureKind, ProviderFailure
from tests.support.answers.saying import AB, DONE, END, STOP, USAGE, call, chunk, event, read

TORN = json.dumps(chunk("torn")).encode()

# -- chunks that cannot be read -----------------------------------------------------------------------

UNREADABLE = [b'{"choices":[{"delta":{"content":"x', b"{'choices': python}", b'{"choices":[{"delta":{"content":"x"}}]',
              b"[{]", b"<html><body>502</body></html>", b'"half', TORN[1:], TORN.replace(b'"', b"'"), b"{undefined}",
              TORN[: len(TORN) // 2] + TORN, b'[{"content":"x"}]', b"}"]  # fmt: skip


@pytest.mark.parametrize("unreadable", UNREADABLE, ids=str)
@pytest.mark.parametrize("end", [END, DONE, b"", AB + END], ids=["finish", "done", "close", "more"])
async def test_one_chunk_that_cannot_be_read_breaks_the_stream(say, unreadable, end):
    for before in (AB, b""):
        text, failure, _ = await read(await say(before + event(unreadable) + end))
        assert text == ("ab" if before else "")
        assert failure is not None
        assert failure.kind is (FailureKind.STREAM_CUT if before else FailureKind.BAD_ANSWER)


async def test_what_was_generated_for_it_is_counted_and_not_shown(say):
    _, _, events = await read(await say(AB + event(TORN[:-9]) + END))
    assert [(each.content, each.hidden, each.text) for each in events[2:]] == [(True, True, "")]
    assert len(events[2].extra) == len(TORN) - 9


@pytest.mark.parametrize("end", [DONE, b""], ids=["done", "close"])
async def test_after_the_finish_reason_nothing_is_lost_with_it(say, end):
    usage = event({"choices": [], "usage": USAGE})
    for torn in (usage[:-20] + b"\n\n", usage[:-20]):
        assert (await read(await say(AB + event({"choices": [STOP]}) + torn + end)))[:2] == ("ab", None)


async def test_unless_text_comes_after_it(say):
    """The finish reason came too soon, then: what was lost may have been text."""
    early = event({"choices": [STOP]})
    text, failure, _ = await read(await say(AB + early + event(b'{"choices":') + AB + END))
    assert text == "abab"
    assert failure is not None


NOISE = [b"{ping}", b"{'type': 'ping'}", b"<!-- keep-alive -->", b"[heartbeat", b'"ping', b"{heartbeat: true}",
         b"{type: ping, timestamp: 1700000000}"]  # fmt: skip


@pytest.mark.parametrize("noise", NOISE, ids=str)
async def test_what_is_certainly_no_chunk_breaks_nothing(say, noise):
    assert (await read(await say(event(noise) + AB + event(noise) + AB + event(noise) + END)))[:2] == ("abab", None)
    assert (await read(await say(event(noise) + event(noise) + DONE)))[1] is not None


@pytest.mark.parametrize("line", ['x-meta: {"a": 1}', 'usage: {"total": 3}', "note: <b>", 'a: "b'])
async def test_a_field_that_the_standard_does_not_know_is_nothing(say, line):
    body = f"{line}\n".encode()
    assert (await read(await say(body + AB + body + body + AB + body + END)))[:2] == ("abab", None)


async def test_a_chunk_behind_a_mangled_field_is_a_chunk_that_cannot_be_read(say):
    _, failure, _ = await read(await say(AB + event(chunk("c")).replace(b"data", b"dta") + AB + END))
    assert failure is not None


# -- answers that say that they were cut off ----------------------------------------------------------

BROKEN_OFF = ["OTHER", "unexpected_tool_call", "UNEXPECTED_TOOL_CALL", "function_call_filter: UNEXPECTED_TOOL_CALL",
              "FinishReason.TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE", "missing_thought_signature", "LANGUAGE",
              "error", "network_error", "function_call_filter: MALFORMED_FUNCTION_CALL"]  # fmt: skip
ENDED = ["stop", "STOP", "length", "MAX_TOKENS", "content_filter", "content_filter: OTHER", "SAFETY", "other",
         "tool_calls", "eos", "end_turn", "RECITATION"]  # fmt: skip


def whole(content: Any, finish: Any, **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    return json.dumps({"choices": [choice], "usage": USAGE, **more}).encode()


async def is_failed(say: Any, body: bytes, stream: bytes) -> set[bool]:
    """Of an answer, in one piece and as a stream."""
    _, failure, _ = await read(await say(stream))
    provider = await say(body, kind="application/json")
    try:
        await provider.execute(call(stream=False))
    except ProviderFailure:
        return {failure is not None, True}
    return {failure is not None, False}


@pytest.mark.parametrize("reason", BROKEN_OFF)
@pytest.mark.parametrize("text", ["", "some text"])
async def test_a_finish_reason_of_a_model_that_did_not_finish(say, reason, text):
    stream = event(chunk(text)) + event({"choices": [STOP | {"finish_reason": reason}]}) + DONE
    assert await is_failed(say, whole(text, reason), stream) == {True}


@pytest.mark.parametrize("reason", ENDED)
async def test_a_finish_reason_of_one_that_did(say, reason):
    stream = AB + event({"choices": [STOP | {"finish_reason": reason}]}) + DONE
    assert await is_failed(say, whole("ab", reason), stream) == {False}


ERRORS: list[dict[str, Any]] = [
    {"status": "error"}, {"status": "failed"}, {"type": "error"}, {"x_groq": {"error": "boom"}}, {"error": "boom"},
    {"x_groq": {"id": "r", "error": {"message": "boom"}}}, {"base_resp": {"status_code": 9}},
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=str)
@pytest.mark.parametrize("text", [None, "", "the engine broke"])
async def test_text_beside_an_error_is_not_an_answer(say, error, text):
    for before in (AB, b""):
        got, failure, _ = await read(await say(before + event(chunk(text) | error) + END))
        assert got == ("ab" if before else "")
        assert failure is not None
        if text and list(error) in (["status"], ["type"]):
            assert failure.message == text
        if "boom" in str(error):
            assert failure.message == "boom"
    with pytest.raises(ProviderFailure):
        await (await say(whole(text, "stop", **error), kind="application/json")).execute(call(stream=False))


FINE: list[dict[str, Any]] = [
    {"status": "completed"}, {"status": "in_progress"}, {"type": "message"}, {"status": 200}, {"x_groq": {"id": "r"}},
    {"x_groq": {"error": None}}, {"x_groq": {"error": ""}}, {"x_groq": "r"}, {"status": None, "type": None},
]  # fmt: skip


@pytest.mark.parametrize("beside", FINE, ids=str)
async def test_what_says_that_all_is_well_is_not_an_error(say, beside):
    stream = event(chunk("a") | beside) + event(chunk("b") | beside) + event({"choices": [STOP], **beside}) + DONE
    assert (await read(await say(stream)))[:2] == ("ab", None)
    raw = whole("ab", "stop", **beside)
    assert (await (await say(raw, kind="application/json")).execute(call(stream=False))).body == raw
