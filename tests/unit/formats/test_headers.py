"""Headroom and waiting times out of the spellings providers use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.headers import rate_limits, retry_after
from meshd.sdk import RateLimits

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
        # Cohere: of a trial key, by the minute
        (
            {
                "x_endpoint_monthly_call_limit": "1000",
                "x_trial_endpoint_call_limit": "20",
                "x_trial_endpoint_call_remaining": "19",
            },
            RateLimits(20, 19),
        ),
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
        # Azure, most of the time: what is left, and nothing of a limit or a reset
        (
            {"x_ratelimit_remaining_requests": "19", "x_ratelimit_remaining_tokens": "19913"},
            RateLimits(None, 19, None, None, 19913),
        ),
        # Anthropic: the tokens as a whole before their parts, of which else the tighter counts
        (
            {
                "anthropic_ratelimit_input_tokens_limit": "40000",
                "anthropic_ratelimit_input_tokens_remaining": "39000",
                "anthropic_ratelimit_tokens_limit": "48000",
                "anthropic_ratelimit_tokens_remaining": "47000",
                "anthropic_ratelimit_tokens_reset": "2027-01-15T08:00:07Z",
            },
            RateLimits(None, None, None, 48000, 47000, 7.0),
        ),
        (
            {
                "anthropic_ratelimit_input_tokens_limit": "40000",
                "anthropic_ratelimit_input_tokens_remaining": "39000",
                "anthropic_ratelimit_output_tokens_limit": "8000",
                "anthropic_ratelimit_output_tokens_remaining": "2000",
                "anthropic_ratelimit_output_tokens_reset": "2027-01-15T08:00:07",
            },
            RateLimits(None, None, None, 8000, 2000, 7.0),
        ),
        ({"anthropic_ratelimit_unified_status": "allowed", "anthropic_ratelimit_unified_reset": "1800000060"}, None),
        # Groq: requests by the day, tokens by the minute, and a part of them that is used up
        (
            {
                "x_ratelimit_limit_requests": "14400",
                "x_ratelimit_remaining_requests": "14370",
                "x_ratelimit_reset_requests": "2m59.56s",
                "x_ratelimit_remaining_tokens": "17997",
                "x_ratelimit_limit_output_tokens": "6000",
                "x_ratelimit_remaining_output_tokens": "0",
                "x_ratelimit_reset_output_tokens": "7.66s",
            },
            RateLimits(14400, 14370, 179.56, 6000, 0, 7.66),
        ),
        # Mistral: by size is by tokens; the month has something left; a plan without the model has a limit of 0
        (
            {
                "ratelimitbysize_limit": "500000",
                "ratelimitbysize_remaining": "499900",
                "ratelimitbysize_reset": "17",
                "ratelimitbysize_query_cost": "100",
                "x_ratelimitbysize_remaining_month": "999",
            },
            RateLimits(None, None, None, 500000, 499900, 17.0),
        ),
        ({"x_ratelimitbysize_limit_minute": "5", "x_ratelimitbysize_remaining_minute": "4"}, RateLimits(None, None, None, 5, 4)),  # noqa: E501
        ({"x_ratelimit_limit_req_minute": "0", "x_ratelimit_tokens_query_cost": "52"}, RateLimits(0, 0)),
        # Cerebras: a limit of the day counts when nothing of it is left
        (
            {
                "x_ratelimit_limit_requests_day": "1000",
                "x_ratelimit_remaining_requests_day": "999",
                "x_ratelimit_reset_requests_day": "33011.38",
                "x_ratelimit_limit_tokens_minute": "60000",
                "x_ratelimit_remaining_tokens_minute": "59000",
                "x_ratelimit_reset_tokens_minute": "11.38",
            },
            RateLimits(None, None, None, 60000, 59000, 11.38),
        ),
        (
            {
                "x_ratelimit_limit_requests_day": "1000",
                "x_ratelimit_remaining_requests_day": "0",
                "x_ratelimit_reset_requests_day": "33011.38",
                "x_ratelimit_remaining_requests_minute": "0",
                "x_ratelimit_reset_requests_minute": "11.38",
            },
            RateLimits(1000, 0, 33011.38),
        ),
        # Together
        ({"x_tokenlimit_limit": "90", "x_tokenlimit_remaining": "80", "x_tokenlimit_reset": "1"}, RateLimits(None, None, None, 90, 80, 1.0)),  # noqa: E501
        # The drafts: several policies, units, the older triple with its policies behind it
        (
            {
                "ratelimit_policy": '"burst";q=100;w=60, "daily";q=1000;w=86400;pk=:c2RmakxKVU9VSA==:',
                "ratelimit": '"burst";r=50;t=30, "daily" ; r=20; t=3600',
            },
            RateLimits(1000, 20, 3600.0),
        ),
        (
            {
                "ratelimit_policy": '"t";q=6000;w=60;qu="tokens", "b";q=10;qu="content-bytes"',
                "ratelimit": '"t";r=5000;t=9, "b";r=0;t=99',
            },
            RateLimits(None, None, None, 6000, 5000, 9.0),
        ),
        ({"ratelimit": "default;r=50"}, RateLimits(None, 50)),
        ({"ratelimit": '"default";r=1;t=999999999'}, RateLimits(None, 1, 32 * 86400.0)),
        ({"ratelimit": '"default";t=9'}, None),
        ({"ratelimit_policy": "default;q=100;w=60"}, RateLimits(100)),
        # Brave's, of a second and a month: nothing is left of the second, or something of both.
        ({"x_ratelimit_limit": "1, 15000", "x_ratelimit_remaining": "0, 14523", "x_ratelimit_reset": "1, 1419704"}, RateLimits(1, 0, 1.0)),  # noqa: E501
        ({"x_ratelimit_limit": "1, 15000", "x_ratelimit_remaining": "1, 0", "x_ratelimit_reset": "1, 1419704"}, RateLimits(15000, 0, 1419704.0)),  # noqa: E501
        ({"x_ratelimit_limit": "50, 15000", "x_ratelimit_remaining": "49, 7", "x_ratelimit_reset": "1, 9"}, None),
        ({"ratelimit_limit": "100, 100;w=60;burst=1000", "ratelimit_remaining": "7", "ratelimit_reset": "9"}, RateLimits(100, 7, 9.0)),  # noqa: E501
        # What is none of ours
        ({"ratelimitless": "1", "x_ratelimit_reset_after": "5", "x_ratelimit_minute": "5", "x_ratelimit_limit_audio": "1"}, None),  # noqa: E501
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
        ({"retry_after": "7", "x_ms_retry_after_ms": "1500"}, 1.5),
        ({"retry_after_ms": "soon", "retry_after": "7"}, 7.0),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "1e300"}, None),
    ],
)
def test_retry_after(headers, expected):
    assert retry_after(raw(**headers), NOW) == expected


def test_several_headers_of_one_name_are_one_list():
    headers = [(b"RateLimit", b'"a";r=9;t=1'), (b"RateLimit", b'"b";r=3;t=2')]
    assert rate_limits(headers, NOW) == RateLimits(None, 3, 2.0)


def test_a_value_that_almost_fits_takes_no_time():
    """Long enough to hang if the pattern went back and forth over it."""
    value = b'"a"' + b"  ;  a" * 300 + b'"'
    assert rate_limits([(b"ratelimit", value)], NOW) is None


HOURS, YEARS = 7200.0, 3 * 365 * 86400.0
AT = "Fri, 15 Jan 2027 08:00:00 GMT"


@pytest.mark.parametrize("off", [0.0, HOURS, -HOURS, YEARS, -YEARS])
@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry_after": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30.0),
        ({"retry_after": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0.0),
        ({"retry_after": "1800000045"}, 45.0),
        ({"retry_after": "1800000045000"}, 45.0),
        ({"retry_after": "12"}, 12.0),
        ({"retry_after": "Fri, 15 Jan 2038 08:00:00 GMT"}, None),  # no time that a provider means
    ],
)
def test_a_wrong_clock_of_ours_changes_no_wait(headers, wait, off):
    assert retry_after(raw(date=AT, **headers), NOW + off) == wait
    reset = {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": headers["retry_after"]}
    limits = rate_limits(raw(Date=AT, **reset), NOW + off)
    assert limits.reset_requests == wait


@pytest.mark.parametrize("off", [YEARS, -YEARS])
def test_without_a_date_a_clock_that_is_years_wrong_says_nothing(off):
    assert retry_after(raw(retry_after="Fri, 15 Jan 2027 08:00:30 GMT"), NOW + off) is None
    assert retry_after(raw(retry_after="7"), NOW + off) == 7.0


@pytest.mark.parametrize(
    "date", ["", "soon", "Thu, 01 Jan 1970 00:00:00 GMT", "x" * 5000, "Fri, 15 Jan 9999 08:00:00 GMT"]
)
def test_a_date_that_cannot_be_is_not_gone_by(date):
    assert retry_after(raw(date=date, retry_after="Fri, 15 Jan 2027 08:00:30 GMT"), NOW) == 30.0


NAMES = [
    "date",
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-reset-requests",
    "ratelimit",
    "ratelimit-policy",
    "ratelimitbysize-remaining",
    "x-ratelimit-limit",
    "x-tokenlimit-reset",
    "anthropic-ratelimit-input-tokens-reset",
]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary() | st.from_regex(rb"[ -~]{0,9};[rtq]=[0-9]+"))))
def test_nothing_a_server_sends_raises(named):
    headers = [(name.encode(), value) for name, value in named]
    limits = rate_limits(headers, NOW)
    for figure in (limits.remaining_requests, limits.reset_requests, limits.reset_tokens) if limits else ():
        assert figure is None or figure >= 0
    wait = retry_after(headers, NOW)
    assert wait is None or wait >= 0
