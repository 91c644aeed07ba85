"""Nothing that looks like a key, or is known to be one, gets through."""

from __future__ import annotations

import pytest

from meshd.sdk.http.credentials import MASK
from meshd.telemetry.text.redaction import Redactor

KEY = "sk-proj-abcdefghijklmnopqrstuvwx_0123456789"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"Incorrect API key provided: {KEY}.", KEY),
        (f"Authorization: Bearer {KEY}", KEY),
        ("authorization: bearer abc.def-ghi", "abc.def-ghi"),
        ('{"api_key": "plainvalue123"}', "plainvalue123"),
        ("https://x/y?api_key=plainvalue123&a=1", "plainvalue123"),
        ("https://user:hunter22@host/", "hunter22"),
        ("key AIzaSyA-1234567890abcdefghijklmnopqrstu", "AIzaSyA"),
        ("gsk_abcdefghijklmnop1234", "gsk_abc"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7"),
        ("eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.abcdef", "eyJhbGci"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, hidden: str) -> None:
    clean = Redactor().text(text)
    assert hidden not in clean
    assert MASK in clean


@pytest.mark.parametrize(
    "text",
    [
        "the task-based pool chose openai/gpt-4o-mini-2024-07-18",
        "a disk-full error",
        "tokens_in=500 tokens_out=20",
        "providers.x.api_key: secret OPENAI_API_KEY is missing",
        "api_key: ${secrets:OPENAI_API_KEY}",
        "Missing bearer or basic authentication in header",
        "a bearer token is required; Basic credentials are refused",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert Redactor().text(text) == text


def test_known_values_go_wherever_they_are() -> None:
    redactor = Redactor(["correct horse", "abc"])
    assert redactor.value({"a": ["x correct horse y"], "n": 1}) == {"a": [f"x {MASK} y"], "n": 1}
    assert redactor.text("abc") == "abc"
    assert redactor.value({"api_key": "short", "tokens": 5}) == {"api_key": MASK, "tokens": 5}


def test_a_secret_that_was_replaced_is_still_known() -> None:
    redactor = Redactor(["the-first-one"])
    redactor.learn(["the-second-one"])
    assert redactor.text("the-first-one, the-second-one") == f"{MASK}, {MASK}"
