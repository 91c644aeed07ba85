"""The response cache in a running daemon: what the provider is asked, and what apps are told."""

from __future__ import annotations

import json
import threading

import pytest

from modelmesh import protocol as wire

SAID = [{"role": "user", "content": "hi"}]


@pytest.fixture
def provider(upstream):
    return upstream([{"tokens": ["a ", "b ", "c "], "chunk_delay": "20ms"}])


@pytest.fixture
def daemon(meshd, provider):
    return meshd(
        {
            "providers": {"up": provider.provider()},
            "models": {"up.chat": {"provider": "up", "capabilities": ["chat-completion"]}},
            "pools": {"chat": {"capability": "chat-completion", "cache": {"ttl": "1h"}}},
        }
    )


def test_a_kept_answer_is_free_and_says_so(daemon):
    first = daemon.say(temperature=0)
    second = daemon.say(temperature=0)
    assert first.mesh.cached is None
    assert (second.mesh.cached, second.mesh.cost, second.id) == (True, 0.0, first.id)
    assert second.mesh.model == "up.chat"
    assert daemon.say(temperature=0, cache=False).mesh.cached is None
    assert daemon.model("up.chat")["requests"] == 2


def test_what_is_sampled_is_asked_unless_the_app_insists(daemon):
    daemon.say()
    assert daemon.say().mesh.cached is None
    daemon.say(cache=True)
    assert daemon.say(cache=True).mesh.cached


def test_a_stream_is_given_again_as_a_stream(daemon):
    def streamed():
        return [chunk.to_dict() for chunk in daemon.say(temperature=0, stream=True)]

    first = streamed()
    assert streamed() == first
    assert daemon.model("up.chat")["requests"] == 1


def test_the_same_request_is_asked_once_at_a_time(daemon):
    daemon.client()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(daemon.say(temperature=0))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len({answer.id for answer in answers}) == 1
    assert sum(answer.mesh.cached is None for answer in answers) == 1
    assert daemon.model("up.chat")["requests"] == 1


def test_the_first_app_may_leave(daemon, dial):
    line = dial(daemon.socket)
    body = {"model": "chat", "messages": SAID, "temperature": 0, "stream": True}
    first = line.request(body=body, stream=True, credit=100)
    assert line.receive(wire.CHUNK).request_id == first
    second = line.request(body=body, stream=True, credit=100)
    line.send(wire.CANCEL, first)
    text, ended = "", set()
    while len(ended) < 2:
        message = line.receive()
        if message.kind == wire.CHUNK:
            if message.request_id == second:
                choices = json.loads(message.body)["choices"]
                text += choices[0]["delta"].get("content") or "" if choices else ""
        else:
            ended.add((message.request_id, message.kind))
    assert ended == {(first, wire.ERROR), (second, wire.END)}
    assert text == "a b c "
    assert daemon.model("up.chat")["requests"] == 1


def test_streams_that_share_an_answer_may_last_longer_than_the_first_chunk_may_take(meshd, upstream, dial):
    slow = upstream([{"tokens": ["a "] * 8, "chunk_delay": "100ms"}])
    daemon = meshd(
        {
            "providers": {"up": slow.provider()},
            "models": {"up.chat": {"provider": "up", "capabilities": ["chat-completion"]}},
            "pools": {"chat": {"capability": "chat-completion", "cache": {"ttl": "1h"}}},
        }
    )
    line = dial(daemon.socket)
    body = {"model": "chat", "messages": SAID, "temperature": 0, "stream": True}
    asked = {line.request(body=body, stream=True, credit=100, first_chunk_ms=500) for _ in range(2)}
    ended = set()
    while len(ended) < 2:
        message = line.receive()
        if message.kind != wire.CHUNK:
            ended.add((message.request_id, message.kind))
    assert ended == {(request_id, wire.END) for request_id in asked}
    assert daemon.model("up.chat")["requests"] == 1


def test_a_reload_that_switches_it_off_does(daemon):
    daemon.say(temperature=0)
    config = json.loads(daemon.config.read_text())
    del config["pools"]["chat"]["cache"]
    daemon.write(config)
    assert daemon.ask("POST", "/mesh/v1/reload", {})["ok"]
    assert daemon.say(temperature=0).mesh.cached is None
