"""What is said of a cause, to operators and to everybody else."""

from __future__ import annotations

import pytest

from meshd.core.events.cause import Cause, UsedLimit, Why
from meshd.routing.words import without_words, words
from meshd.sdk.provider import FailureKind


@pytest.mark.parametrize("cause", Cause)
def test_a_reason_without_the_providers_words(cause: Cause) -> None:
    why = Why(cause, said="the prompt of ann", count=3, of=4, provider="p", behind=Why(Cause.FAILURES, said="of ann"))
    assert ("of ann" in without_words(why)) == (cause is Cause.OPERATOR)  # an operator's words are for everybody
    assert without_words(why)


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_words_even_without_details(cause: Cause) -> None:
    assert len(words(Why(cause))) > 5
    assert "None" not in words(Why(cause))


@pytest.mark.parametrize(
    ("why", "text"),
    [
        (Why(Cause.FAILURES, said="busy", count=3), "3 failures in a row, the last: busy"),
        (
            Why(Cause.FAILURE_RATE, said="busy", count=3, of=6, within=60.0),
            "3 of its last 6 requests failed within 60 s, the last: busy",
        ),
        (Why(Cause.KEY_REFUSED, said="HTTP 401"), "its key is refused: HTTP 401"),
        (Why(Cause.MODELS_FAILING, said="HTTP 500", count=2), "2 of its models fail: HTTP 500"),
        (Why(Cause.QUOTA_USED_UP, said="no credit"), "no credit"),
        (Why(Cause.QUOTA_USED_UP, said="no credit", count=2), "its quota is used up: no credit"),
        (
            Why(Cause.LIMIT_USED_UP, limit=UsedLimit(1, "requests", "stint")),
            "it has used up 1 request since it came back",
        ),
        (
            Why(Cause.LIMIT_TOO_LOW, limit=UsedLimit(2_500_000_000, "cost", "day")),
            "too little is left of its 2.5 USD of the day",
        ),
        (
            Why(Cause.HELD, provider="p", behind=Why(Cause.UNREACHABLE, said="refused")),
            "provider p failed, and an operator has to bring it back: it cannot be reached: refused",
        ),
        (Why(Cause.OPERATOR, said="too dear"), "by hand: too dear"),
        (Why(Cause.OPERATOR), "by hand"),
        (Why(Cause.FAILURES, FailureKind.SERVER, text="as it was written"), "as it was written"),
    ],
)
def test_with_its_details(why: Why, text: str) -> None:
    assert words(why) == text
