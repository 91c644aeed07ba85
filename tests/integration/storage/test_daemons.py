"""Real daemons on a real Redis: it hangs, dies, fills up and comes back under load, and two share a budget."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from meshd.cli.show.status import troubles
from modelmesh.errors import MeshError
from tests.support.daemons import stored
from tests.support.daemons.clocks.clocked import Clock
from tests.support.daemons.daemon import Daemon
from tests.support.daemons.stored import PRICE, Load, remote, spent, started
from tests.support.storages.servers import Redis
from tests.support.waiting import until

NOON = 1_795_694_400.0  # 2026-11-26 12:00 UTC


def config(redis: Redis, limit: float, **storage: Any) -> dict[str, Any]:
    given = {"connector": "redis.redis.v1", "url": redis.url, "timeout": "300ms", "durability": "power", **storage}
    return stored.config(limit, **given)


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.close()


def answered(daemon: Daemon, count: int) -> int:
    """Of so many requests; the others are refused for the budget."""
    codes = []
    for _ in range(count):
        try:
            daemon.say(model="chat")
        except MeshError as error:
            codes.append(error.code)
    assert codes == ["budget_exceeded"] * len(codes)
    return count - len(codes)


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
    assert spent(daemon) == pytest.approx(load.answered * PRICE)
    until(lambda: remote(daemon)["copied_at"] and not remote(daemon)["pending"])
    daemon.stop()


def test_two_daemons_spend_one_budget(redis: Redis, daemons: list[Daemon], tmp_path: Path) -> None:
    given = [config(redis, 2.0, node=name, prefix="shared") for name in ("one", "two")]
    one, two = (started(daemons, tmp_path / each["storage"]["node"], each) for each in given)
    assert sum(answered(daemon, 10) for daemon in (one, two, one, one)) == 20
    rows = [daemon.ask("GET", "/mesh/v1/budget")["data"][0] for daemon in (one, two)]
    assert sum(row["spent"] - row["elsewhere"] for row in rows) == pytest.approx(2.0)
    with pytest.raises(MeshError, match="spent"):
        two.say(model="chat")


def test_days_that_begin_without_redis_are_divided(redis: Redis, daemons: list[Daemon], short: Path) -> None:
    given = {name: config(redis, 2.0, node=name, prefix="days") for name in ("one", "two")}
    clock = Clock(short)
    clock.set(NOON)
    one, two = (started(daemons, short / name, each, env=clock.env) for name, each in given.items())
    tomorrow = datetime.fromtimestamp(NOON + 86400, UTC).date().isoformat()
    limit = "{days}:limit:" + "\x1f".join(("provider", "p", "cost", tomorrow))
    with redis.client() as client:
        half = [b"1000000000"] * 2
        until(lambda: [row.split()[0] for row in client.hvals(limit)] == half, what="each has half of the next day")
    assert answered(one, 3) == 3
    redis.kill()
    until(lambda: all(remote(daemon)["error"] for daemon in (one, two)))
    clock.set(NOON + 86400)
    assert answered(one, 6) == 6
    one.kill()
    one.start()
    assert [answered(one, 6), answered(two, 12)] == [4, 10]
    clock.set(NOON + 2 * 86400)
    assert [answered(one, 12), answered(two, 4)] == [10, 4]
    redis.start()
    until(lambda: not any(remote(daemon)["error"] for daemon in (one, two)))
    assert answered(two, 6) == 6
    until(lambda: all(spent(daemon) == pytest.approx(2.0) for daemon in (one, two)))
    assert [answered(one, 1), answered(two, 1)] == [0, 0]


@pytest.mark.soak
@pytest.mark.timeout(200)
def test_a_redis_that_loses_its_last_writes(daemons: list[Daemon], tmp_path: Path) -> None:
    """As when a replica takes over: both daemons had been granted more since."""
    redis, kept = Redis(), tmp_path / "kept"
    given = [config(redis, 150.0, node=name, prefix="lost") for name in ("one", "two")]
    one, two = (started(daemons, tmp_path / each["storage"]["node"], each) for each in given)
    with Load(one, pause=0.01) as first:
        first.more(100)
        with Load(two, pause=0.005) as second:
            shutil.copytree(redis.directory / "appendonlydir", kept)
            second.more(300)
            redis.kill()
            shutil.rmtree(redis.directory / "appendonlydir")
            shutil.copytree(kept, redis.directory / "appendonlydir")
            redis.start()
            until(lambda: first.errors and second.errors, 120, "the budget is used up")
    until(lambda: all(spent(daemon) == pytest.approx(150.0) for daemon in (one, two)))
    assert first.answered + second.answered == 1500
    redis.close()


def test_two_daemons_of_one_name_are_not_both_started(redis: Redis, daemons: list[Daemon], tmp_path: Path) -> None:
    given = config(redis, 1.0, node="same", prefix="same", locking={"timeout": "200ms"})
    started(daemons, tmp_path / "first", given)
    (tmp_path / "second").mkdir()
    second = Daemon(tmp_path / "second", given)
    daemons.append(second)
    second.spawn()
    assert second.wait() != 0
    assert "is in use by the daemon" in second.log()
