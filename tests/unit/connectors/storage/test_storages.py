"""Every storage connector keeps the same promises."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from meshd.connectors.storage import sizes
from meshd.connectors.storage.encoded import EncodedStorage, Form
from meshd.connectors.storage.open import open_storage
from meshd.connectors.storage.sqlite import SqliteStorage
from meshd.sdk.storage import Storage, StorageError, StorageReset
from modelmesh import ConfigurationError
from tests.support.storages.all_kinds import KINDS, REMOTE, Open, opener
from tests.support.storages.faulty import Faulty
from tests.support.storages.servers import Once, Redis
from tests.support.waiting import until


@pytest.fixture(scope="module")
def once() -> Iterator[Once]:
    servers = Once()
    yield servers
    servers.close()


@pytest.fixture(params=KINDS)
def another(request: pytest.FixtureRequest, once: Once, tmp_path: Path) -> Iterator[Open]:
    """Opens one more storage on the same data."""
    opened: list[Storage] = []
    yield opener(request.param, once, tmp_path, opened)
    for each in opened:
        each.close()


@pytest.fixture
def storage(another: Open) -> Storage:
    return another()


class TestEveryStorage:
    def test_values(self, storage: Storage) -> None:
        assert storage.load("a") is None
        storage.save("a/1", b"one")
        storage.save("a/2\x1fx", b"\x00two")
        storage.save("b", b"")
        assert storage.load("a/2\x1fx") == b"\x00two"
        assert storage.load("b") == b""
        assert storage.list("a/") == ["a/1", "a/2\x1fx"]
        assert dict(storage.items("a/")) == {"a/1": b"one", "a/2\x1fx": b"\x00two"}
        found = storage.stat("a/1")
        assert found is not None
        assert found.size == 3
        assert abs(found.modified - time.time()) < 100
        assert storage.exists("b")
        assert storage.delete("b")
        assert not storage.delete("b")
        assert not storage.exists("b")

    def test_keys_are_any_text(self, storage: Storage) -> None:
        keys = sorted(["it's", "50%", "a\\b", "ä/ö", "*", "a b", "x' or name = 'y", "café/../..", "_", "[a]"])
        for key in keys:
            storage.save(key, key.encode())
        assert storage.list() == keys
        assert all(storage.load(key) == key.encode() for key in keys)
        assert storage.list("*") == ["*"]
        assert storage.list("_") == ["_"]

    def test_many_at_once(self, storage: Storage) -> None:
        storage.save("gone", b"x")
        storage.save_many({"a": b"1", "gone": None, "b": b"2", "never": None})
        assert storage.list() == ["a", "b"]
        storage.save_many({})
        storage.flush()

    def test_a_value_is_replaced_whole(self, storage: Storage, another: Open) -> None:
        large = bytes(range(256)) * 1024
        storage.save("k", large)
        other = another()
        assert other.load("k") == large
        storage.save("k", b"small")
        assert other.load("k") == b"small"

    def test_writers_at_the_same_time_leave_whole_values(self, another: Open) -> None:
        values = [bytes([number]) * 5000 for number in range(3)]

        def write(value: bytes) -> None:
            storage = another()
            for number in range(3):
                storage.save_many({f"k{number}": value, f"own{value[0]}": value})

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(write, values))
        storage = another()
        assert [storage.load(f"own{value[0]}") for value in values] == values
        assert all(storage.load(f"k{number}") in values for number in range(3))

    def test_a_lease_has_one_holder(self, storage: Storage, another: Open) -> None:
        other = another()
        assert storage.is_locked("l") == ""
        assert storage.acquire("l", "first", 60)
        assert storage.acquire("l", "first", 60)
        assert not other.acquire("l", "second", 60)
        assert other.acquire("another", "second", 60)
        assert other.is_locked("l") == "first"
        assert not other.release("l", "second")
        assert storage.release("l", "first")
        assert not storage.release("l", "first")
        assert storage.is_locked("l") == ""
        assert other.acquire("l", "second", 60)
        assert storage.is_locked("l") == "second"
        assert not storage.list()

    def test_a_lease_that_ended_is_taken_and_its_holder_learns_it(self, storage: Storage, another: Open) -> None:
        other = another()
        assert storage.acquire("l", "first", 0.5)
        until(lambda: other.acquire("l", "second", 60), 10, "taken")
        assert not storage.acquire("l", "first", 60)
        assert not storage.release("l", "first")
        assert other.is_locked("l") == "second"

    def test_of_many_who_want_a_lease_one_gets_it(self, another: Open) -> None:
        holders = [f"h{number}" for number in range(4)]
        storages = {holder: another() for holder in holders}
        with ThreadPoolExecutor(4) as pool:
            got = [*pool.map(lambda holder: storages[holder].acquire("l", holder, 60), holders)]
        # Where all withdraw from a tie, the next attempt decides.
        if not any(got):
            got = [storages[holder].acquire("l", holder, 60) for holder in holders]
        assert sum(got) == 1
        assert storages["h0"].is_locked("l") == holders[got.index(True)]

    def test_values_have_a_form_of_their_own(self, another: Open) -> None:
        form = Form(msgpack=True, zstd=True, key=os.urandom(32))
        raw = another()
        raw.save("plain", b'{"a":1}')
        storage = EncodedStorage(another(), form)
        value = b'{"name":"' + b"secret " * 100 + b'"}'
        storage.save_many({"a": value, "b": b"not JSON"})
        assert storage.load("a") == value
        assert dict(storage.items()) == {"a": value, "b": b"not JSON", "plain": b'{"a":1}'}
        stored = raw.load("a") or b""
        assert b"secret" not in stored
        assert len(stored) < 100
        raw.save("c", stored)
        with pytest.raises(StorageError, match="damaged"):
            storage.load("c")


def test_what_another_wrote_into_redis_is_no_fault(once: Once, tmp_path: Path) -> None:
    settings = KINDS["redis.redis.v1"](once, tmp_path)
    storage = open_storage("redis.redis.v1", settings, tmp_path)
    storage.save("k", b"v")
    with once(Redis).client() as client:
        client.hset(f"{{{settings['prefix']}}}:values", mapping={b"\xff\xfe": b"x", "short": b"x"})
    assert storage.load("k") == b"v"
    assert {key: value for key, value in storage.items() if value} == {"k": b"v"}
    assert storage.load("short") == b""
    with pytest.raises(StorageError, match="damaged"):
        storage.stat("short")
    storage.close()


@pytest.mark.parametrize("kind", ["redis.redis.v1", "postgresql.postgresql.v1", "aws.s3.v1"])
def test_a_value_of_enormous_size_is_not_read(
    kind: str, once: Once, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage(kind, KINDS[kind](once, tmp_path), tmp_path)
    values = {f"k{number}": bytes([number]) * 3_500_000 for number in range(5)}  # more than is read at once
    storage.save_many(values)
    assert dict(storage.items()) == values
    monkeypatch.setattr(sizes, "MOST_BYTES", 3_499_000)
    with pytest.raises(StorageError, match=r"the value of 'k0' has [0-9,]+ bytes, more than"):
        storage.load("k0")
    with pytest.raises(StorageError, match="more than"):
        list(storage.items())
    storage.close()


@pytest.mark.parametrize("kind", ["aws.s3.v1", "google.drive.v1"])
def test_an_answer_of_something_else_is_neither_a_value_nor_a_success(kind: str, once: Once, tmp_path: Path) -> None:
    faulty = Faulty(kind, once, tmp_path)
    storage = open_storage(kind, faulty.settings, tmp_path)
    storage.save("k", b"v")
    faulty.service.fault = "rambles"
    for work in (
        lambda: storage.save("k", b"w"), lambda: storage.save("new", b"w"), lambda: storage.load("k"),
        lambda: storage.delete("k"), lambda: storage.list(), lambda: storage.stat("k"),
        lambda: storage.acquire("l", "me", 60), lambda: storage.is_locked("l"),
    ):  # fmt: skip
        with pytest.raises(StorageError):
            work()
    faulty.service.fault = ""
    assert dict(storage.items()) == {"k": b"v"}
    storage.close()
    faulty.close()


@pytest.mark.parametrize("id", ["modelmesh.sqlite.v1", "modelmesh.local-file.v1"])
def test_what_is_in_files_outlives_the_storage_and_is_private(id: str, tmp_path: Path) -> None:
    first = open_storage(id, {}, tmp_path)
    first.save("k", b"v")
    second = open_storage(f"storage.{id}", {}, tmp_path)
    first.close()
    assert second.load("k") == b"v"
    second.close()
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            assert stat.S_IMODE(os.stat(Path(folder, name)).st_mode) & 0o077 == 0


def test_an_unknown_connector_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sqlite"):
        open_storage("modelmesh.sqlit.v1", {}, tmp_path)


def test_local_file_keeps_a_backup(tmp_path: Path) -> None:
    storage = open_storage("modelmesh.local-file.v1", {"path": str(tmp_path), "backup": True}, tmp_path)
    storage.save("k", b"1")
    storage.save("k", b"2")
    assert (tmp_path / "k.value.backup").read_bytes() == b"1"
    assert storage.list() == ["k"]


# -- SQLite --------------------------------------------------------------------------------------------


def test_a_corrupt_file_is_moved_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state.sqlite3").write_bytes(b"this was never a database" * 100)
    storage = SqliteStorage({}, tmp_path)
    storage.save("k", b"v")
    assert "moved to" in caplog.text
    aside = next(tmp_path.glob("state.sqlite3.corrupt-*"))
    assert aside.read_bytes().startswith(b"this was")
    storage.close()


def test_a_file_that_rots_while_it_is_open_is_reported_and_begun_afresh(tmp_path: Path) -> None:
    storage = SqliteStorage({}, tmp_path)
    for number in range(2000):
        storage.save(f"key/{number}", os.urandom(200))
    storage.flush()
    storage.close()
    size = (tmp_path / "state.sqlite3").stat().st_size
    with open(tmp_path / "state.sqlite3", "r+b") as file:
        file.seek(size // 3)
        file.write(os.urandom(size // 2))
    storage = SqliteStorage({}, tmp_path)
    with pytest.raises(StorageReset):
        for _ in storage.items():
            pass
    storage.save("k", b"v")
    assert storage.list() == ["k"]


def test_a_batch_is_all_or_nothing(tmp_path: Path) -> None:
    storage = SqliteStorage({}, tmp_path)
    storage.save("a", b"old")
    with contextlib.closing(sqlite3.connect(tmp_path / "state.sqlite3")) as other:
        other.execute("CREATE TRIGGER no BEFORE INSERT ON kv WHEN NEW.key = 'bad' BEGIN SELECT RAISE(FAIL, 'no'); END")
    with pytest.raises(StorageError):
        storage.save_many({"a": b"new", "bad": b"x"})
    assert storage.load("a") == b"old"


def test_an_absent_directory_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        SqliteStorage({}, tmp_path / "absent")


@pytest.mark.parametrize("kind", REMOTE)
def test_many_daemons_come_to_an_empty_place_at_the_same_time(kind: str, once: Once, tmp_path: Path) -> None:
    for number in range(5):
        place = tmp_path / str(number)
        place.mkdir()
        opened: list[Storage] = []
        began, make = threading.Barrier(6, timeout=20), opener(kind, once, place, opened)

        def come(own: int, began: threading.Barrier = began, make: Open = make) -> None:
            began.wait()
            make().save(f"k{own}", b"whole")

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(come, range(6)))
        assert sorted(opened[0].list()) == [f"k{own}" for own in range(6)]
        for each in opened:
            each.close()
