"""Every storage connector keeps the same promises."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.connectors.storage.open import open_storage
from meshd.connectors.storage.sqlite import SqliteStorage
from meshd.sdk.storage import Storage, StorageError, StorageReset
from modelmesh import ConfigurationError


@pytest.fixture(params=["modelmesh.sqlite.v1", "modelmesh.local-file.v1", "modelmesh.memory.v1"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    opened = open_storage(request.param, {}, tmp_path)
    yield opened
    opened.close()


def test_values(storage: Storage) -> None:
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
    assert storage.exists("b")
    assert storage.delete("b")
    assert not storage.delete("b")
    assert not storage.exists("b")


def test_many_at_once(storage: Storage) -> None:
    storage.save("gone", b"x")
    storage.save_many({"a": b"1", "gone": None, "b": b"2"})
    assert storage.list() == ["a", "b"]
    storage.flush()


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
