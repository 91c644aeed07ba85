"""Daemon, client or both are stopped for a while (SIGSTOP) and continue: what came in time counts, and nothing is
blamed for our own sleep."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ASKING = Path(__file__).parents[3] / "support" / "apps" / "asking.py"
WORDS = [f"w{n} " for n in range(12)]
TEXT = "".join(WORDS)
HOWS = ["async-stream", "sync-stream", "async-unary", "sync-unary"]
SHORT = 5.0  # s of sleep
LONG = 30.0  # beyond the silence after which client and daemon give each other up


def config(upstream: Any, patience: float = 2.0, **pool: Any) -> dict[str, Any]:
    """Patience that is shorter than the sleep."""
    limits = {"first_token_timeout": patience, "idle_timeout": patience}
    return {
        "providers": {"p": upstream.provider(timeout=f"{patience}s", max_retries=0, connect_timeout="1s")},
        "models": {"p.m": {"provider": "p", "capabilities": ["chat-completion"]}},
        "pools": {"chat-completion": {"capability": "chat-completion", "stream": limits, **pool}},
        "discovery": {"health": {"interval": "1s", "timeout": "1s", "failure_threshold": 1}},
    }


SLOW_STREAM = {"tokens": WORDS, "chunk_delay": 0.3}
SLOW_ANSWER = {"reply": TEXT, "delay": 1.0}


class Asking:
    def __init__(self, socket: Path, how: str, timeout: float, requests: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ASKING), str(socket), how, str(timeout), str(requests)],
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def came(self) -> list[str]:
        while isinstance(found := self.line(), str):
            pass
        assert self.process.wait(20) == 0
        return list(found)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def asking() -> Iterator[Callable[..., Asking]]:
    made: list[Asking] = []

    def make(*given: Any) -> Asking:
        made.append(Asking(*given))
        return made[-1]

    yield make
    for each in made:
        each.close()


def sleep(seconds: float, *processes: Any) -> None:
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        threading.Event().wait(seconds)
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGCONT)


def under_way(daemon: Any, asked: Asking, how: str, requests: int, eventually: Any, upstream: Any) -> None:
    """Every request is at the provider."""
    eventually(lambda: upstream.served["served"] >= requests, what="all are asked")


def nothing_is_blamed(daemon: Any, requests: int, eventually: Any) -> None:
    (model,) = [row for row in daemon.ask("GET", "/mesh/v1/models")["data"] if row["id"] == "p.m"]
    events = daemon.ask("GET", "/mesh/v1/events?limit=500")["data"]
    assert model.get("failures", 0) == 0, events
    (provider,) = daemon.ask("GET", "/mesh/v1/providers")["data"]
    assert provider["available"], events
    bad = [each for each in events if each["severity"] in ("warning", "error")]
    assert not bad, bad
    assert not [each for each in daemon.ask("GET", "/mesh/v1/pools")["data"] if each["standby"]]


def slept_in_mid_load(
    meshd: Any, upstream: Any, asking: Callable[..., Asking], eventually: Any, how: str, who: str, seconds: float
) -> tuple[Any, Any, Asking]:
    """Eight requests were at the provider during the sleep."""
    server = upstream([SLOW_STREAM if how.endswith("stream") else SLOW_ANSWER])
    daemon = meshd(config(server))
    asked = asking(daemon.socket, how, 60, 8)
    under_way(daemon, asked, how, 8, eventually, server)
    processes = {"daemon": [daemon.process], "client": [asked.process], "both": [daemon.process, asked.process]}[who]
    sleep(seconds, *processes)
    return server, daemon, asked


@pytest.mark.parametrize("who", ["daemon", "client", "both"])
@pytest.mark.parametrize("how", HOWS)
def test_asleep_in_mid_load(
    meshd: Any, upstream: Any, asking: Callable[..., Asking], eventually: Any, how: str, who: str
) -> None:
    server, daemon, asked = slept_in_mid_load(meshd, upstream, asking, eventually, how, who, SHORT)
    assert asked.came() == [TEXT] * 8
    nothing_is_blamed(daemon, 8, eventually)
    assert server.served["served"] == 8, "each was asked once"


@pytest.mark.soak
@pytest.mark.parametrize("who", ["daemon", "client", "both"])
@pytest.mark.parametrize("how", HOWS)
def test_asleep_for_longer_than_a_silence_may_last(
    meshd: Any, upstream: Any, asking: Callable[..., Asking], eventually: Any, how: str, who: str
) -> None:
    """A client that is awake gives up a daemon that sleeps: then each request has its error, and none is sent twice."""
    server, daemon, asked = slept_in_mid_load(meshd, upstream, asking, eventually, how, who, LONG)
    came = asked.came()
    if who == "daemon":
        told = ("StreamInterrupted: ", "RoutingError: This request was cut off while it was at its provider")
        assert all(each == TEXT or each.startswith(told) for each in came), came
    else:
        assert came == [TEXT] * 8
    nothing_is_blamed(daemon, 8, eventually)
    assert server.served["served"] == 8, "each was asked once"
    assert daemon.say().choices[0].message.content == TEXT


@pytest.mark.parametrize("how", HOWS)
def test_an_answer_that_came_before_the_deadline_counts(
    meshd: Any, upstream: Any, asking: Callable[..., Asking], eventually: Any, how: str
) -> None:
    """The deadline of the app itself passes while both sleep; the answer lies in the socket."""
    server = upstream([{"tokens": WORDS[:3], "chunk_delay": 0.3} if how.endswith("stream") else SLOW_ANSWER])
    daemon = meshd(config(server))
    asked = asking(daemon.socket, how, 4, 4)
    under_way(daemon, asked, how, 4, eventually, server)
    sleep(SHORT, daemon.process, asked.process)
    assert asked.came() == ["".join(WORDS[:3]) if how.endswith("stream") else TEXT] * 4
    nothing_is_blamed(daemon, 4, eventually)


def test_what_never_came_still_times_out(
    meshd: Any, upstream: Any, asking: Callable[..., Asking], eventually: Any
) -> None:
    server = upstream([{"fault": "timeout"}])
    daemon = meshd(config(server, retry={"max_attempts": 1}))
    asked = asking(daemon.socket, "async-unary", 60, 1)
    under_way(daemon, asked, "async-unary", 1, eventually, server)
    sleep(1.0, daemon.process)
    began = time.monotonic()
    (what,) = asked.came()
    assert "Timeout" in what
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("who", ["daemon", "client", "both"])
def test_asleep_while_nothing_is_asked(meshd: Any, upstream: Any, eventually: Any, who: str) -> None:
    server = upstream([{"reply": TEXT}])
    daemon = meshd(config(server))
    daemon.say()
    sleep(SHORT, daemon.process)
    assert daemon.say().choices[0].message.content == TEXT
    nothing_is_blamed(daemon, 2, eventually)
    assert server.served["served"] == 2
