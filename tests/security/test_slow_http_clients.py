"""Clients over HTTP that hold streams and hardly read: callers of the socket are not slowed."""

from __future__ import annotations

import resource
import socket
import statistics
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway.conftest import CONFIG
from tests.support.waiting import WAIT, until

BODY = b'{"model":"endless","stream":true,"messages":[{"role":"user","content":"hi"}]}'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(BODY)


@pytest.mark.parametrize(
    ("count", "times", "slower"),
    [
        (50, 30, 5.0),  # beside other tests: only that it is answered at all
        pytest.param(1000, 2000, 1.2, marks=[pytest.mark.soak, pytest.mark.timeout(300)]),
    ],
)
def test_slow_clients_do_not_slow_the_socket(meshd: Any, short: Path, count: int, times: int, slower: float) -> None:
    path = short / "h"
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each has a connection here
    limits = {**CONFIG["daemon"], "request_timeout": "300s", "max_inflight": 4000}
    daemon = meshd({**CONFIG, "daemon": limits, "proxy": {"enabled": True, "port": "auto", "socket": str(path)}})

    def p50() -> float:
        taken = []
        for _ in range(times):
            began = time.perf_counter()
            daemon.say("hi", model="chat")
            taken.append(time.perf_counter() - began)
        return statistics.median(taken)

    p50()
    alone = p50()
    lines = []
    try:
        for _ in range(count):
            line = socket.socket(socket.AF_UNIX)
            lines.append(line)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.settimeout(WAIT)
            line.connect(str(path))
            line.sendall(HEAD + BODY)
        for line in lines:
            assert line.recv(12) == b"HTTP/1.1 200"  # and nothing more
        until(lambda: daemon.status()["in_flight"] == count, what="all are held")
        # A small sum for what a timer shows of a machine that does other things too.
        assert p50() < slower * alone + 0.0005
    finally:
        for line in lines:
            line.close()
    until(lambda: daemon.status()["in_flight"] == 0, what="all are let go")
