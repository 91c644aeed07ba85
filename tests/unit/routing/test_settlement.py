"""What an attempt is settled with when its provider does not say: never nothing, where there was something."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace
from routing_builders import CHAT_NEEDS, failure, model

from meshd.cdk.provider import FailureKind, Operation, Usage
from meshd.routing.estimate import at_most
from meshd.routing.settlement import Received, answer_text, used

NEEDS = replace(CHAT_NEEDS, tokens=50, most=200, max_output=1000)
MODEL = model("p.m")
CUT = failure(FailureKind.STREAM_CUT)
NOTHING = Usage()


@pytest.mark.parametrize(
    "refused",
    [
        failure(FailureKind.CONNECTION, unsent=True),
        failure(FailureKind.AUTHENTICATION),
        failure(FailureKind.RATE_LIMIT),
        failure(FailureKind.INVALID_REQUEST),
        failure(FailureKind.SERVER),
    ],
    ids=lambda refused: str(refused.kind),
)
def test_what_was_refused_costs_nothing(refused: Any) -> None:
    assert used(refused, NEEDS, MODEL, Received()) == NOTHING


@pytest.mark.parametrize(
    "kind",
    [
        FailureKind.CONNECTION,
        FailureKind.TIMEOUT,
        FailureKind.BAD_ANSWER,
        FailureKind.STREAM_CUT,
        FailureKind.CANCELLED,
    ],
)
def test_what_was_sent_costs_its_input(kind: FailureKind) -> None:
    assert used(None, NEEDS, MODEL, Received()) == Usage(50, 0), "the app went away"
    assert used(failure(kind), NEEDS, MODEL, Received()) == Usage(50, 0)
    assert used(failure(kind), replace(NEEDS, tokens=0), MODEL, Received()) == Usage(1, 0), "never nothing"
    assert used(failure(kind), NEEDS, MODEL, Received(size=20)) == Usage(50, 10)


def test_an_error_after_content_does_not_take_it_back() -> None:
    assert used(failure(FailureKind.SERVER), NEEDS, MODEL, Received(size=20)) == Usage(50, 10)


def test_input_is_as_counted_with_its_images() -> None:
    needs = replace(NEEDS, counts={"v": 40}, images=1)
    assert used(CUT, needs, model("p.m", vocabulary="v", tokens_per_image=7), Received()) == Usage(47, 0)
    assert used(CUT, needs, MODEL, Received()) == Usage(50, 0), "by bytes, of which the images are a part"


def test_output_is_counted_else_half_its_bytes_and_a_token_an_event() -> None:
    assert used(None, NEEDS, MODEL, Received(size=400, events=10, tokens=90)) == Usage(50, 90)
    assert used(None, NEEDS, MODEL, Received(size=401, events=10)) == Usage(50, 201)
    assert used(None, NEEDS, MODEL, Received(size=10, events=70)) == Usage(50, 70)
    assert used(None, NEEDS, MODEL, Received(events=70, tokens=0)) == Usage(50, 70), "tool calls alone"
    assert used(None, NEEDS, MODEL, Received()) == Usage(50, 0)


def test_an_estimate_is_not_above_the_limit() -> None:
    assert used(None, NEEDS, MODEL, Received(size=9000)) == Usage(50, 1000)


def test_embeddings_have_no_output() -> None:
    assert used(None, replace(NEEDS, operation=Operation.EMBEDDINGS), MODEL, Received(size=9000)) == Usage(50, 0)


def test_received_is_of_a_text() -> None:
    assert Received.of("Hé", 2) == Received(3, 2, None)
    assert Received.of("\ud800", 0, 1) == Received(1, 0, 1)
    assert Received.of("") == Received()


def test_the_text_of_an_answer() -> None:
    call = {"function": {"name": "f", "arguments": "{}"}}
    message = {"content": "a", "reasoning_content": "b", "refusal": None, "tool_calls": [call]}
    chat = json.dumps({"choices": [{"message": message}, {"text": "c"}, {"message": "?"}, 5]}).encode()
    assert answer_text(chat) == "b".join(["a\n", '\n[{"function":{"name":"f","arguments":"{}"}}]\nc'])
    for other in (b"<html>", b"[]", b'{"error":1}', b"\xff"):
        assert answer_text(other) == other.decode(errors="replace")


@given(
    some.builds(Received, size=some.integers(0, 10**6), events=some.integers(0, 10**4)),
    some.sampled_from([kind for kind in FailureKind if kind is not FailureKind.SERVER]),
    some.integers(0, 10**6),
)
def test_content_is_never_free_and_never_above_the_reservation(came: Received, kind: FailureKind, tokens: int) -> None:
    needs = replace(NEEDS, tokens=tokens, most=max(tokens, 1))
    usage = used(None if kind is FailureKind.CANCELLED else failure(kind), needs, MODEL, came)
    most = at_most(needs, MODEL)
    assert usage.output_tokens <= most.tokens_out
    assert usage.input_tokens <= most.tokens_in
    if came.size or came.events:
        assert usage.input_tokens > 0
        assert usage.output_tokens > 0
