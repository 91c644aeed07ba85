"""Clients that end their side of a connection when they have sent all: they get their answers, and a client that has
gone lets its upstream go. Over real sockets of a real daemon."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.providers.servers.upstream import Upstream
from tests.support.waiting import WAIT, until

LATE = "350ms"  # longer than the daemon takes to look for the client again
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
UNARY = {"reply": "whole", "delay": LATE}
STREAM = {"tokens": [f"{number} " for number in range(16)], "chunk_delay": "25ms"}
FOREVER = {"fault": "timeout"}
ENDLESS = {"tokens": ["x "] * 5000, "chunk_delay": "5ms"}
Connect = Callable[[], socket.socket]


@pytest.fixture(scope="module")
def server(module_upstream: Any) -> Upstream:
    made: Upstream = module_upstream()
    return made


@pytest.fixture(scope="module")
def addresses(server: Upstream, module_meshd: Any, module_short: Path) -> list[str]:
    off = {"enabled": False}
    daemon = module_meshd(
        {
            "providers": {"p": server.provider()},
            "models": {"m": {"provider": "p", "model": "m", "capabilities": ["chat-completion"]}},
            "pools": {"chat": {"models": ["m"]}},
            "discovery": {"health": off, "local": off, "sync": off},
            "proxy": {"enabled": True, "port": "auto", "socket": str(module_short / "h")},
        }
    )
    found: list[str] = daemon.status()["http"]["addresses"]
    return found


@pytest.fixture(params=["tcp", "unix"])
def connect(request: pytest.FixtureRequest, addresses: list[str]) -> Connect:
    def over() -> socket.socket:
        if request.param == "tcp":
            place = urlsplit(addresses[0])
            return socket.create_connection((place.hostname, place.port), timeout=WAIT)
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(WAIT)
        line.connect(addresses[1])
        return line

    return over


def chat(stream: bool = False) -> bytes:
    body = b'{"model":"chat","stream":%s,"messages":[{"role":"user","content":"hi"}]}' % str(stream).lower().encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def rest(line: socket.socket) -> bytes:
    """All that comes until the daemon closes."""
    said = b""
    while data := line.recv(65536):
        said += data
    return said


@pytest.mark.parametrize("stream", [False, True])
def test_it_gets_its_whole_answer(connect: Connect, server: Upstream, stream: bool) -> None:
    server.play([STREAM if stream else UNARY])
    with connect() as line:
        line.sendall(chat(stream))
        line.shutdown(socket.SHUT_WR)
        said = rest(line)
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n") if stream else b"whole" in said


def test_it_gets_all_answers_to_what_it_sent_ahead(connect: Connect, server: Upstream) -> None:
    server.play([UNARY])
    with connect() as line:
        line.sendall(GET + chat() + GET + chat()[:-1])  # the last one is not whole
        line.shutdown(socket.SHUT_WR)
        said = rest(line)
    assert said.count(b"HTTP/1.1 200 ") == said.count(b"HTTP/1.1") == 3


@pytest.mark.parametrize("sent", [b"", b"GET /health HTT", chat()[:-1]])
def test_without_a_whole_request_it_is_closed_at_once(connect: Connect, sent: bytes) -> None:
    with connect() as line:
        line.sendall(sent)
        line.shutdown(socket.SHUT_WR)
        assert rest(line) == b""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("halves", [False, True])
def test_a_client_that_has_gone_lets_its_upstream_go_within_a_second(
    connect: Connect, server: Upstream, stream: bool, halves: bool
) -> None:
    """At once, or when it has waited for a while."""
    server.play([ENDLESS if stream else FOREVER])
    before = server.served["cancelled"]
    with connect() as line:
        line.sendall(chat(stream))
        if halves:
            line.shutdown(socket.SHUT_WR)
        until(lambda: server.served["open"] == 1, what="the upstream is asked")
    until(lambda: server.served["open"] == 0, 1.0, "the upstream is let go")
    assert server.served["cancelled"] == before + 1


def test_a_process_that_is_killed_has_gone(connect: Connect, server: Upstream) -> None:
    server.play([FOREVER])
    with connect() as line:
        sleeper = subprocess.Popen(["sleep", "60"], stdin=line)  # it has the connection too
        line.sendall(chat())
        line.shutdown(socket.SHUT_WR)
        until(lambda: server.served["open"] == 1, what="the upstream is asked")
    assert server.served["open"] == 1, "another process still has it"
    sleeper.kill()
    sleeper.wait(WAIT)
    until(lambda: server.served["open"] == 0, 1.0, "the upstream is let go")
