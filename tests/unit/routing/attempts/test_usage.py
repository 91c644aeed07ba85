"""What an attempt is settled with when its provider does not say: never nothing, where there was something."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from meshd.operations.embeddings import EMBEDDINGS
from meshd.routing.attempts.usage import Received, may_be_true, read, used
from meshd.routing.request.estimate import upper_bound
from meshd.sdk.provider import FailureKind, Usage
from tests.support.routing.routing_builders import CHAT_NEEDS, failure, model

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


CUT_KINDS = [FailureKind.CONNECTION, FailureKind.TIMEOUT, FailureKind.STREAM_CUT, FailureKind.CANCELLED]


@pytest.mark.parametrize("kind", [*CUT_KINDS, FailureKind.BAD_ANSWER])
def test_what_was_sent_costs_its_input(kind: FailureKind) -> None:
    needs = replace(NEEDS, stream=True)
    assert used(None, needs, MODEL, Received()) == Usage(50, 0), "the app disconnected"
    assert used(failure(kind), needs, MODEL, Received()) == Usage(50, 0)
    assert used(failure(kind), replace(needs, tokens=0), MODEL, Received()) == Usage(1, 0), "never nothing"
    assert used(failure(kind), needs, MODEL, Received(size=20)) == Usage(50, 10)


@pytest.mark.parametrize("kind", CUT_KINDS)
def test_an_answer_in_one_piece_that_was_cut_costs_what_was_reserved(kind: FailureKind) -> None:
    """Its provider may have made all of it."""
    assert used(failure(kind), NEEDS, MODEL, Received()) == Usage(50, 1000)
    assert used(None, NEEDS, MODEL, Received(), ended=False) == Usage(50, 1000), "the app disconnected"
    assert used(failure(FailureKind.BAD_ANSWER), NEEDS, MODEL, Received()) == Usage(50, 0), "it is whole, and no answer"


def test_hidden_reasoning_costs_what_was_reserved() -> None:
    thinker, needs = model("p.m", thinks_unheard=True), replace(NEEDS, stream=True)
    assert used(CUT, needs, thinker, Received(size=20)) == Usage(50, 1000)
    assert used(None, needs, thinker, Received(), ended=False) == Usage(50, 1000), "the app disconnected"
    assert used(CUT, needs, thinker, Received(size=20, thought=True)) == Usage(50, 10), "it was heard"
    assert used(None, needs, thinker, Received(size=20)) == Usage(50, 10), "it came to its end"


# -- what a provider reports --------------------------------------------------------------------------

TEXT = Received(size=4000)
LIMITED = model("p.m", context_window=8000, max_output_tokens=2000)
PROMPT = replace(CHAT_NEEDS, tokens=1000, most=4200, max_output=1500)


@pytest.mark.parametrize(
    ("reported", "settled"),
    [
        (Usage(900, 800), Usage(900, 800)),
        (Usage(300, 300), Usage(300, 300)),
        (Usage(7000, 1800, 7000), Usage(7000, 1800, 7000)),  # beyond the reservation, and within the model's limits
        (Usage(0, 0), Usage(1000, 1500)),
        (Usage(-1, -5, -3), Usage(1000, 1500)),
        (Usage(-(2**63), 800), Usage(1000, 800)),
        (Usage(900, 1), Usage(900, 1500)),
        (Usage(2**64 - 1, 2**64 - 1, 2**64 - 1), Usage(4200, 1500)),
        (Usage(10**300, 800), Usage(4200, 800)),
        (Usage(900, 800, 901), Usage(900, 800)),
        (Usage(900, 800, -1), Usage(900, 800)),
        (Usage(5, 800, 4), Usage(1000, 800, 4)),
    ],
)
def test_a_report_counts_within_bounds(reported: Usage, settled: Usage) -> None:
    usage, replaced = read(reported, PROMPT, LIMITED, TEXT)
    assert usage == settled
    assert bool(replaced) == (reported != settled)
    assert may_be_true(reported, PROMPT, LIMITED, TEXT.size) == (reported == settled)


def test_what_embeddings_report_of_an_answer_counts_for_nothing() -> None:
    needs = replace(PROMPT, operation=EMBEDDINGS)
    assert read(Usage(900, 0), needs, LIMITED, Received(size=10**6)) == (Usage(900, 0), "")
    assert read(Usage(900, 50), needs, LIMITED, Received()).usage == Usage(900, 0)


def test_a_limit_that_is_not_set_cannot_be_exceeded() -> None:
    unlimited = replace(PROMPT, max_output=None)
    assert read(Usage(900, 50_000), unlimited, MODEL, TEXT).usage.output_tokens == 50_000
    assert read(Usage(900, 50_000), PROMPT, MODEL, TEXT).usage.output_tokens == 1500


ANY_COUNT = some.integers(-(2**70), 2**70) | some.integers(-10, 20_000)


@given(ANY_COUNT, ANY_COUNT, ANY_COUNT, some.integers(0, 50_000), some.booleans(), some.integers(1, 20))
def test_whatever_is_reported_stays_within_bounds(a: int, b: int, c: int, size: int, known: bool, n: int) -> None:
    spec, needs = LIMITED if known else MODEL, replace(PROMPT, choices=n)
    most, received = upper_bound(needs, spec), Received(size)
    usage, replaced = read(Usage(a, b, c), needs, spec, received)
    assert 250 <= usage.input_tokens <= max(most.tokens_in, spec.context_window or 131_072)
    ceiling = max(most.tokens_out, (spec.max_output_tokens or 0) * n, size)
    assert (size > 0) <= usage.output_tokens <= ceiling
    assert usage.output_tokens >= min(size // 8, most.tokens_out) // 4
    assert 0 <= usage.cached_tokens <= usage.input_tokens
    assert bool(replaced) == (usage != Usage(a, b, c))
    assert read(usage, needs, spec, received).usage == usage, "what was settled may be true"


def test_an_error_after_content_does_not_take_it_back() -> None:
    assert used(failure(FailureKind.SERVER), NEEDS, MODEL, Received(size=20)) == Usage(50, 10)


def test_input_is_as_counted_with_its_images() -> None:
    needs = replace(NEEDS, counts={"v": 40}, images=1)
    needs = replace(needs, stream=True)
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
    assert used(None, replace(NEEDS, operation=EMBEDDINGS), MODEL, Received(size=9000)) == Usage(50, 0)


def test_received_is_of_a_text() -> None:
    assert Received.of("Hé", 2) == Received(3, 2, None)
    assert Received.of("\ud800", 0, 1) == Received(1, 0, 1)
    assert Received.of("") == Received()


@pytest.mark.interpreted
@given(
    some.builds(Received, size=some.integers(0, 10**6), events=some.integers(0, 10**4)),
    some.sampled_from([kind for kind in FailureKind if kind is not FailureKind.SERVER]),
    some.integers(0, 10**6),
)
def test_content_is_never_free_and_never_above_the_reservation(came: Received, kind: FailureKind, tokens: int) -> None:
    needs = replace(NEEDS, tokens=tokens, most=max(tokens, 1))
    usage = used(None if kind is FailureKind.CANCELLED else failure(kind), needs, MODEL, came)
    most = upper_bound(needs, MODEL)
    assert usage.output_tokens <= most.tokens_out
    assert usage.input_tokens <= most.tokens_in
    if came.size or came.events:
        assert usage.input_tokens > 0
        assert usage.output_tokens > 0
