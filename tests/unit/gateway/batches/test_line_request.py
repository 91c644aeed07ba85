"""Which errors make a batch wait, and which are a line's result."""

from __future__ import annotations

import pytest

from meshd.gateway.batches.line_request import MOST_TRIES, Ended, passes_in
from modelmesh.errors import (
    AllProvidersExhaustedError,
    BudgetExceededError,
    InvalidRequestError,
    MeshError,
    NoActiveModelError,
    NotFoundError,
    ProviderTimeoutError,
    QueueFullError,
    RateLimitError,
    RequestTimeoutError,
    RoutingError,
)


@pytest.mark.parametrize(
    ("error", "begun", "wait"),
    [
        (BudgetExceededError("used up", retry_after=30.0), False, 30.0),
        (BudgetExceededError("no price", code="unpriced"), False, None),
        (QueueFullError("full", retry_after=2.0), False, 2.0),
        (NoActiveModelError("all rest", retry_after=5.0), False, 5.0),
        (RoutingError("ends", code="draining", retryable=True), False, 1.0),
        (RateLimitError("slow down"), True, 1.0),
        (AllProvidersExhaustedError("all failed", retry_after=3.0), True, 3.0),
        (RequestTimeoutError("too late"), False, 1.0),
        (RequestTimeoutError("too late"), True, None),
        (ProviderTimeoutError("too late"), True, None),
        (RoutingError("cut off", code="request_interrupted", retryable=True), True, None),
        (InvalidRequestError("no"), True, None),
        (NotFoundError("no such model"), False, None),
    ],
)
def test_what_passes_with_time(error: MeshError, begun: bool, wait: float | None) -> None:
    assert passes_in(Ended(b"", error, begun), int(begun)) == wait


def test_an_answer_is_a_result_and_so_is_the_last_failure() -> None:
    assert passes_in(Ended(b"{}", None, True), 1) is None
    assert passes_in(Ended(b"", AllProvidersExhaustedError("failed"), True), MOST_TRIES) is None
