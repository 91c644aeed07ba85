"""Requests that wait at a limit of a running daemon: whose turn it is, and how waiting ends.

Apps are processes, told apart by the program that they run: a copy of Python under another name each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import modelmesh

APP = Path(__file__).with_name("queueing_app.py")
PYTHON = Path(os.path.realpath(sys.executable))


class App:
    """One process of `queueing_app.py`, connected."""

    def __init__(self, program: Path, socket: Path, how_many: int) -> None:
        environment = {
            **os.environ,
            "PYTHONHOME": sys.base_prefix,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        command = [str(program), str(APP), str(socket), "chat", str(how_many)]
        self.how_many = how_many
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def next(self) -> dict[str, Any]:
        """The next request that has ended."""
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def all(self) -> list[dict[str, Any]]:
        """Those that have not been told yet, to the last."""
        assert self.process.stdout is not None
        return [json.loads(line) for line in self.process.stdout]

    def close(self) -> None:
        self.process.kill()
        self.process.wait(20)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture
def program(short: Path) -> Callable[[str], Path]:
    """`program(name)`: a Python of that name, which the kernel tells from others."""

    def copied(name: str) -> Path:
        path = short / name
        if not path.exists():
            shutil.copy(PYTHON, path)
        return path

    return copied


@pytest.fixture
def app(program: Callable[[str], Path]) -> Iterator[Callable[..., App]]:
    """`app(name, daemon, how_many)`: a process of that program."""
    made: list[App] = []

    def start(name: str, daemon: Any, how_many: int) -> App:
        made.append(App(program(name), daemon.socket, how_many))
        return made[-1]

    yield start
    for each in made:
        each.close()


def config(server: Any, at_once: int = 2, *, timeout: float | str = "120s", most: int = 1024, **apps: Any) -> Any:
    return {
        "daemon": {"queue_timeout": timeout, "max_queue": most},
        "providers": {"paced": server.provider(rate_limit={"concurrency": at_once})},
        "models": {"paced.chat": {"provider": "paced", "model": "chat", "capabilities": ["chat-completion"]}},
        "pools": {"chat": {"models": ["paced.chat"]}},
        "apps": apps,
        "discovery": {"health": {"enabled": False}},
        "storage": {"sync_interval": "1s"},
    }


def waiting(daemon: Any, app: str | None = None) -> int:
    """How many requests wait, of an app or of all."""
    rows = {row["name"]: row["waiting"] for row in daemon.ask("GET", "/mesh/v1/apps")["data"]}
    return rows.get(app, 0) if app else sum(count for name, count in rows.items() if name != "default")


def the_one_waits(meshd: Any, upstream: Any, app: Any, eventually: Any, many: int, service: float) -> float:
    """How long one request took of an app that has no other, while another app has so many waiting."""
    server = upstream([{"reply": "done", "delay": service}])
    daemon = meshd(config(server))
    greedy, modest = app("greedy", daemon, many), app("modest", daemon, 1)
    greedy.begin()
    arrived = many - 2  # but for the two that are served, and those that were before the last one came
    eventually(lambda: waiting(daemon, "greedy") + server.served["served"] >= arrived, what="all of them wait")
    greedy.next()  # the provider goes from one to the next
    modest.begin()
    alone = modest.next()
    assert alone["status"] == 200
    assert waiting(daemon, "greedy") > 0, "no request waited any more"
    rest = greedy.all()
    assert [each["status"] for each in rest] == [200] * (many - 1)
    assert server.served["served"] == many + 1
    assert waiting(daemon) == 0
    return float(alone["took"])


def test_an_app_with_one_request_waits_no_longer_than_three_service_times(meshd, upstream, app, eventually):
    took = the_one_waits(meshd, upstream, app, eventually, 30, 0.3)
    assert took <= 3 * 0.3


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_an_app_with_one_request_waits_no_longer_though_another_has_five_hundred(meshd, upstream, app, eventually):
    took = the_one_waits(meshd, upstream, app, eventually, 500, 0.2)
    print(f"took {took / 0.2:.2f} service times")
    assert took <= 3 * 0.2


def matching(program: Callable[[str], Path], name: str, **settings: Any) -> dict[str, Any]:
    return {"match": {"exe": str(program(name))}, **settings}


def in_turn(daemon: Any, eventually: Any, apps: list[App]) -> list[str]:
    """Names of the apps in the order in which their requests were answered, of the two that always have some waiting.
    What was sent before both had begun is left out."""
    names = ["first", "second"]
    for each, name in zip(apps, names, strict=True):
        each.begin()
        eventually(lambda name=name: waiting(daemon, name) > 0, what="they wait")
    began = time.monotonic()
    ended = [(each["at"], name) for one, name in zip(apps, names, strict=True) for each in one.all()]
    return [name for at, name in sorted(ended) if at > began]


@pytest.mark.parametrize(("weights", "share"), [((3, 1), 0.75), ((1, 1), 0.5)])
def test_apps_get_turns_by_their_weights(meshd, upstream, app, program, eventually, weights, share):
    server = upstream([{"reply": "done", "delay": 0.05}])
    first, second = (
        matching(program, name, weight=weight) for name, weight in zip(["one", "two"], weights, strict=True)
    )
    daemon = meshd(config(server, first=first, second=second))
    turns = in_turn(daemon, eventually, [app("one", daemon, 60), app("two", daemon, 60)])
    assert turns[:40].count("first") / 40 == pytest.approx(share, abs=0.08)


# -- how waiting ends --------------------------------------------------------------------------------------


def ask(client: Any, text: str = "hi", **options: Any) -> Any:
    return client.chat.completions.create(model="chat", messages=[{"role": "user", "content": text}], **options)


@pytest.fixture
def busy(meshd: Any, upstream: Any, dial: Any, eventually: Any) -> Callable[..., Any]:
    """`busy(**settings)`: (daemon, upstream, line) of a provider whose one place is taken by a request of `line`."""

    def begin(service: float = 30.0, at_once: int = 1, **settings: Any) -> tuple[Any, Any, Any]:
        server = upstream([{"reply": "slow", "delay": service}, {"reply": "quick", "delay": 0.05}])
        daemon = meshd(config(server, at_once, **settings))
        line = dial(daemon.socket)
        line.request_id = line.chat(model="chat")
        eventually(lambda: server.served["open"] == 1, what="the place is taken")
        return daemon, server, line

    return begin


def test_of_two_apps_whose_turn_it_is_the_more_important_goes_first(busy, app, program, eventually):
    apps = {"common": matching(program, "one"), "urgent": matching(program, "two", priority=5)}
    daemon, _, holder = busy(**apps)
    order = [app("one", daemon, 1), app("two", daemon, 1)]
    for each, name in zip(order, apps, strict=True):
        each.begin()
        eventually(lambda name=name: waiting(daemon, name) == 1)
    holder.send(holder.wire.CANCEL, holder.request_id)
    common, urgent = (each.next() for each in order)
    assert urgent["at"] < common["at"]


def test_no_request_waits_longer_than_queue_timeout(busy):
    daemon, server, _ = busy(timeout="300ms")
    began = time.monotonic()
    with pytest.raises(modelmesh.QueueFullError) as caught:
        ask(daemon.client())
    assert 0.3 <= time.monotonic() - began < 5
    assert (caught.value.status_code, caught.value.code) == (429, "queue_full")
    assert caught.value.retry_after
    assert "is at its concurrency limit of 1" in str(caught.value)
    assert (waiting(daemon), server.served["served"]) == (0, 1)


def test_above_max_queue_no_request_waits_at_all(busy, dial, eventually):
    daemon, server, _ = busy(most=2)
    line = dial(daemon.socket)
    for _ in range(2):
        line.chat(model="chat")
    eventually(lambda: waiting(daemon) == 2)
    began = time.monotonic()
    with pytest.raises(modelmesh.QueueFullError) as caught:
        ask(daemon.client())
    assert time.monotonic() - began < 5
    assert caught.value.status_code == 429
    assert caught.value.retry_after
    assert (waiting(daemon), server.served["served"]) == (2, 1)


def test_the_deadline_of_a_waiting_request_is_a_timeout(busy, dial):
    daemon, server, _ = busy()
    line = dial(daemon.socket)
    line.chat(model="chat", deadline_ms=300)
    error = line.receive(line.wire.ERROR)
    assert (error.head.status, error.head.error["code"]) == (504, "timeout")
    assert (waiting(daemon), server.served["served"]) == (0, 1)


@pytest.mark.parametrize("how", ["cancel", "die"])
def test_an_app_that_leaves_while_waiting_leaves_nothing(busy, app, dial, eventually, how):
    daemon, server, holder = busy()
    line, after, dies = dial(daemon.socket), dial(daemon.socket), app("dies", daemon, 5)
    if how == "die":
        dies.begin()
    else:
        ids = [line.chat(model="chat") for _ in range(5)]
    eventually(lambda: waiting(daemon) == 5)
    last = after.chat(model="chat")
    eventually(lambda: waiting(daemon) == 6)
    if how == "die":
        dies.process.kill()
    else:
        for request_id in ids:
            line.send(line.wire.CANCEL, request_id)
    eventually(lambda: waiting(daemon) == 1, what="only the other waits")
    holder.send(holder.wire.CANCEL, holder.request_id)
    assert after.receive(after.wire.RESPONSE).request_id == last
    assert server.served["served"] == 2
    assert daemon.model("paced.chat")["in_flight"] == 0


def test_a_reload_that_raises_the_limit_lets_those_who_wait_on_at_once(busy, dial, eventually):
    daemon, server, _ = busy()
    line = dial(daemon.socket)
    for _ in range(3):
        line.chat(model="chat")
    eventually(lambda: waiting(daemon) == 3)
    daemon.write(config(server, 4))
    began = time.monotonic()
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    for _ in range(3):
        assert json.loads(line.receive(line.wire.RESPONSE).body)["choices"][0]["message"]["content"] == "quick"
    assert time.monotonic() - began < 10
    assert waiting(daemon) == 0


def test_a_waiting_request_is_answered_by_a_model_that_is_switched_on(meshd, upstream, dial, eventually):
    """Though the model whose place it waits for is still busy."""
    server = upstream({"script": {"chat": [{"reply": "slow", "delay": 30}], "spare": [{"reply": "spare"}]}})
    settings = config(server, 1)
    settings["providers"]["other"] = server.provider()
    settings["models"]["other.spare"] = {"provider": "other", "model": "spare", "capabilities": ["chat-completion"]}
    settings["pools"]["chat"]["models"].append("other.spare")
    daemon = meshd(settings)
    daemon.ask("POST", "/mesh/v1/models/deactivate", {"id": "other.spare"})
    line = dial(daemon.socket)
    line.chat(model="chat")
    eventually(lambda: server.served["open"] == 1)
    line.chat(model="chat")
    eventually(lambda: waiting(daemon) == 1)
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": "other.spare"})
    assert line.receive(line.wire.RESPONSE, 10).head.mesh["model"] == "other.spare"


def test_many_requests_of_one_app_are_answered_in_order(meshd, upstream):
    server = upstream([{"echo": True, "delay": 0.005}])
    daemon = meshd(config(server, 1))

    async def main() -> list[str]:
        ended: list[str] = []

        async def one(client: Any, number: int) -> None:
            answer = await ask(client, str(number))
            ended.append(answer.choices[0].message.content.rpartition(" ")[2])

        async with daemon.async_client() as client:
            await client.models.list()
            await asyncio.gather(*(one(client, number) for number in range(100)))
        return ended

    assert asyncio.run(main()) == [str(number) for number in range(100)]
