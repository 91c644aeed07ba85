"""Requests to a provider's own API: which paths are taken, which headers are sent, and what answers say of tokens."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as some
from yarl import URL

from meshd.gateway.control.passthrough.asked import asked, headers_to_send
from meshd.gateway.control.passthrough.used import PassedUsage
from meshd.routing.rates.headroom import NoRoom
from meshd.routing.rates.places import Place, take
from meshd.routing.rates.rates import Rates
from meshd.routing.table.specs import KeySpec, ProviderSpec, RateSpec
from modelmesh.errors import InvalidRequestError

BASE = "https://api.example/v1/"
parts = some.sampled_from(
    ["a", "..", ".", "%2e", "%2E", "%2f", "%5c", "\\", "/", "//", "%", "%25", "2e", "http:", "@evil.example", "#", "?",
     ";", "%00", " ", "é", "\n"]
)  # fmt: skip


@given(some.lists(parts, max_size=8).map("".join), some.lists(parts, max_size=4).map("".join))
def test_whatever_is_taken_stays_below_the_base(path: str, query: str) -> None:
    try:
        found = asked(f"/providers/name/{path}", query)
    except InvalidRequestError:
        return
    target = URL(f"{BASE}{found.path}?{found.query}", encoded=True)
    assert target.host == "api.example"
    said = target.raw_path
    for _ in range(5):
        assert said.startswith("/v1/")
        assert not {".", ".."} & set(said.replace("\\", "/").split("/"))
        assert "//" not in said
        said = unquote(said)


@pytest.mark.parametrize("path", ["chat/completions", "models/a%2Fb", "", "files/f-1/content", "m:generate", "a/b/"])
def test_usual_paths_are_taken_as_they_are(path: str) -> None:
    found = asked(f"/providers/my%20name/{path}", "alt=sse&key=k&api-version=1&API_KEY=k&page_token=t&x=%5B1%5D")
    assert (found.provider, found.path) == ("my name", path)
    assert found.query == "alt=sse&api-version=1&page_token=t&x=%5B1%5D"


@given(some.dictionaries(some.text("abckeytokn-authsr", min_size=1, max_size=12), some.text(max_size=5)))
def test_no_header_that_may_be_secret_is_sent(headers: dict[str, str]) -> None:
    for name, value in headers_to_send(headers).items():
        assert not any(word in name for word in ("key", "token", "auth", "secret"))
        assert "\n" not in value


def events(*said: object) -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in said)


ANTHROPIC = events(
    {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}},
    {"type": "message_delta", "usage": {"output_tokens": 5}},
)
JSON, EVENTS = "application/json; charset=utf-8", "text/event-stream"


@pytest.mark.parametrize(
    ("kind", "body", "tokens"),
    [
        (JSON, b'{"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}', (3, 4)),
        (JSON, b'{"usage": {"input_tokens": 3, "output_tokens": 4}}', (3, 4)),
        (EVENTS, events({"usage": None}, {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}), (3, 4)),
        (EVENTS, events({"type": "response.completed", "response": {"usage": {"input_tokens": 3, "output_tokens": 4}}}),
         (3, 4)),
        (EVENTS, ANTHROPIC, (9, 5)),
        (JSON, b'{"usage": {"prompt_tokens": -3, "completion_tokens": "x"}}', (0, 0)),
        (JSON, b'{"usage": 7}', (0, 0)),
        (JSON, b"[" * 100_000, (0, 0)),
        (JSON, b" " * (2 * 1024**2), (0, 0)),
        ("audio/mpeg", b'{"usage": {"prompt_tokens": 3, "completion_tokens": 4}}', (0, 0)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 7, 10**7])
def test_tokens_are_counted_where_the_form_is_known(kind: str, body: bytes, tokens: tuple[int, int], size: int) -> None:
    if size == 1:
        body = body[:2000]
    used = PassedUsage(kind)
    for at in range(0, len(body), size):
        used.feed(body[at : at + size])
    found = used.total()
    assert (found.input_tokens, found.output_tokens) == tokens
    assert used.size == len(body)


def test_places_are_those_of_the_app_and_the_provider() -> None:
    rates, now = Rates(), 1000.0
    server = ProviderSpec("p", "c", rate=RateSpec(concurrency=2), keys=(KeySpec("a"), KeySpec("b")))

    def of(app: str, at: float = now) -> Place | NoRoom:
        return take(rates, app, RateSpec(rpm=2, tpm=100), server, at)

    first, second = of("x"), of("x")
    assert isinstance(first, Place)
    assert isinstance(second, Place)
    assert {first.key, second.key} == {"a", "b"}
    for app, why in (("x", "2 requests a minute"), ("y", "concurrency limit of 2")):
        refused = of(app)
        assert isinstance(refused, NoRoom)
        assert why in refused.reason
    first.leave(90)
    first.leave(90)
    second.leave(20)
    assert isinstance(of("y"), Place)
    assert isinstance(of("x", now + 60), Place)
    assert (rates.apps["x"].in_flight, rates.providers["p"].in_flight) == (1, 2)
