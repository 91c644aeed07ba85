"""No secret of a provider comes back in what it says of a failure, however it is spelled; answers stay as they are."""

from __future__ import annotations

import base64
import html
import json
import string
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshd.sdk.http.credentials import MASK, Credentials, secrets_of
from meshd.sdk.provider import FailureKind, ProviderFailure, ProviderSettings

KEY = "sk-Pr0j/abc+DEF=9876&x%y\\z\"q'w"


def twice(text: str) -> str:
    return json.dumps(json.dumps(text)[1:-1])[1:-1]


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "percent": lambda key: quote(key, safe=""),
    "percent, in lower case": lambda key: quote(key, safe="").lower(),
    "percent, twice": lambda key: quote(quote(key, safe=""), safe=""),
    "percent, every byte": lambda key: "".join(f"%{byte:02X}" for byte in key.encode()),
    "a form": quote_plus,
    "JSON": lambda key: json.dumps(key)[1:-1],
    "JSON, slashes escaped": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "JSON, twice": twice,
    "JSON, every sign": lambda key: "".join(f"\\u{ord(sign):04x}" for sign in key),
    "Python": lambda key: repr(key)[1:-1],
    "HTML": html.escape,
    "HTML, every sign": lambda key: "".join(f"&#{ord(sign)};" for sign in key),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 for URLs": lambda key: base64.urlsafe_b64encode(key.encode()).decode().rstrip("="),
    "base64 of a header": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    "base64 of a user": lambda key: base64.b64encode(f"me:{key}".encode()).decode(),
    "hex": lambda key: key.encode().hex(),
    "broken over lines": lambda key: f"{key[:12]}\r\n{key[12:]}",
    "with a sign that is not shown": lambda key: f"{key[:3]}\x00{key[3:]}",
    "cut": lambda key: key[:20],
    "its end": lambda key: key[-20:],
}


def parts(secret: str, of: Callable[[str], str]) -> set[str]:
    """Pieces by which the spelling could be used: none may be left."""
    spelled = of(secret)
    size = max(16, len(spelled) // 2)
    return {spelled[at : at + size] for at in range(len(spelled) - size + 1)} or {spelled}


SURROUNDINGS = {
    "words": "Incorrect API key provided: {}. You can find yours at https://example.com.",
    "a header": "Authorization: Bearer {}",
    "a query": "https://example.com/v1/models?a=1&key={}&b=2",
    "nothing": "{}",
}


@pytest.mark.parametrize("around", SURROUNDINGS.values(), ids=SURROUNDINGS)
@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_a_secret_is_found_in_every_spelling(spell, around):
    credentials = Credentials([KEY])
    said = around.replace("{}", spell(KEY))
    for body in (said.encode(), json.dumps({"error": {"message": said, "code": spell(KEY)}}).encode()):
        failure = credentials.clean(ProviderFailure(FailureKind.AUTHENTICATION, said, body=body))
        for told in (failure.message, str(failure), failure.body.decode()):
            assert MASK in told
            assert not [part for part in parts(KEY, spell) if part.lower() in told.lower()]
        if body.startswith(b"{"):
            json.loads(failure.body)


SECRETS = st.text(string.ascii_letters + string.digits + "-_./+=%&\\\"'<>:;~!$*()", min_size=8, max_size=120)


@example("000000\\/", "JSON", "", "")
@given(SECRETS, st.sampled_from(list(SPELLINGS)), st.text(max_size=30), st.text(max_size=30))
def test_any_secret_is_found_in_any_spelling(secret, spelling, before, after):
    spelled = SPELLINGS[spelling](secret)
    if spelling in ("cut", "its end") and len(secret) < 20:
        return
    said = f"{before} {spelled} {after}"
    shown = Credentials([secret, "another-secret-1"]).text(said)
    assert not [part for part in parts(secret, SPELLINGS[spelling]) if part in shown and part not in before + after]


@given(st.text(max_size=2000), st.binary(max_size=2000))
def test_nothing_raises_and_what_holds_no_secret_stays(text, body):
    credentials = Credentials(["sk-0123456789abcdefghijklmn"])
    failure = credentials.clean(ProviderFailure(FailureKind.SERVER, text, body=body))
    if MASK not in failure.message:
        assert failure.message == text


@pytest.mark.parametrize(
    "said",
    [
        "The model gpt-4o does not exist or you do not have access to it.",
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth",
        "Incorrect API key provided: sk-proj-****************cdef.",
        "http://127.0.0.1:8080/v1/chat/completions answered 500",
        "api-version 2024-06-01 is not supported",
        "ollama is not running",
    ],
)
def test_what_helps_a_person_stays(said):
    settings = ProviderSettings(
        "p",
        "c",
        base_url="http://127.0.0.1:8080/v1?api-version=2024-06-01",
        api_key="sk-proj-0123456789abcdefcdef",
        api_keys={"a": "ollama"},
        headers={"User-Agent": "completions/2", "X-Title": "does not exist", "OpenAI-Organization": "org-1"},
    )
    assert Credentials(secrets_of(settings)).text(said) == said


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": "SECRET-of-12345"},
        {"api_keys": {"f": "SECRET-of-12345"}},
        {"headers": {"x-api-key": "SECRET-of-12345"}},
        {"headers": {"Authorization": "Token SECRET-of-12345"}},
        {"headers": {"Cookie": "session=SECRET-of-12345"}},
        {"headers": {"x-tenant": "SECRET-of-12345-ab"}},
        {"base_url": "https://me:SECRET-of-12345@h/v1"},
        {"base_url": "https://SECRET-of-12345@h/v1"},
        {"base_url": "https://h/v1?sig=SECRET-of-12345"},
        {"base_url": "https://h/v1?code=SECRET%2Dof%2D12345"},
        {"options": {"client_secret": "SECRET-of-12345"}},
        {"secrets": ("SECRET-of-12345",)},
    ],
)
def test_every_place_of_a_secret_is_known(settings: dict[str, Any]):
    credentials = Credentials(secrets_of(ProviderSettings("p", "c", **settings)))
    assert "SECRET-of-12345" not in credentials.text("no: SECRET-of-12345 is bad")


def test_a_short_secret_hides_no_part_of_a_word():
    assert Credentials(["chat"]).text("chat failed at /chat/completions: chatty") == (
        f"{MASK} failed at /{MASK}/completions: chatty"
    )


def test_headers_that_repeat_a_secret_are_left_out():
    credentials = Credentials(["sk-secret-0123456789"])
    headers = {"x-request-id": "r", "x-echo": "Bearer SK-secret-0123456789", "x-other": "sk%2Dsecret-0123456789"}
    assert credentials.kept(headers) == {"x-request-id": "r"}
    assert Credentials().kept(headers) == headers


def test_long_bodies_are_bounded_and_clean():
    key = "sk-secret-0123456789"
    long = b"x" * 200_000 + key.encode()
    for body in (b"\xff" + key.encode(), long, b'{"error": "' + long + b'"}', b"[" * 20_000, b"[" * 100_000):
        failure = Credentials([key]).clean(ProviderFailure(FailureKind.SERVER, "x", body=body))
        assert key.encode() not in failure.body


def test_what_was_replaced_stays_known_for_long_but_not_for_ever():
    credentials = Credentials(["the-oldest-secret"])
    for number in range(100):
        credentials.learn([f"secret-number-{number:04d}"])
    assert "oldest" not in credentials.text("the-oldest-secret")
    for number in range(1000):
        credentials.learn([f"secret-number-{number:04d}"])
    assert len(credentials.secrets) <= 128
