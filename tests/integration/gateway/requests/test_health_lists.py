"""Lists of models that are refused, missing, or at a wrong address, and what a daemon says of their providers."""

from __future__ import annotations

import pytest

from modelmesh import MeshError
from tests.support.providers.servers.local_server import Handler, LocalServer

ANSWER = {
    "id": "a", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip


class Server(LocalServer):
    """Answers GET with `listed` and POST with `answer`, each (status, body)."""

    def __init__(self) -> None:
        self.listed, self.answer, self.lists = (200, {"data": [{"id": "m"}]}), (200, ANSWER), 0
        server = self

        class Answering(Handler):
            def do_GET(self) -> None:
                server.lists += 1
                self.send(*server.listed)

            def do_POST(self) -> None:
                self.body()
                self.send(*server.answer)

        super().__init__(Answering)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


def config(server: Server, **health: object) -> dict:
    return {
        "providers": {"p": {"connector": "openai-compatible", "base_url": server.url, "api_key": "sk-1234567890"}},
        "models": {"m": {"provider": "p", "model": "m", "capabilities": ["chat-completion"]}},
        "discovery": {"health": {"interval": "1s", **health}, "local": {"enabled": False}},
    }


def provider(daemon) -> dict:
    return daemon.ask("GET", "/mesh/v1/providers")["data"][0]


@pytest.mark.parametrize("status", [401, 403, 404, 405, 500, 501])
def test_a_provider_whose_list_is_refused_serves(meshd, server, eventually, status):
    server.listed = status, {"error": {"message": "you may not"}}
    daemon = meshd(config(server))
    eventually(lambda: server.lists >= 4)
    assert daemon.say().choices[0].message.content == "hello"
    before = server.lists
    eventually(lambda: server.lists >= before + 4)
    assert daemon.say().choices[0].message.content == "hello"
    assert provider(daemon)["available"]
    eventually(lambda: provider(daemon)["score"] > 0.9)


def test_a_wrong_base_url_is_reported_as_such(meshd, server, eventually):
    server.listed = server.answer = 404, {"detail": "Not Found"}
    daemon = meshd(config(server))
    eventually(lambda: "is base_url right" in provider(daemon)["reason"] and provider(daemon)["score"] < 1)
    with pytest.raises(MeshError):
        daemon.say()
    eventually(lambda: not provider(daemon)["available"])
    known = provider(daemon)
    assert "does not exist (404): is base_url right" in known["reason"]
    assert known["score"] < 0.9
    server.listed, server.answer = (200, {"data": []}), (200, ANSWER)
    eventually(lambda: provider(daemon)["available"])
    assert daemon.say().choices[0].message.content == "hello"


def test_a_provider_that_is_probed_no_longer_is_freed(meshd, server, eventually):
    server.listed = 503, {"error": "down"}
    daemon = meshd(config(server))
    eventually(lambda: not provider(daemon)["available"])
    daemon.write({**config(server, enabled=True, providers=[])} | {"discovery": {"health": {"enabled": False}}})
    eventually(lambda: provider(daemon)["available"])
    assert provider(daemon)["score"] == 1.0
    assert daemon.say().choices[0].message.content == "hello"


@pytest.mark.parametrize(
    "listed", [(200, []), (200, {"data": None}), (200, b"<html>"), (200, b'{"data": [{"id"'), (500, {}), (200, 5)]
)
def test_a_list_that_says_nothing_takes_nothing_away(meshd, server, eventually, listed):
    """Models found by their provider's list stay when the list is empty or cannot be read."""
    found = config(server)
    del found["models"]
    found["discovery"]["sync"] = {"interval": "1s"}
    daemon = meshd(found)
    eventually(lambda: [model["id"] for model in daemon.ask("GET", "/mesh/v1/models")["data"]] == ["p.m"])
    server.listed = listed
    before = server.lists
    eventually(lambda: server.lists >= before + 3)
    assert [model["id"] for model in daemon.ask("GET", "/mesh/v1/models")["data"]] == ["p.m"]
    assert daemon.say().choices[0].message.content == "hello"
