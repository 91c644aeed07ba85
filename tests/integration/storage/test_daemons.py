"""Real daemons on a real Redis: it hangs, dies, fills up and comes back under load, and two share a budget."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshd.cli.show.status import troubles
from modelmesh.errors import MeshError
from tests.support.daemons.daemon import Daemon
from tests.support.storages.servers import Redis
from tests.support.waiting import until

PRICE = 0.1  # USD a request
QUIET = {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}}


def config(redis: Redis, limit: float, **storage: Any) -> dict[str, Any]:
    return {
        "providers": {
            "p": {
                "connector": "modelmesh.scripted.v1",
                "script": [{"reply": "hello"}],
                "cycle": True,
                "pricing": {"per_request": PRICE, "input_per_1m": 0, "output_per_1m": 0},
                "budget": {"daily_limit": limit, "enforce": True},
            }
        },
        "models": {"p.chat": {"provider": "p", "capabilities": ["chat-completion"]}},
        "pools": {"chat": {"models": ["p.chat"], "on_budget_exceeded": "error"}},
        "discovery": QUIET,
        "storage": {
            "connector": "redis.redis.v1",
            "url": redis.url,
            "timeout": "300ms",
            "sync_interval": "200ms",
            "durability": "power",
            **storage,
        },
    }


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.close()


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[list[Daemon]]:
    running: list[Daemon] = []
    yield running
    for each in running:
        each.close()


def started(daemons: list[Daemon], directory: Path, given: dict[str, Any]) -> Daemon:
    directory.mkdir()
    daemons.append(Daemon(directory, given))
    return daemons[-1].start()


class Load:
    """Requests one after the other, until it is left."""

    def __init__(self, daemon: Daemon) -> None:
        self.answered = 0
        self.errors: list[Exception] = []
        self._over = threading.Event()
        self._client = daemon.client()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hi"}])
                self.answered += 1
            except Exception as error:
                self.errors.append(error)

    def more(self, count: int = 20) -> None:
        wanted = self.answered + count
        until(lambda: self.answered >= wanted or self.errors, what="more answers")

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)


def remote(daemon: Daemon) -> Any:
    return daemon.status()["state"]["remote"]


def test_a_redis_that_fails_under_load_fails_no_request_and_gets_everything(
    redis: Redis, daemons: list[Daemon], tmp_path: Path
) -> None:
    daemon = started(daemons, tmp_path / "first", config(redis, 100_000, node="load", prefix="load"))
    with Load(daemon) as load, redis.client() as client:
        load.more()
        redis.hang()
        until(lambda: remote(daemon)["error"])
        assert any(line.startswith("storage: Redis at") for line, _ in troubles(daemon.status()))
        load.more()
        redis.resume()
        until(lambda: not remote(daemon)["error"])
        redis.kill()
        until(lambda: remote(daemon)["error"])
        load.more()
        redis.start()
        until(lambda: not remote(daemon)["error"])
        client.config_set("maxmemory", "1")
        until(lambda: "memory" in remote(daemon)["error"])
        load.more()
        client.config_set("maxmemory", "0")
        until(lambda: not remote(daemon)["error"])
        load.more()
    assert load.errors == []
    daemon.kill()
    daemon.start()
    spent = daemon.ask("GET", "/mesh/v1/budget")["data"][0]["spent"]
    assert spent == pytest.approx(load.answered * PRICE)
    until(lambda: remote(daemon)["copied_at"] and not remote(daemon)["pending"])
    daemon.stop()


def test_two_daemons_spend_one_budget(redis: Redis, daemons: list[Daemon], tmp_path: Path) -> None:
    given = [config(redis, 2.0, node=name, prefix="shared") for name in ("one", "two")]
    one, two = (started(daemons, tmp_path / each["storage"]["node"], each) for each in given)
    answered, codes = 0, set()
    for daemon in (one, two, one, one):
        for _ in range(10):
            try:
                daemon.say(model="chat")
                answered += 1
            except MeshError as error:
                codes.add(error.code)
    assert answered == 20
    assert codes == {"budget_exceeded"}
    rows = [daemon.ask("GET", "/mesh/v1/budget")["data"][0] for daemon in (one, two)]
    assert sum(row["spent"] - row["elsewhere"] for row in rows) == pytest.approx(2.0)
    with pytest.raises(MeshError, match="spent"):
        two.say(model="chat")


def test_two_daemons_of_one_name_are_not_both_started(redis: Redis, daemons: list[Daemon], tmp_path: Path) -> None:
    given = config(redis, 1.0, node="same", prefix="same", locking={"timeout": "200ms"})
    started(daemons, tmp_path / "first", given)
    (tmp_path / "second").mkdir()
    second = Daemon(tmp_path / "second", given)
    daemons.append(second)
    second.spawn()
    assert second.wait() != 0
    assert "is in use by the daemon" in second.log()
