"""One stream to the app, however many models it takes: the seam is not to be seen."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from meshd.core.needs import RequestNeeds
from meshd.formats.openai import wire
from meshd.gateway.requests.streams.delivery import Delivery
from meshd.operations.chat import CHAT
from meshd.operations.completion import COMPLETION
from meshd.routing.table.policies import StreamPolicy
from meshd.sdk.provider import StreamEvent, Usage
from tests.support.gateway.kept_chunks import KeptChunks

CONTINUE = StreamPolicy()
STORY = "Once upon a time there was a daemon that lived in a socket, and nobody who asked it went away unanswered."


class Sink(KeptChunks):
    """The app's end of an exchange."""

    @property
    def read(self) -> list[dict[str, Any]]:
        return [json.loads(each) for each in self.chunks]

    @property
    def text(self) -> str:
        return "".join(choice["delta"].get("content") or "" for chunk in self.read for choice in chunk["choices"])


def event(text: str, id: str = "first", finish: str | None = None, **delta: Any) -> StreamEvent:
    said = {"content": text, **delta} if text else delta
    data = {
        "id": id,
        "object": "chat.completion.chunk",
        "created": 1 if id == "first" else 2,
        "model": f"model-of-{id}",
        "choices": [{"index": 0, "delta": said, "finish_reason": finish}],
    }
    return wire.read_event(json.dumps(data).encode(), hide_usage=False)[0]


def usage_event(id: str, prompt: int, output: int) -> StreamEvent:
    usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    data = json.dumps({"id": id, "choices": [], "usage": usage}).encode()
    return StreamEvent(data, usage=Usage(prompt, output))


def delivery(**needs: Any) -> tuple[Delivery, Sink]:
    sink = Sink()
    return Delivery(sink, CHAT, RequestNeeds(CHAT, stream=True, **needs)), sink


def tell(made: Delivery, *events: StreamEvent) -> None:
    async def all_of_them() -> None:
        for each in events:
            await made.send(each)
        await made.finish()

    asyncio.run(all_of_them())


def pieces(text: str, sizes: list[int]) -> list[str]:
    """Cut into pieces of these sizes, the last taking the rest."""
    cut, at = [], 0
    for size in sizes:
        cut.append(text[at : at + size])
        at += size
    return [piece for piece in [*cut, text[at:]] if piece]


SIZES = some.lists(some.integers(1, 30), max_size=20)


@settings(deadline=None)  # it is not a benchmark
@given(cut=some.integers(1, len(STORY) - 1), first=SIZES, second=SIZES)
def test_an_exact_continuation_is_passed_on(cut: int, first: list[int], second: list[int]) -> None:
    made, sink = delivery()
    tell(made, *(event(piece) for piece in pieces(STORY[:cut], first)))
    made.go_on()
    tell(made, *(event(piece, "second") for piece in pieces(STORY[cut:], second)), event("", "second", "stop"))
    assert sink.text == STORY == made.text


@settings(deadline=None)  # it is not a benchmark
@given(cut=some.integers(20, len(STORY) - 1), overlap=some.integers(8, 20), first=SIZES, second=SIZES)
def test_a_repeated_end_is_delivered_once(cut: int, overlap: int, first: list[int], second: list[int]) -> None:
    made, sink = delivery()
    tell(made, *(event(piece) for piece in pieces(STORY[:cut], first)))
    made.go_on()
    rest = pieces(STORY[cut - overlap :], second)
    tell(made, *(event(piece, "second") for piece in rest), event("", "second", "stop"))
    assert sink.text == STORY


@settings(deadline=None)  # it is not a benchmark
@given(cut=some.integers(1, len(STORY)), first=SIZES, second=SIZES, finish=some.sampled_from(["stop", None]))
def test_a_model_that_starts_over_is_passed_on_from_the_cut(
    cut: int, first: list[int], second: list[int], finish: str | None
) -> None:
    made, sink = delivery()
    tell(made, *(event(piece) for piece in pieces(STORY[:cut], first)))
    made.go_on()
    tell(made, *(event(piece, "second") for piece in pieces(STORY, second)), event("", "second", finish))
    assert sink.text == STORY


def test_what_only_begins_like_a_repetition_is_all_passed_on() -> None:
    made, sink = delivery()
    tell(made, event("a b c d e f"))
    made.go_on()
    tell(made, event(" d e", "second"), event(" g", "second", "stop"))
    assert sink.text == "a b c d e f d e g"


def test_the_stream_keeps_its_identity_and_ends_once() -> None:
    made, sink = delivery()
    tell(made, event("", role="assistant"), event("Hello, "))
    made.go_on()
    tell(made, event("", "second", role="assistant"), event("world", "second"), event("", "second", "stop"))
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in sink.read} == {("first", 1, "model-of-first")}
    assert [chunk["choices"][0]["finish_reason"] for chunk in sink.read].count("stop") == 1
    assert sum("role" in chunk["choices"][0]["delta"] for chunk in sink.read) == 1
    assert (made.continued, made.pieces) == (1, 2)


def test_all_that_was_counted_is_in_the_one_report() -> None:
    made, _ = delivery()
    made.add_usage(Usage(10, 2, 4, 3, (("searches", 1),), 1))
    made.continued = 1
    made.add_usage(Usage(20, 5, 0, None, (("searches", 2), ("pages", 1)), 2))
    assert made.total(Usage(30, 7, 9)) == Usage(10, 14, 4, 3, (("searches", 3), ("pages", 1)), 3)


def test_the_app_gets_one_usage_report() -> None:
    made, sink = delivery()
    tell(made, event("Hello, "))
    made.add_usage(Usage(10, 2, 4))
    made.go_on()
    tell(made, event("world", "second", "stop"), usage_event("second", 14, 1))
    assert sink.read[-1]["usage"]["prompt_tokens"] == 10
    assert sink.read[-1]["usage"]["completion_tokens"] == 3
    assert made.total(Usage(14, 1)) == Usage(10, 3, 4)


def test_thinking_again_is_not_shown_again() -> None:
    made, sink = delivery()
    tell(made, event("Hello, "))
    made.go_on()
    tell(made, event("", "second", reasoning_content="hm"), event("world", "second", "stop"))
    assert all("reasoning_content" not in chunk["choices"][0]["delta"] for chunk in sink.read)
    assert sink.text == "Hello, world"


def test_a_stream_that_breaks_again_is_taken_up_again() -> None:
    made, sink = delivery()
    for number, piece in enumerate(pieces(STORY, [10, 20, 30])):
        if number:
            made.go_on()
        tell(made, event(piece, "first" if not number else str(number)))
    assert sink.text == STORY
    assert made.continued == 3


def test_completions_have_text_in_place_of_a_delta() -> None:
    sink = Sink()
    made = Delivery(sink, COMPLETION, RequestNeeds(COMPLETION, stream=True))

    def said(text: str, id: str) -> StreamEvent:
        data = {"id": id, "choices": [{"index": 0, "text": text, "finish_reason": None}]}
        return StreamEvent(json.dumps(data).encode(), True, text)

    tell(made, said("one two three ", "first"))
    made.go_on()
    tell(made, said("two three four", "second"), said(" and ", "second"), said("", "second"))
    made.go_on()
    tell(made, said("four", "third"))  # held until the end: it might have been a repetition
    assert "".join(chunk["choices"][0]["text"] for chunk in sink.read) == "one two three four and four"


@pytest.mark.parametrize(
    ("needs", "why"),
    [
        ({"choices": 2}, "several choices"),
        ({"structured": True}, "response format"),
        ({"json_mode": True}, "response format"),
        ({"logprobs": True}, "log probabilities"),
    ],
)
def test_what_no_model_can_continue(needs: dict[str, Any], why: str) -> None:
    made, _ = delivery(**needs)
    tell(made, event("Hello"))
    assert why in made.cannot_continue(CONTINUE)


def test_a_tool_call_under_way_is_more_than_text() -> None:
    made, _ = delivery()
    tell(made, event("Let me see. "))
    assert made.cannot_continue(CONTINUE) == ""
    assert "terminate" in made.cannot_continue(StreamPolicy(on_failure="terminate"))
    tell(made, event("", tool_calls=[{"index": 0, "function": {"name": "f"}}]))
    assert "more than text" in made.cannot_continue(CONTINUE)


def test_a_stream_with_only_reasoning_can_be_continued() -> None:
    made, sink = delivery()
    tell(made, event("", reasoning_content="let me see"))
    assert made.cannot_continue(CONTINUE) == ""
    made.go_on()
    tell(made, event("", "second", reasoning_content="hm"), event("Hello", "second"), event("", "second", "stop"))
    assert sink.text == "Hello"
    assert {chunk["id"] for chunk in sink.read} == {"first"}


def test_a_continuing_model_may_call_a_tool_after_which_no_other_can_continue() -> None:
    call = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]
    made, sink = delivery()
    tell(made, event("Let me look that up. "))
    made.go_on()
    tell(made, event("Let me look", "second"), event("", "second", tool_calls=call))
    assert "more than text" in made.cannot_continue(CONTINUE)
    tell(made, event("", "second", "tool_calls"))
    assert [chunk["choices"][0]["delta"].get("tool_calls") for chunk in sink.read] == [None, call, None]
    assert sink.text == "Let me look that up. ", "what it repeated of the text was not heard again"


def test_the_stream_is_called_by_the_chunk_with_an_id() -> None:
    preface = StreamEvent(json.dumps({"id": "", "choices": [], "prompt_filter_results": []}).encode())
    made, sink = delivery()
    tell(made, preface, event("Hello, "))
    made.go_on()
    tell(made, preface, event("world", "second"), event("", "second", "stop"))
    assert [chunk["id"] for chunk in sink.read] == ["", "first", "first", "first"]


@pytest.mark.parametrize("repeated", [4, 20, len(STORY) - 1])
def test_a_repetition_that_an_output_limit_ended_is_not_text(repeated: int) -> None:
    made, sink = delivery()
    tell(made, event(STORY))
    made.go_on()
    tell(made, event(STORY[:repeated], "second"), event("", "second", "length"))
    assert sink.text == STORY
    assert sink.read[-1]["choices"][0]["finish_reason"] == "length"


def test_what_an_attempt_added_is_known_apart() -> None:
    made, _ = delivery()
    tell(made, event("one "))
    assert made.text_since == "one "
    made.go_on()
    tell(made, event("two ", "second"))
    assert (made.text_since, made.text) == ("two ", "one two ")


def test_what_the_end_releases_was_said_too() -> None:
    made, sink = delivery()
    tell(made, event("one two three "))
    made.go_on()
    tell(made, event("two", "second"), event("", "second", "stop"))
    assert made.text == sink.text == "one two three two"
    assert made.pieces == 2
