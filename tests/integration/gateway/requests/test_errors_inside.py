"""An error inside a 200, in whatever shape, is told in the provider's own words and taken for what these say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from modelmesh import AuthenticationError, MeshError, NotFoundError, ProviderError, RateLimitError
from tests.support.providers.servers.local_server import Handler, LocalServer

WORDED = "Provider {} answered with an error; ask again, or add another to the pool."
OVERLOADED: tuple[Any, ...] = (
    {"error": "overloaded"},
    {"error": ["overloaded"]},
    {"error": {"error": "overloaded"}},
    {"error": json.dumps({"error": {"message": "overloaded"}})},
    {"error": {"message": ["overloaded"]}},
    {"error": True, "message": "overloaded"},
    {"error": -1, "msg": "overloaded"},
    {"errors": ["overloaded"]},
    {"detail": "overloaded"},
    {"error": {"type": "overloaded"}},
    {"error": "HTTP 503: overloaded"},
    [{"error": "overloaded"}],
    ["overloaded"],
    "overloaded",
)
KINDS: tuple[tuple[Any, type[MeshError], str], ...] = (
    (
        {"error": "Rate limit reached, please try again in 20s"},
        RateLimitError,
        "is getting too many requests; ask again in 20 s",
    ),
    ({"error": 429}, RateLimitError, "is getting too many requests"),
    ({"error": [429, "slow down"]}, RateLimitError, "is getting too many requests"),
    ({"error": "429 Too Many Requests"}, RateLimitError, "is getting too many requests"),
    (
        {"error": "You exceeded your current quota, please check your plan and billing details"},
        RateLimitError,
        "quota of provider",
    ),
    ({"error": "Invalid API key provided"}, AuthenticationError, "key of provider"),
    ({"error": "model m not found"}, NotFoundError, "model m not found"),
    ({"error": 503}, ProviderError, "answered with an error"),
    ({"error": "It went wrong in 500 places"}, ProviderError, "answered with an error"),
)
BODIES = [*OVERLOADED, *(body for body, _, _ in KINDS)]


class Telling(Handler):
    """Answers the model `N` with the Nth body."""

    def do_POST(self) -> None:
        asked = json.loads(self.body())
        body = json.dumps(BODIES[int(asked["model"])]).encode()
        if asked.get("stream"):
            self.send(200, b"data: " + body + b"\n\n", {"content-type": "text/event-stream"})
        else:
            self.send(200, body)


@pytest.fixture(scope="module")
def daemon(module_meshd: Any) -> Iterator[Any]:
    server = LocalServer(Telling)
    entry = {"connector": "openai-compatible.v1", "base_url": server.url, "api_key": "k-one"}
    names = [f"{way}{number}" for way in ("u", "s") for number in range(len(BODIES))]
    yield module_meshd(
        {
            "providers": dict.fromkeys(names, entry),
            "models": {f"{name}.m": {"provider": name, "model": name[1:]} for name in names},
            "pools": {name: {"models": [f"{name}.m"], "retry": {"max_attempts": 1}} for name in names},
            "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}},
        }
    )
    server.close()


def told(daemon: Any, number: int, stream: bool) -> MeshError:
    with pytest.raises(MeshError) as caught:
        list(daemon.say(model=f"{'s' if stream else 'u'}{number}", stream=stream, timeout=10))
    return caught.value


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("number", range(len(OVERLOADED)))
def test_its_own_words(daemon: Any, number: int, stream: bool) -> None:
    error = told(daemon, number, stream)
    sentence, *details = error.message.split("\n")
    assert sentence == WORDED.format(f"{'s' if stream else 'u'}{number}")
    assert "overloaded" in " ".join(details)
    assert isinstance(error, ProviderError)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("number", range(len(KINDS)))
def test_what_they_say(daemon: Any, number: int, stream: bool) -> None:
    _, cls, words = KINDS[number]
    error = told(daemon, number + len(OVERLOADED), stream)
    assert isinstance(error, cls), error.message
    assert words in error.message.split("\n")[0]
