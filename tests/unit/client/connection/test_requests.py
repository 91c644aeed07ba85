"""Unary calls: what goes out, what comes back, and many threads over one connection."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import pytest

import modelmesh
from modelmesh.protocol import CANCEL, HELLO, REQUEST, RESPONSE, encode
from tests.support.client.calls import InThread, ask, in_threads, says
from tests.support.client.fake_daemon import FakeDaemon, completion, echo


def test_a_reply_is_the_sdks_object_with_what_the_mesh_did(daemon, client):
    reply = client.chat.completions.create(model="m", messages=says("hi"))
    assert reply.choices[0].message.content == "hi"
    assert reply.usage.total_tokens == 2
    assert reply.model == "scripted.one"
    assert (reply.mesh.pool, reply.mesh.provider, reply.mesh.attempts) == ("p", "scripted", [])
    assert reply._request_id == daemon.of_kind(REQUEST)[0].request_id.hex()


def test_hello_goes_first_and_the_request_does_not_wait_for_the_welcome(start, client):
    daemon = start(welcome=False)
    assert ask(client, "hi") == "hi"
    assert [message.kind for _, message in daemon.received][:2] == [HELLO, REQUEST]
    assert daemon.of_kind(HELLO)[0].head.client.startswith("modelmesh-python/")


def test_parameters_pass_through_and_those_not_given_do_not(daemon, client):
    client.chat.completions.create(
        model="m",
        messages=says("hi"),
        temperature=0.5,
        stop=None,
        tools=modelmesh.NOT_GIVEN,
        brand_new=[1],
        extra_body={"top_k": 3, "temperature": 0.7},
        extra_headers={"x-a": "b"},
        timeout=3,
    )
    request = daemon.of_kind(REQUEST)[0]
    assert json.loads(request.body) == {
        "model": "m",
        "messages": says("hi"),
        "temperature": 0.7,
        "stop": None,
        "brand_new": [1],
        "top_k": 3,
    }
    assert request.head.headers["x-a"] == "b"
    assert request.head.path == "/v1/chat/completions"
    assert 0 < request.head.deadline_ms <= 3000


@pytest.mark.parametrize(("cache", "header"), [(True, "true"), (False, "false"), (modelmesh.NOT_GIVEN, None)])
def test_a_wish_for_or_against_a_kept_answer_is_a_header(daemon, client, cache, header):
    client.chat.completions.create(model="m", messages=says("hi"), cache=cache)
    request = daemon.of_kind(REQUEST)[0]
    assert json.loads(request.body) == {"model": "m", "messages": says("hi")}
    assert request.head.headers.get("x-mesh-cache") == header
    assert request.head.headers["content-type"] == "application/json"


def test_a_providers_own_parameter_of_that_name_stays_one(daemon, client):
    client.chat.completions.create(model="m", messages=says("hi"), cache={"ttl": 1})
    client.chat.completions.create(model="m", messages=says("hi"), extra_body={"cache": True})
    sent = [json.loads(request.body)["cache"] for request in daemon.of_kind(REQUEST)]
    assert sent == [{"ttl": 1}, True]
    assert all("x-mesh-cache" not in request.head.headers for request in daemon.of_kind(REQUEST))


def test_for_one_call_the_wish_in_extra_headers_counts(daemon, client):
    client = client.with_options(default_headers={"x-mesh-cache": "true"})
    client.chat.completions.create(model="m", messages=says("hi"), cache=False)
    client.chat.completions.create(model="m", messages=says("hi"), extra_headers={"x-mesh-cache": "false"})
    client.chat.completions.create(model="m", messages=says("hi"))
    wishes = [request.head.headers["x-mesh-cache"] for request in daemon.of_kind(REQUEST)]
    assert wishes == ["false", "false", "true"]


def test_an_answers_message_can_be_sent_back(daemon, client):
    message = client.chat.completions.create(model="m", messages=says("one")).choices[0].message
    client.chat.completions.create(model="m", messages=[message, *says("two")])
    sent = json.loads(daemon.of_kind(REQUEST)[1].body)["messages"]
    assert sent[0] == {"role": "assistant", "content": "one"}


def test_what_a_client_is_bound_to_is_the_default_model(daemon, socket_path, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    cases = [
        (modelmesh.create("chat-completion", socket=socket_path), "chat-completion"),
        (modelmesh.create("x.text-embeddings", "x.chat-completion", socket=socket_path), "x.chat-completion"),
        (modelmesh.create(pool="mine", socket=socket_path), "mine"),
        (modelmesh.OpenAIClient(socket_path), "chat-completion"),
    ]
    for client, expected in cases:
        with client:
            client.chat.completions.create(messages=says("hi"))
        assert json.loads(daemon.of_kind(REQUEST)[-1].body)["model"] == expected
    (tmp_path / "meshd").mkdir()
    (tmp_path / "meshd" / "client.toml").write_text('pool = "profiled"\n')
    with modelmesh.OpenAIClient(socket_path) as client:
        client.chat.completions.create(messages=says("hi"))
    assert json.loads(daemon.of_kind(REQUEST)[-1].body)["model"] == "profiled"


def test_refinements_without_a_configuration_say_what_they_need():
    with pytest.raises(ValueError, match=r"strategy.*pool="):
        modelmesh.create("chat-completion", strategy="round-robin")


def test_sixteen_threads_get_their_own_answers_over_one_connection(daemon, client):
    def work(number):
        return lambda: all(ask(client, f"{number}-{turn}") == f"{number}-{turn}" for turn in range(100))

    assert in_threads(work(number) for number in range(16)) == [True] * 16
    assert len(daemon.peers) == 1
    assert len(daemon.of_kind(REQUEST)) == 1600


def test_clients_of_a_process_share_the_connection_and_the_last_one_closes_it(daemon, socket_path):
    first, second = modelmesh.OpenAIClient(socket_path), modelmesh.OpenAIClient(socket_path)
    assert ask(first, "a") == "a"
    assert ask(second.with_options(timeout=5), "b") == "b"
    first.close()
    assert ask(second, "c") == "c"
    assert len(daemon.peers) == 1
    second.close()
    second.close()
    with pytest.raises(modelmesh.MeshError, match="closed"):
        ask(second, "d")


def test_a_forgotten_client_releases_the_connection(daemon, socket_path):
    import gc

    from modelmesh._connection.registry import open_connections

    client = modelmesh.OpenAIClient(socket_path)
    ask(client, "a")
    (connection,) = open_connections()
    del client
    gc.collect()
    deadline = time.monotonic() + 5
    while not connection.closed and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    assert connection.closed
    assert not open_connections()


def test_the_lead_is_handed_on_to_a_thread_that_waits(start, client):
    """The first caller leads; it gets its answer while the second still waits, which then leads."""
    held = {}

    def handler(daemon, peer, message):
        held[json.loads(message.body)["messages"][0]["content"]] = (peer, message)

    daemon: FakeDaemon = start(handler)
    first = InThread(lambda: ask(client, "first"))
    daemon.wait_for(REQUEST, 1)
    second = InThread(lambda: ask(client, "second"))
    third = InThread(lambda: ask(client, "third"))
    daemon.wait_for(REQUEST, 3)
    daemon.do(lambda: daemon.respond(*held["second"], completion("2")))
    assert second.result() == "2"
    daemon.do(lambda: daemon.respond(*held["first"], completion("1")))
    assert first.result() == "1"
    daemon.do(lambda: daemon.respond(*held["third"], completion("3")))
    assert third.result() == "3"


def test_a_call_without_an_answer_ends_at_its_timeout_and_is_cancelled(start, client):
    daemon = start(lambda *_: None)
    began = time.monotonic()
    with pytest.raises(modelmesh.APITimeoutError) as raised:
        ask(client, "hi", timeout=0.2)
    assert 0.15 < time.monotonic() - began < 5
    assert isinstance(raised.value, modelmesh.RequestTimeoutError)
    assert raised.value.status_code == 504
    assert daemon.wait_for(CANCEL)[0].request_id == daemon.of_kind(REQUEST)[0].request_id
    assert len(daemon.of_kind(REQUEST)) == 1


def test_a_followers_timeout_leaves_the_leader_alone(start, client):
    held = []
    daemon = start(lambda daemon, peer, message: held.append((peer, message)))
    leader = InThread(lambda: ask(client, "leader"))
    daemon.wait_for(REQUEST)
    with pytest.raises(modelmesh.RequestTimeoutError):
        ask(client, "follower", timeout=0.1)
    daemon.do(lambda: daemon.respond(*held[0], completion("late")))
    assert leader.result() == "late"


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("leads", [True, False])
def test_an_interrupted_call_is_cancelled_and_does_no_harm(start, client, leads):
    """What Ctrl-C does, to the thread that leads and to one that follows."""
    held = []

    def handler(daemon, peer, message):
        if b"wait" in message.body:
            held.append((peer, message))
        else:
            echo(daemon, peer, message)

    def interrupt(*_):
        raise Interrupted

    daemon = start(handler)
    assert ask(client, "first") == "first"  # a WELCOME whose reading is interrupted would be lost, and its link with it
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        other = None
        if not leads:
            other = InThread(lambda: ask(client, "wait"))
            daemon.wait_for(REQUEST, 2)
        expected = len(held) + 2

        interrupted = threading.Event()

        def send_signal():
            daemon.wait_for(REQUEST, expected)
            os.kill(os.getpid(), signal.SIGUSR1)
            # pyzmq swallows what a handler raises while it frees a frame (WELCOME's): a person presses again.
            while not interrupted.wait(1.0):
                os.kill(os.getpid(), signal.SIGUSR1)

        sender = InThread(send_signal)
        with pytest.raises(Interrupted):
            ask(client, "wait for ever")
        interrupted.set()
        sender.result()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ask(client, "next") == "next"
    # Without a CANCEL, the connection ended, as it was unknown what of a message had been sent.
    assert len(daemon.of_kind(HELLO)) == 2 or daemon.wait_for(CANCEL)[0].request_id == held[-1][1].request_id
    if other is not None:
        daemon.do(lambda: daemon.respond(*held[0], completion("answered")))
        assert other.result() == "answered"


def test_calls_that_are_interrupted_anywhere_leave_the_next_one_its_answer(start, client):
    """At any bytecode: a part of a message is read, or a thread is about to lead."""

    def interrupt(*_):
        raise Interrupted

    start(echo)
    text = "x" * 100_000
    assert ask(client, text) == text
    before = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        for turn in range(400):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0001 + turn % 20 * 0.00005)
                ask(client, text)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupted:
                interrupted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted
    assert ask(client, text, timeout=10.0) == text


def test_an_answer_after_the_timeout_does_no_harm(start, client):
    held = []

    def handler(daemon, peer, message):
        if held:
            daemon.respond(*held[0], completion("stale"))
            echo(daemon, peer, message)
        else:
            held.append((peer, message))

    start(handler)
    with pytest.raises(modelmesh.RequestTimeoutError):
        ask(client, "slow", timeout=0.1)
    assert ask(client, "next") == "next"


@pytest.mark.parametrize(
    "frames",
    [
        lambda message: [b"\xff", message.request_id, b"", b""],
        lambda message: [RESPONSE, message.request_id, b"\xc1", b""],
        lambda message: encode(RESPONSE, message.request_id, None, b"<html>"),
        lambda message: encode(RESPONSE, message.request_id, None, b"[1]"),
    ],
    ids=["kind", "head", "body", "shape"],
)
def test_a_malformed_answer_is_that_calls_error_alone(start, client, frames):
    def handler(daemon, peer, message):
        if b"bad" in message.body:
            daemon.send(peer, [b"\x04"])
            daemon.send(peer, [b"\x04", b"short", b"", b""])
            daemon.send(peer, frames(message))
        else:
            echo(daemon, peer, message)

    start(handler)
    with pytest.raises(modelmesh.ProtocolError):
        ask(client, "bad")
    assert ask(client, "good") == "good"


def test_embeddings_completions_and_models(start, client):
    def handler(daemon, peer, message):
        answers = {
            "/v1/embeddings": {"object": "list", "model": "e", "data": [{"index": 0, "embedding": [0.5, 1.0]}]},
            "/v1/completions": {"choices": [{"index": 0, "text": "done"}]},
            "/v1/models": {"object": "list", "data": [{"id": "a"}, {"id": "b"}]},
            "/v1/models/vendor/a%20b": {"id": "vendor/a b"},
        }
        daemon.respond(peer, message, answers[message.head.path])

    start(handler)
    assert client.embeddings.create(model="e", input="x").data[0].embedding == [0.5, 1.0]
    assert client.completions.create(model="c", prompt="x").choices[0].text == "done"
    assert [model.id for model in client.models.list()] == ["a", "b"]
    assert client.models.retrieve("vendor/a b").id == "vendor/a b"
