"""Daemons that come, go, drain and fall silent."""

from __future__ import annotations

import os
import socket
import time

import pytest

import modelmesh
from modelmesh._connection import session
from modelmesh._connection.links import redial
from modelmesh._connection.registry import acquire, release
from modelmesh.protocol import ERROR, HELLO, PING, PONG, REQUEST, ErrorHead, encode
from tests.support.client.calls import InThread, ask, says
from tests.support.client.fake_daemon import FakeDaemon, chunk, echo


def silent(daemon, peer, message):
    return None


@pytest.fixture
def connection(socket_path):
    """The one that the clients of this path share."""
    connection = acquire(f"ipc://{socket_path}")
    yield connection
    release(connection)


def test_no_socket_is_an_error_at_once(socket_path):
    began = time.monotonic()
    with modelmesh.OpenAIClient(socket_path) as client, pytest.raises(modelmesh.DaemonUnavailableError) as raised:
        ask(client, "hi")
    assert time.monotonic() - began < 1
    assert raised.value.paths == [socket_path]
    assert isinstance(raised.value, modelmesh.APIConnectionError)


def test_a_stale_socket_is_an_error_after_a_bounded_time(socket_path, monkeypatch):
    monkeypatch.setattr(redial, "FIRST_ANSWER_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(socket_path)
        with modelmesh.OpenAIClient(socket_path) as client, pytest.raises(modelmesh.DaemonUnavailableError):
            ask(client, "hi")


def test_a_path_that_is_too_long_is_an_error(tmp_path):
    path = tmp_path / ("x" * 120)
    path.touch()
    with modelmesh.OpenAIClient(path) as client, pytest.raises(modelmesh.DaemonUnavailableError):
        ask(client, "hi")


def test_a_client_made_before_the_daemon_works_after_it_started(start, client):
    with pytest.raises(modelmesh.DaemonUnavailableError):
        ask(client, "hi")
    start()
    assert ask(client, "hi") == "hi"


def test_an_unanswered_request_is_sent_again_to_the_next_daemon_under_the_same_id(start, client):
    first = start(silent)
    reply = InThread(lambda: ask(client, "hi"))
    request = first.wait_for(REQUEST)[0]
    assert not request.head.resend
    first.stop()
    second = start()
    assert reply.result() == "hi"
    kinds = [message.kind for _, message in second.received]
    assert kinds[:2] == [HELLO, REQUEST]
    again = second.of_kind(REQUEST)
    assert [(message.request_id, message.head.resend) for message in again] == [(request.request_id, True)]
    assert 0 < again[0].head.deadline_ms < request.head.deadline_ms


def test_many_threads_survive_a_restart(start, client):
    first = start(silent)
    replies = [InThread(lambda number=number: ask(client, str(number))) for number in range(8)]
    first.wait_for(REQUEST, 8)
    first.stop()
    second = start()
    assert [reply.result() for reply in replies] == [str(number) for number in range(8)]
    assert len(second.of_kind(REQUEST)) == 8


def test_an_answer_sent_right_before_the_daemon_went_is_not_lost(start, client):
    first = start(echo)
    assert ask(client, "one") == "one"
    first.stop()
    start()
    assert ask(client, "two") == "two"


def test_a_request_made_while_the_daemon_is_away_waits_for_it(start, client):
    start().stop()
    with pytest.raises(modelmesh.DaemonUnavailableError):
        ask(client, "before any")
    first = start()
    assert ask(client, "hi") == "hi"
    first.stop()
    reply = InThread(lambda: ask(client, "again"))
    second = start()
    assert reply.result() == "again"
    assert [message.head.resend for message in second.of_kind(REQUEST)] in ([False], [True])


def test_a_daemon_that_stays_away_is_unavailable_at_the_timeout(start, client):
    first = start(silent)
    reply = InThread(lambda: ask(client, "hi", timeout=0.4))
    first.wait_for(REQUEST)
    first.stop()
    with pytest.raises(modelmesh.DaemonUnavailableError):
        reply.result()


def test_a_stream_that_has_begun_is_interrupted_by_a_restart(start, client):
    def handler(daemon, peer, message):
        daemon.chunk(peer, message, chunk("so far"))

    first = start(handler)
    stream = client.chat.completions.create(model="m", messages=says("hi"), stream=True)
    assert next(stream).choices[0].delta.content == "so far"
    first.stop()
    second = start()
    with pytest.raises(modelmesh.StreamInterrupted) as raised:
        next(stream)
    assert raised.value.text == "so far"
    assert ask(client, "hi") == "hi"
    assert len(second.of_kind(REQUEST)) == 1


def test_a_stream_that_has_not_begun_is_sent_again(start, client):
    first = start(silent)
    reply = InThread(
        lambda: [
            item.choices[0].delta.content
            for item in client.chat.completions.create(model="m", messages=says("a b"), stream=True)
        ]
    )
    first.wait_for(REQUEST)
    first.stop()
    start()
    assert reply.result() == ["a ", "b "]


def test_goaway_lets_requests_in_flight_finish_and_holds_new_ones(start, client, socket_path):
    held = []

    def handler(daemon, peer, message):
        if b"first" in message.body:
            held.append((peer, message))
        else:
            echo(daemon, peer, message)

    old: FakeDaemon = start(handler)
    in_flight = InThread(lambda: ask(client, "first"))
    old.wait_for(REQUEST)
    old.do(old.goaway)
    old.do(lambda: None)
    new_one = InThread(lambda: ask(client, "second"))
    old.wait_for(HELLO, 2)
    old.do(lambda: echo(old, *held[0]))
    assert in_flight.result() == "first"
    old.stop()
    new = start()
    assert new_one.result() == "second"
    assert [message.head.resend for message in new.of_kind(REQUEST)] == [False]
    assert len(old.of_kind(REQUEST)) <= 2


def test_an_idle_client_survives_a_daemon_that_said_goodbye(start, client):
    """GOAWAY and the disconnect are found by the housekeeping, in one look."""
    old = start(heartbeat_ms=50)
    assert ask(client, "one") == "one"
    old.do(old.goaway)
    old.stop()
    new = start(heartbeat_ms=50)
    assert ask(client, "two") == "two"
    new.wait_for(PING, 2)
    new.do(new.goaway)
    new.stop()
    start()
    assert ask(client, "three") == "three"


@pytest.mark.parametrize("look", [True, False], ids=["housekeeping", "caller"])
def test_goodbye_and_disconnect_read_in_one_go(start, client, connection, look):
    old = start()
    assert ask(client, "one") == "one"
    old.do(old.goaway)
    old.stop()
    if look:
        connection.keep_alive()
    start()
    assert ask(client, "two") == "two"
    assert ask(client, "three") == "three"


def test_a_job_that_fails_does_not_keep_the_lead(daemon, client, connection):
    assert ask(client, "one") == "one"
    with pytest.raises(AttributeError):
        connection.credit(None, 1)
    assert ask(client, "two") == "two"


def begin_handover(start, client, socket_path):
    """(old daemon with a request in flight, that request's frames, its reply, the new daemon on the same path)"""
    held = []
    old = start(lambda daemon, peer, message: held.append((peer, message)))
    in_flight = InThread(lambda: ask(client, "first"))
    old.wait_for(REQUEST)
    old.do(old.goaway)
    os.unlink(socket_path)
    new = start()
    old.path = socket_path + ".gone"
    assert ask(client, "second") == "second"
    return old, held[0], in_flight, new


def test_a_new_daemon_may_take_over_the_path_while_the_old_one_finishes(start, client, socket_path):
    old, request, in_flight, new = begin_handover(start, client, socket_path)
    old.do(lambda: echo(old, *request))
    assert in_flight.result() == "first"
    assert len(new.of_kind(REQUEST)) == 1
    assert ask(client, "third") == "third"


def test_what_the_old_daemon_does_not_finish_goes_to_the_new_one(start, client, socket_path):
    old, request, in_flight, new = begin_handover(start, client, socket_path)
    old.stop()
    assert in_flight.result() == "first"
    resent = [message for message in new.of_kind(REQUEST) if message.head.resend]
    assert [message.request_id for message in resent] == [request[1].request_id]


def test_a_late_refusal_of_the_old_daemon_goes_to_the_new_one(start, client, socket_path):
    old, request, in_flight, new = begin_handover(start, client, socket_path)
    old.do(lambda: old.error(*request, 503, code="draining"))
    assert in_flight.result() == "first"
    assert len(new.of_kind(REQUEST)) == 2


def test_a_daemons_ping_is_answered(start, client):
    daemon = start(silent)
    reply = InThread(lambda: ask(client, "hi"))
    request = daemon.wait_for(REQUEST)[0]
    daemon.do(lambda: daemon.send(daemon.peers[0], encode(PING)))
    daemon.wait_for(PONG)
    daemon.do(lambda: echo(daemon, daemon.peers[0], request))
    assert reply.result() == "hi"


def test_a_daemon_that_refuses_the_connection_says_why(start, client):
    def handler(daemon, peer, message):
        refusal = ErrorHead(400, {"message": "version 1 is not spoken here"}, {"class": "ProtocolError"})
        daemon.send(peer, encode(ERROR, b"", refusal))

    start(handler, welcome=False)
    with pytest.raises(modelmesh.ProtocolError, match="not spoken"):
        ask(client, "hi")


def test_a_refusal_for_draining_is_held_and_sent_to_the_next_daemon(start, client):
    old = start()
    assert ask(client, "warm") == "warm"
    old.draining = True
    reply = InThread(lambda: ask(client, "held"))
    old.wait_for(REQUEST, 2)
    old.wait_for(HELLO, 2)
    old.stop()
    new = start()
    assert reply.result() == "held"
    assert len(new.of_kind(REQUEST)) == 1


def test_an_idle_connection_is_kept_alive(start, client):
    daemon = start(heartbeat_ms=50)
    assert ask(client, "hi") == "hi"
    daemon.wait_for(PING, 3)
    assert len(daemon.peers) == 1


def test_a_connection_is_kept_alive_while_a_request_waits(start, client):
    held = []

    def handler(daemon, peer, message):
        held.append((peer, message))

    daemon = start(handler, heartbeat_ms=50)
    reply = InThread(lambda: ask(client, "hi"))
    daemon.wait_for(PING, 3)
    daemon.do(lambda: echo(daemon, *held[0]))
    assert reply.result() == "hi"


def test_a_daemon_that_falls_silent_is_dialled_again(start, client, monkeypatch):
    monkeypatch.setattr(session, "SILENCE_SLACK_SECONDS", 0.0)
    daemon = start(heartbeat_ms=50)
    assert ask(client, "hi") == "hi"
    daemon.ignored.update(daemon.peers)
    assert ask(client, "again") == "again"
    assert len(daemon.peers) == 2


def test_after_a_fork_the_child_dials_again_and_the_parent_continues(daemon, client):
    assert ask(client, "parent") == "parent"
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if ask(client, "child", timeout=5) == "child" else 2
        finally:
            os._exit(code)
    deadline = time.monotonic() + 20
    status = 0
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        assert ask(client, "meanwhile") == "meanwhile"
    else:
        os.kill(pid, 9)
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(daemon.peers) == 2
    assert ask(client, "still") == "still"


def test_a_closed_client_leaves_no_descriptor(start, socket_path):
    daemon = start()
    with modelmesh.OpenAIClient(socket_path) as client:
        ask(client, "warm")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with modelmesh.OpenAIClient(socket_path) as client:
            ask(client, "hi")
            list(client.chat.completions.create(model="m", messages=says("a"), stream=True))
    deadline = time.monotonic() + 5
    while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < deadline:
        os.sched_yield()
    assert len(os.listdir("/proc/self/fd")) <= before
    assert len(daemon.peers) == 6
