"""Timeouts, retries, headers and queries in every form that code for the OpenAI SDK gives them."""

from __future__ import annotations

import datetime
import math
from typing import Any

import httpx
import openai
import pytest

import modelmesh
from modelmesh.testing import mock_client
from tests.support.client.calls import says

TIMEOUTS: list[tuple[Any, float | None]] = [
    (5, 5),
    (0.5, 0.5),
    (None, None),
    (httpx.Timeout(7), 7),
    (httpx.Timeout(9, connect=1), 9),
    (httpx.Timeout(None, connect=1), None),
    (httpx.Timeout(connect=1, read=3, write=2, pool=2), 3),
    (openai.Timeout(8.0), 8),
    ((1, 4), 4),
    ((1, None), None),
    (datetime.timedelta(minutes=1), 60),
    (math.inf, math.inf),
]


@pytest.mark.parametrize(("given", "meant"), TIMEOUTS)
def test_a_timeout(given: Any, meant: float | None) -> None:
    assert modelmesh.OpenAIClient("/nowhere/x", timeout=given).timeout == meant
    client = mock_client()
    assert client.with_options(timeout=given).timeout == meant
    if meant is not math.inf:
        client.chat.completions.create(model="m", messages=says("x"), timeout=given)
        client.with_options(timeout=given).chat.completions.create(model="m", messages=says("x"))
        for call in client.calls:
            assert call.timeout == (None if meant is None else pytest.approx(meant, abs=1))


@pytest.mark.parametrize(
    "absent",
    [openai.NOT_GIVEN, openai.omit, modelmesh.NOT_GIVEN, openai.not_given],
    ids=["NOT_GIVEN", "omit", "ours", "not_given"],
)
def test_settings_that_are_not_given_are_the_defaults(absent: Any) -> None:
    client = modelmesh.OpenAIClient(
        "/nowhere/x", timeout=absent, max_retries=absent, default_headers={"x-none": absent}, api_key=absent
    )
    assert (client.timeout, client.max_retries, client.default_headers) == (600.0, 2, {})
    other = modelmesh.OpenAIClient("/nowhere/x", timeout=3, max_retries=5).copy(timeout=absent, max_retries=absent)
    assert (other.timeout, other.max_retries) == (3, 5)


@pytest.mark.parametrize("wrong", ["5", b"5", object(), [5], {"read": 5}], ids=lambda value: type(value).__name__)
def test_what_is_not_a_timeout_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="timeout must be a number of seconds"):
        modelmesh.OpenAIClient("/nowhere/x", timeout=wrong)
    with pytest.raises(TypeError, match="timeout must be a number of seconds"):
        mock_client().chat.completions.create(model="m", messages=[], timeout=wrong)


@pytest.mark.parametrize("wrong", [None, "2", True, math.nan], ids=repr)
def test_what_is_not_a_number_of_retries_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="max_retries must be a number"):
        modelmesh.OpenAIClient("/nowhere/x", max_retries=wrong)
    with pytest.raises(TypeError, match="max_retries must be a number"):
        mock_client().with_options(max_retries=wrong)


def test_headers_are_added_replaced_and_taken_away() -> None:
    client = mock_client(default_headers={"X-App": "a", "x-gone": "b", "x-bytes": b"c"})
    client.chat.completions.create(
        model="m", messages=[], extra_headers={"x-app": "new", "X-Gone": openai.omit, "x-number": 7, "x-null": None}
    )
    headers = client.calls[0].headers
    assert {name: value for name, value in headers.items() if name.startswith("x-")} == {
        "x-app": "new",
        "x-bytes": "c",
        "x-number": "7",
    }
    other = client.with_options(default_headers={"x-more": "1"}, default_query={"a": 1})
    assert other.default_headers == {"x-app": "a", "x-gone": "b", "x-bytes": "c", "x-more": "1"}
    third = other.with_options(set_default_headers={"x-only": "1"}, set_default_query={"b": 2})
    assert (third.default_headers, third.default_query) == ({"x-only": "1"}, {"b": 2})
    assert other.default_query == {"a": 1}


def test_queries_and_bodies_leave_out_what_is_not_given() -> None:
    client = mock_client()
    client.chat.completions.create(
        model="m",
        messages=[],
        extra_query={"a": [1, 2], "b": openai.omit},
        extra_body={"top_k": 4, "c": openai.NOT_GIVEN, "seed": None},
        temperature=openai.omit,
    )
    assert client.calls[0].path.endswith("?a=1&a=2")
    assert client.calls[0].body == {"model": "m", "messages": [], "top_k": 4, "seed": None}
    client.models.list(extra_query={"limit": 2}, extra_body={"x": 1})
    assert (client.calls[1].path, client.calls[1].body) == ("/v1/models?limit=2", None)


def test_an_error_has_its_response_without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "openai")
    error = modelmesh.RateLimitError("slow", retry_after=2.5, request_id="r", body={"message": "slow"})
    with pytest.raises(modelmesh.RateLimitError) as caught:
        mock_client([error]).chat.completions.create(model="m", messages=[])
    response = caught.value.response
    assert (response.status_code, response.headers["Retry-After"], response.reason_phrase) == (
        429,
        "2.5",
        "Too Many Requests",
    )
    assert response.json() == {"error": {"message": "slow"}}
    assert not hasattr(modelmesh.DaemonUnavailableError("x"), "response")


@pytest.mark.parametrize("part", ["chat", "audio", "files", "batches", "mesh", "responses", "images"])
def test_other_settings_are_for_parts_that_were_used_before_too(part: str) -> None:
    client = mock_client()
    used = getattr(client, part)
    assert getattr(client.with_options(timeout=5), part) is not used
    assert getattr(client, part) is used
