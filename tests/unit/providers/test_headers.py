"""Headroom and waiting times out of the spellings providers use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.cdk import RateLimits
from meshd.connectors.providers._headers import rate_limits, retry_after

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


def raw(**headers: str) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"content_type": "application/json"}, None),
        (
            {
                "x_ratelimit_limit_requests": "60",
                "x_ratelimit_remaining_requests": "59",
                "x_ratelimit_reset_requests": "1s",
                "x_ratelimit_limit_tokens": "150000",
                "x_ratelimit_remaining_tokens": "149984",
                "x_ratelimit_reset_tokens": "6m0s",
                "x_ratelimit_limit_tokens_usage_based": "1",
            },
            RateLimits(60, 59, 1.0, 150000, 149984, 360.0),
        ),
        ({"X_RateLimit_Reset_Requests": "12ms"}, RateLimits(reset_requests=0.012)),
        ({"x_ratelimit_reset_tokens": "1h2m3.5s"}, RateLimits(reset_tokens=3723.5)),
        # Azure: numbers of seconds, and -1 for what it does not know
        (
            {"x_ratelimit_remaining_tokens": "-1", "x_ratelimit_reset_tokens": "30"},
            RateLimits(reset_tokens=30.0),
        ),
        (
            {
                "anthropic_ratelimit_requests_limit": "50",
                "anthropic_ratelimit_requests_remaining": "49",
                "anthropic_ratelimit_requests_reset": "2027-01-15T08:01:00Z",
            },
            RateLimits(50, 49, 60.0),
        ),
        ({"ratelimit_limit": "100", "ratelimit_remaining": "0", "ratelimit_reset": "50"}, RateLimits(100, 0, 50.0)),
        ({"ratelimit": '"default";r=50;t=30', "ratelimit_policy": '"default";q=100;w=60'}, RateLimits(100, 50, 30.0)),
        ({"ratelimit": "limit=10, remaining=3, reset=7"}, RateLimits(10, 3, 7.0)),
        # OpenRouter: an epoch in milliseconds
        ({"x_ratelimit_limit": "20", "x_ratelimit_reset": "1800000060000"}, RateLimits(20, None, 60.0)),
        ({"x_ratelimit_limit_req_minute": "60", "x_ratelimit_remaining_tokens_minute": "9"}, RateLimits(60, None, None, None, 9)),  # noqa: E501
        ({"x_ratelimit_remaining_requests": "many"}, None),
    ],
)  # fmt: skip
def test_rate_limits(headers, expected):
    assert rate_limits(raw(**headers), NOW) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "1.5"}, 1.5),
        ({"retry_after": "-3"}, 0.0),
        ({"retry_after": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30.0),
        ({"retry_after": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "7", "retry_after_ms": "250"}, 0.25),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "1e300"}, None),
    ],
)
def test_retry_after(headers, expected):
    assert retry_after(raw(**headers), NOW) == expected


@given(st.sampled_from(["retry-after", "x-ratelimit-reset-requests", "ratelimit", "x-ratelimit-limit"]), st.binary())
def test_nothing_a_server_sends_raises(name, value):
    headers = [(name.encode(), value)]
    rate_limits(headers, NOW)
    retry_after(headers, NOW)
