"""What is left of an app's limits, in the words of each API."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.formats.headers import rate_limits
from meshd.formats.limit_headers import as_anthropic, as_openai
from meshd.sdk.provider import RateLimits

NOW = 1_795_852_800.0  # 2026-11-28 08:00 UTC


def test_each_api_has_names_of_its_own() -> None:
    limits = RateLimits(60, 12, 360.0, 1000, 0, 0.25)
    assert dict(as_openai(limits)) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "12",
        "x-ratelimit-reset-requests": "6m0s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "250ms",
    }
    assert dict(as_anthropic(RateLimits(60, 12, 60.0), NOW)) == {
        "anthropic-ratelimit-requests-limit": "60",
        "anthropic-ratelimit-requests-remaining": "12",
        "anthropic-ratelimit-requests-reset": "2026-11-28T08:01:00Z",
    }
    assert as_openai(None) == as_anthropic(None, NOW) == []


seconds = some.floats(0, 86_400)


@given(some.integers(1, 10**6), seconds, some.integers(1, 10**9), seconds)
def test_what_is_written_reads_as_the_same(requests: int, soon: float, tokens: int, late: float) -> None:
    limits = RateLimits(requests, requests // 2, soon, tokens, 1, late)
    for written in (as_openai(limits), as_anthropic(limits, NOW)):
        read = rate_limits([(name.encode(), value.encode()) for name, value in written], NOW)
        assert read is not None
        assert (read.limit_requests, read.remaining_requests) == (requests, requests // 2)
        assert (read.limit_tokens, read.remaining_tokens) == (tokens, 1)
        assert read.reset_requests == pytest.approx(soon, abs=1.01)
        assert read.reset_tokens == pytest.approx(late, abs=1.01)
