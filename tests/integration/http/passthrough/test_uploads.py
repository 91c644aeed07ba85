"""Long bodies to a provider's own API: they pass while they come, within the limit, and end with their caller."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.providers.own_api import OwnApi
from tests.support.waiting import WAIT, until

TOKEN = "mesh-test-token"
PIECE = b"x" * 100_000
MOST = 4 * 1024**2


@pytest.fixture(scope="module")
def url(api: OwnApi, module_meshd: Any) -> str:
    off, digest = {"enabled": False}, hashlib.sha256(TOKEN.encode()).hexdigest()
    daemon = module_meshd(
        {
            "providers": {"open": api.provider(passthrough=True)},
            "models": {"open.m": {"provider": "open", "model": "m", "capabilities": ["chat-completion"]}},
            "apps": {"passing": {"match": {"token": digest}, "passthrough": True, "max_message_size": MOST}},
            "discovery": {"health": off, "sync": off, "local": off},
            "proxy": {"enabled": True, "port": "auto", "max_body": MOST},
        }
    )
    address: str = daemon.status()["http"]["addresses"][0]
    return address


@pytest.fixture
def line(url: str) -> Iterator[socket.socket]:
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=WAIT) as made:
        yield made


def head(path: str, *headers: str) -> bytes:
    lines = [f"POST /providers/open/{path} HTTP/1.1", "Host: localhost", f"x-api-key: {TOKEN}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def answer(line: socket.socket) -> tuple[int, Any]:
    """Of one with a length or chunks."""
    said = line.makefile("rb")
    status, length = int(said.readline().split()[1]), None
    while field := said.readline().strip():
        name, _, value = field.decode().lower().partition(": ")
        length = int(value) if name == "content-length" else length
    if length is not None:
        return status, json.loads(said.read(length))
    body = b""
    while size := int(said.readline(), 16):
        body += said.read(size)
        said.readline()
    said.readline()
    return status, json.loads(body)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_passes_while_it_comes(line: socket.socket, api: OwnApi, chunked: bool) -> None:
    def sent(data: bytes) -> bytes:
        return chunk(data) if chunked else data

    for _ in range(2):  # the connection is used again
        line.sendall(head("upload", "Transfer-Encoding: chunked" if chunked else "Content-Length: 300000"))
        line.sendall(sent(PIECE))
        until(lambda: api.taken == 100_000, what="the provider has the first piece")
        line.sendall(sent(PIECE) + sent(PIECE) + (b"0\r\n\r\n" if chunked else b""))
        assert answer(line) == (200, {"taken": 300_000, "length": None if chunked else "300000"})
        api.taken = 0


def test_an_answer_may_come_while_the_body_does(line: socket.socket) -> None:
    line.sendall(head("both", "Transfer-Encoding: chunked", "Connection: close"))
    said = line.makefile("rb")
    for number in range(3):
        line.sendall(chunk(b"part %d " % number))
        while b"PART %d" % number not in (came := said.readline()):
            assert came, "it ends"
    line.sendall(b"0\r\n\r\n")
    assert said.read().endswith(b"0\r\n\r\n")


def test_a_body_that_is_waited_for_may_come(line: socket.socket, api: OwnApi) -> None:
    line.sendall(head("upload", "Content-Length: 100000", "Expect: 100-continue"))
    assert line.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    line.sendall(PIECE)
    assert answer(line)[1]["taken"] == 100_000


def test_too_much_is_refused_when_it_comes(line: socket.socket, api: OwnApi) -> None:
    line.sendall(head("upload", "Transfer-Encoding: chunked"))
    for _ in range(MOST // len(PIECE) + 1):
        line.sendall(chunk(PIECE))
    status, said = answer(line)
    assert (status, said["error"]["code"]) == (413, "message_too_large")
    until(lambda: api.uploads == 0, what="the provider is let go")


def test_a_malformed_one_is_refused(line: socket.socket, api: OwnApi) -> None:
    line.sendall(head("upload", "Transfer-Encoding: chunked") + chunk(PIECE))
    until(lambda: api.uploads == 1, what="it has begun")
    line.sendall(b"no size\r\n")
    status, said = answer(line)
    assert (status, said["error"]["code"]) == (400, "malformed_request")
    until(lambda: api.uploads == 0, what="the provider is let go")


def test_a_refusal_comes_before_the_rest_of_the_body(line: socket.socket) -> None:
    line.sendall(head("unread", "Content-Length: 300000") + PIECE)
    status, said = answer(line)
    assert (status, said["error"]["code"]) == (403, "too_big")
    line.sendall(PIECE)
    assert line.recv(1) == b"", "the connection ends"


@pytest.mark.parametrize("halves", [False, True])
def test_a_caller_that_has_gone_ends_it(line: socket.socket, api: OwnApi, halves: bool) -> None:
    line.sendall(head("upload", "Content-Length: 300000") + PIECE)
    until(lambda: api.uploads == 1, what="it has begun")
    if halves:
        line.shutdown(socket.SHUT_WR)
    else:
        line.close()
    until(lambda: api.uploads == 0, 1.0, "the provider is let go")


def test_a_caller_that_half_closes_after_all_of_it_gets_its_answer(line: socket.socket) -> None:
    line.sendall(head("upload", "Content-Length: 3000000") + PIECE * 30)
    line.shutdown(socket.SHUT_WR)
    assert answer(line) == (200, {"taken": 3_000_000, "length": "3000000"})
