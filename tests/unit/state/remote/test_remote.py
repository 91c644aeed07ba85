"""A keeper whose storage is remote: a copy, which may be slow, hung, killed or in use, without harm."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.storage.open import open_storage
from meshd.sdk.storage import Claim, Grant
from meshd.spend.recovered import COVERED
from meshd.state.keeper import StateKeeper
from meshd.state.remote import lease
from meshd.state.remote.copier import Patience
from meshd.state.remote.lease import StorageInUse
from tests.support.keeping import DAY_CHAT, crash, opened, settings_of, spend, writer
from tests.support.storages.all_kinds import KINDS, REMOTE
from tests.support.storages.faulty import FAULTS, Faulty
from tests.support.storages.servers import Once, Postgresql, Redis
from tests.support.waiting import until


@pytest.fixture(scope="module")
def once() -> Iterator[Once]:
    servers = Once()
    yield servers
    servers.close()


@pytest.fixture(params=REMOTE)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class House:
    """Daemons' directories, and the storage that they have in common."""

    def __init__(self, kind: str, once: Once, directory: Path, start: float = Patience().start, **given: Any) -> None:
        self.directory = directory
        self.patience = Patience(start, first_retry=0.05, longest_retry=0.1, between_copies=0.1)
        settings = {**KINDS[kind](once, directory), "shared": False, **given}
        self.given: dict[str, Any] = {"connector": kind, "settings": settings, "sync_interval": 0.05}
        self.reports: list[str] = []
        self.keepers: list[StateKeeper] = []

    def open(self, name: str, **more: Any) -> StateKeeper:
        keeper = opened(self.directory / name, None, self.reports, self.patience, **{**self.given, **more})
        self.keepers.append(keeper)
        return keeper

    def copied(self, keeper: StateKeeper) -> None:
        keeper.sync()
        until(lambda: not keeper.remote.status()["pending"] and keeper.remote.status()["copied_at"])

    def close(self) -> None:
        for keeper in self.keepers:
            keeper.close()


@pytest.fixture
def house(kind: str, once: Once, tmp_path: Path) -> Iterator[House]:
    built = House(kind, once, tmp_path)
    yield built
    built.close()


def cost(keeper: StateKeeper) -> int:
    return int(keeper.load().tables["usage"].get(DAY_CHAT, {"cost": 0})["cost"])


def test_another_machine_continues_where_the_first_ended(house: House) -> None:
    first = house.open("first", format="msgpack", compression="zstd", key="ab" * 32)
    spend(writer(first), 40)
    first.changed("provider", "p", {"auth_valid": False})
    first.changed("provider", "gone", {"a": 1})
    first.changed("response", "r", {"text": "what an app said"})
    first.changed("file", "f", {"path": "only here"})
    first.statistics_changed({COVERED: {"until": 1.0}})
    first.sync()
    first.changed("provider", "gone", None)
    house.copied(first)
    first.close()
    raw = open_storage(house.given["connector"], house.given["settings"], house.directory)
    stored = dict(raw.items())
    raw.close()
    assert not any(b"what an app said" in value or b"auth_valid" in value for value in stored.values())
    second = house.open("second", key="ab" * 32)
    tables = second.load().tables
    assert tables["provider"] == {"p": {"auth_valid": False}}
    assert tables["response"] == {"r": {"text": "what an app said"}}
    assert not tables["file"]
    assert cost(second) == 40
    spend(writer(second), 3)
    house.copied(second)
    assert cost(second) == 43
    second.close()
    first = house.open("first", key="ab" * 32)
    assert cost(first) == 43
    first.close()


def test_a_second_daemon_waits_and_is_refused_with_the_holders_name(house: House) -> None:
    first = house.open("first")
    with pytest.raises(StorageInUse, match=r"in use by the daemon \S+:\S+first"):
        house.open("second", lease_timeout=0.2, lease_retry=0.05)
    first.close()
    second = house.open("second", lease_timeout=5.0, lease_retry=0.05)
    house.copied(second)
    second.close()


def test_a_start_that_waited_for_the_lease_has_what_was_spent(once: Once, tmp_path: Path) -> None:
    """Longer than for a storage that says nothing."""
    house = House("redis.redis.v1", once, tmp_path, start=1.0)
    first = house.open("first")
    spend(writer(first), 40)
    house.copied(first)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(house.open, "second", lease_timeout=20.0, lease_retry=0.05)
        with pytest.raises(TimeoutError):
            second.result(1.2)
        first.close()
        assert cost(second.result(20)) == 40
    house.close()


def test_a_daemon_that_restarts_has_its_own_lease_at_once(house: House) -> None:
    first = house.open("first")
    house.copied(first)
    crash(first)
    again = house.open("first", lease_timeout=0.0)
    house.copied(again)


def test_a_lease_that_was_taken_away_ends_the_copying(house: House) -> None:
    first = house.open("first")
    house.copied(first)
    other = open_storage(house.given["connector"], house.given["settings"], house.directory)
    first_holder = other.is_locked("state")
    until(lambda: other.release("state", first_holder) and other.acquire("state", "thief", 60))
    until(lambda: "thief" in first.remote.status()["error"])
    first.changed("provider", "p", {"a": 1})
    first.sync()
    assert first.status().ok
    assert other.load("table/provider/p") is None
    assert other.release("state", "thief")
    until(lambda: (first.sync(), other.load("table/provider/p"))[1])
    assert house.reports == ["storage_unreachable", "storage_recovered"]
    other.close()


def test_without_locking_there_is_no_lease(house: House) -> None:
    first, second = house.open("first", lease=False), house.open("second", lease=False)
    house.copied(first)
    house.copied(second)


@pytest.mark.parametrize("how", ["hung", "killed"])
@pytest.mark.parametrize("server", [Redis, Postgresql])
def test_a_storage_that_stops_working_delays_nothing_and_is_caught_up(
    once: Once, server: type, how: str, tmp_path: Path
) -> None:
    kind = {Redis: "redis.redis.v1", Postgresql: "postgresql.postgresql.v1"}[server]
    house = House(kind, once, tmp_path, timeout=0.3)
    running = once(server)
    keeper = house.open("first")
    house.copied(keeper)
    journal = writer(keeper)
    running.hang() if how == "hung" else running.kill()
    spend(journal, 40)
    keeper.changed("provider", "p", {"a": 1})
    keeper.sync()
    assert keeper.status().ok
    until(lambda: keeper.remote.status()["error"])
    spend(journal, 2, number=1)
    keeper.sync()
    assert keeper.status().pending == 0
    assert keeper.remote.status()["pending"]
    running.resume() if how == "hung" else running.start()
    house.copied(keeper)
    assert house.reports == ["storage_unreachable", "storage_recovered"]
    keeper.close()
    second = house.open("second")
    assert cost(second) == 42
    house.close()


@pytest.mark.parametrize("kind", ["aws.s3.v1", "google.drive.v1"])
def test_a_service_that_fails_in_any_way_is_caught_up(kind: str, once: Once, tmp_path: Path) -> None:
    faulty = Faulty(kind, once, tmp_path)
    house = House(kind, once, tmp_path, **faulty.settings, timeout=0.3)
    keeper = house.open("first")
    house.copied(keeper)
    journal = writer(keeper)
    for number, fault in enumerate(FAULTS):
        faulty.service.fault = fault
        spend(journal, 10, number=number)
        keeper.changed("provider", "p", {"a": number})
        keeper.sync()
        until(lambda: keeper.remote.status()["error"])
        assert keeper.status().ok
        faulty.service.fault = ""
        house.copied(keeper)
    assert house.reports.count("storage_recovered") >= len(FAULTS)
    keeper.close()
    second = house.open("second")
    assert cost(second) == 10 * len(FAULTS)
    assert second.load().tables["provider"] == {"p": {"a": len(FAULTS) - 1}}
    house.close()
    faulty.close()


def test_a_start_without_the_storage_knows_what_others_had_spent(once: Once, tmp_path: Path) -> None:
    house = House("redis.redis.v1", once, tmp_path, timeout=0.3)
    server = once(Redis)
    first = house.open("first")
    spend(writer(first), 40)
    house.copied(first)
    first.close()
    second = house.open("second")
    house.copied(second)
    second.close()
    server.kill()
    second = house.open("second")
    assert cost(second) == 40
    third = house.open("third")
    assert cost(third) == 0
    second.close()
    server.start()
    until(lambda: (third.sync(), third.take_news())[1])
    assert cost(third) == 40
    house.copied(third)
    house.close()


def test_who_ends_without_the_storage_keeps_its_parts(once: Once, tmp_path: Path) -> None:
    house = House("redis.redis.v1", once, tmp_path)
    server = once(Redis)
    answers: list[tuple[dict[str, Grant], bool]] = []

    def divide(keeper: StateKeeper, claim: Claim, *, first: bool = False) -> tuple[Grant, bool]:
        answers.clear()
        keeper.divide([claim], lambda grants, connected: answers.append((grants, connected)), first=first)
        [(grants, connected)] = until(lambda: answers)
        return grants["k"], connected

    keeper = house.open("first")
    assert divide(keeper, Claim("k", 100, 0, 0), first=True) == (Grant(100, 0, 100), True)
    assert divide(keeper, Claim("k", 100, 0, 60)) == (Grant(100, 0, 100), True)
    server.kill()
    assert divide(keeper, Claim("k", 100, 0, 60)) == (Grant(60), False)
    assert divide(keeper, Claim("k", 100, 0, 0, last=True)) == (Grant(0), False)
    keeper.close()
    again = house.open("first")
    assert divide(again, Claim("k", 100, 0, 0), first=True) == (Grant(60), False)
    server.start()
    until(lambda: not again.remote.status()["error"])
    assert divide(again, Claim("k", 100, 0, 0, last=True))[1]
    again.close()
    last = house.open("first")
    assert divide(last, Claim("k", 100, 0, 0, last=True), first=True) == (Grant(0, 0, 100), True)
    house.close()


def test_a_new_directory_waits_for_what_was_spent_elsewhere(once: Once, tmp_path: Path) -> None:
    house = House("redis.redis.v1", once, tmp_path, start=0.2)
    server = once(Redis)
    first = house.open("first")
    assert first.load().unread == ""
    spend(writer(first), 40)
    house.copied(first)
    first.close()
    server.kill()
    second = house.open("second")
    assert "the state directory is new" in second.load().unread
    assert second.take_late() is None
    crash(second)
    second = house.open("second")
    assert "the state directory is new" in second.load().unread
    server.start()
    until(lambda: second.sync() and not second.remote.unmet)
    assert sum(sums.cost for key, sums in second.take_news().items() if key[1] == "pool") == 40
    late = second.take_late()
    assert late is not None
    assert (late.late, late.tables) == (True, {})
    assert second.load().unread == ""
    for compression in ("zstd", "none"):  # each reload opens the storage again
        assert second.prepare(settings_of(**{**house.given, "compression": compression})) == ""
        second.commit()
        assert not any(sums.cost for sums in second.take_news().values())
    assert cost(second) == 40
    house.close()


def test_a_storage_that_comes_back_empty_gets_everything(once: Once, tmp_path: Path) -> None:
    house = House("redis.redis.v1", once, tmp_path)
    server = once(Redis)
    keeper = house.open("first")
    spend(writer(keeper), 40)
    house.copied(keeper)
    server.kill()
    until(lambda: keeper.remote.status()["error"])
    server.forget()
    server.start()
    until(lambda: not keeper.remote.status()["error"])
    house.copied(keeper)
    until(lambda: (keeper.sync(), not keeper.remote.status()["pending"])[1])
    keeper.close()
    second = house.open("second")
    assert cost(second) == 40
    house.close()


def test_a_full_storage_is_told_and_caught_up(once: Once, tmp_path: Path) -> None:
    house = House("redis.redis.v1", once, tmp_path)
    keeper = house.open("first")
    house.copied(keeper)
    with once(Redis).client() as client:
        client.config_set("maxmemory", "1")
        keeper.changed("provider", "p", {"a": 1})
        keeper.sync()
        until(lambda: "memory" in keeper.remote.status()["error"])
        assert keeper.status().ok
        client.config_set("maxmemory", "0")
    house.copied(keeper)
    house.close()


def test_another_storage_is_taken_into_use_at_a_reload(once: Once, tmp_path: Path) -> None:
    house = House("redis.redis.v1", once, tmp_path)
    keeper = opened(tmp_path / "first", connector="modelmesh.local-file.v1")
    keeper.changed("provider", "p", {"a": 1})
    spend(writer(keeper), 40)
    remote = settings_of(**house.given)
    assert keeper.prepare(remote) == ""
    keeper.commit()
    house.copied(keeper)
    assert cost(keeper) == 40
    taken = opened(tmp_path / "second")
    assert "in use by the daemon" in taken.prepare(settings_of(**house.given, lease_timeout=0.0))
    taken.discard()
    keeper.close()
    assert taken.prepare(remote) == ""
    taken.commit()
    assert taken.take_news()
    assert cost(taken) == 40
    taken.close()


def test_a_lease_knows_when_it_may_have_ended(tmp_path: Path) -> None:
    storage = open_storage("modelmesh.memory.v1", {}, tmp_path)
    held = lease.StateLease(storage, "l", "me")
    assert not held.lasts(0)
    assert held.renew() == ""
    assert held.lasts(1)
    assert not held.lasts(lease.LEASE)
    held.give_back()
    assert not held.lasts(0)
    assert storage.is_locked("l") == ""
