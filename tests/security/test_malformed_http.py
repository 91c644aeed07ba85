"""Malformed HTTP requests and socket messages, many of them: the next good one is answered, memory is where it was."""

from __future__ import annotations

import contextlib
import json
import random
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest

from modelmesh import protocol as wire
from tests.integration.gateway.conftest import CONFIG
from tests.support.apps.raw_peer import RawPeer, message
from tests.support.daemons.stress.attacked import MIB

WAIT = 20.0
BODY = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "hi"}]}).encode()
GOOD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
LAST = GOOD.replace(b"Host", b"Connection: close\r\nHost")
SEEDS = [
    GOOD,
    GOOD.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked").replace(
        BODY, b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    ),
    b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
    b"GET /health HTTP/1.0\r\n\r\n",
]
ODD = [
    b"\r\n",
    b"\n",
    b"\0",
    b" ",
    b":",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\xff",
    b"0\r\n\r\n",
]
COUNTS = [2000, pytest.param(200_000, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])]


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path) -> Any:
    proxy = {"enabled": True, "port": "auto", "socket": str(module_short / "h")}
    return module_meshd({**CONFIG, "proxy": proxy})


def mutated(chance: random.Random, seeds: list[bytes]) -> bytes:
    """A seed with bytes changed, cut out, repeated, or something odd put in."""
    made = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 4)):
        begin = chance.randrange(len(made) + 1)
        end = min(begin + chance.choice((1, 1, 3, 12)), len(made))
        match chance.randrange(4):
            case 0:
                made[begin:end] = chance.randbytes(end - begin)
            case 1:
                del made[begin:end]
            case 2:
                made[begin:begin] = made[begin:end] * chance.randint(1, 9)
            case _:
                made[begin:begin] = chance.choice(ODD)
    return bytes(made)


def answer(path: Path, sent: bytes, *, ends: bool = True) -> bytes:
    """All that is answered. ends: nothing more is sent, so that a request without its end is not waited for."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(WAIT)
        line.connect(str(path))
        found = b""
        with contextlib.suppress(ConnectionError):  # closed before all of it was sent
            line.sendall(sent)
            if ends:
                line.shutdown(socket.SHUT_WR)
            while piece := line.recv(65536):
                found += piece
        return found


def is_where_it_was(daemon: Any, before: int) -> None:
    assert daemon.process.poll() is None
    assert psutil.Process(daemon.process.pid).memory_info().rss - before < 32 * MIB
    assert "Traceback" not in daemon.log()
    assert daemon.say("hi", model="chat").choices[0].message.content == "[scripted] hi"


@pytest.mark.parametrize("count", COUNTS)
def test_malformed_http(daemon: Any, module_short: Path, count: int) -> None:
    path = module_short / "h"
    for number in range(500):
        answer(path, mutated(random.Random(-1 - number), SEEDS))
    before = psutil.Process(daemon.process.pid).memory_info().rss
    for number in range(count):
        found = answer(path, mutated(random.Random(number), SEEDS))
        assert not found or found.startswith(b"HTTP/1.1 "), number
        assert b"HTTP/1.1 500" not in found, number
        if number % 100 == 0:
            assert answer(path, LAST, ends=False).startswith(b"HTTP/1.1 200"), number
    is_where_it_was(daemon, before)


@pytest.mark.parametrize("count", COUNTS)
def test_malformed_messages(daemon: Any, count: int) -> None:
    """Well framed, each a message of its own, and wrong inside."""
    head = wire.RequestHead(path="/v1/chat/completions")
    peer = RawPeer(daemon.socket)
    before = 0
    for number in range(-500, count):
        if number == 0:
            before = psutil.Process(daemon.process.pid).memory_info().rss
        chance = random.Random(number)
        frames = list(wire.encode(wire.REQUEST, wire.new_request_id(), head, BODY))
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(frames)) if frames else 0
            frames[place : place + 1] = chance.choice(
                [[], [mutated(chance, [frames[place] or b"x"] if frames else [b"x"])], [b"", b"x"]]
            )
        peer.send(message(frames or [b""]))
        if number % 100 == 0:
            peer.close()
            peer = RawPeer(daemon.socket)
            good = wire.new_request_id()
            peer.send(message(wire.encode(wire.REQUEST, good, head, BODY)))
            found = wire.decode(peer.receive())
            assert (found.kind, found.request_id) == (wire.RESPONSE, good), number
    peer.close()
    is_where_it_was(daemon, before)
