"""What a disk that refuses, or files that go away, do to the keeper."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from meshd.connectors.storage import sqlite
from meshd.sdk.storage import StorageError
from meshd.spend.journal import JournalWriter, open_segment
from tests.support.keeping import NOW, crash, opened, spend, usage, writer


class FullDisk:
    """Refuses every write of the SQLite storage while `full`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        write = sqlite.SqliteStorage.save_many

        def refuse(storage: sqlite.SqliteStorage, changes: Mapping[str, bytes | None]) -> None:
            if self.full:
                raise StorageError("disk full")
            write(storage, changes)

        monkeypatch.setattr(sqlite.SqliteStorage, "save_many", refuse)


def test_a_full_disk_is_said_once_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FullDisk(monkeypatch)
    reports: list[str] = []
    keeper = opened(tmp_path, reports=reports)
    journal = writer(keeper)
    disk.full = True
    spend(journal, 5)
    keeper.changed("model", "m", {"n": 1})
    waits = []
    for _ in range(6):
        status = keeper.sync()
        waits.append(keeper.next_sync())
    assert not status.ok
    assert "disk full" in status.error
    assert status.pending > 0
    assert reports == ["state_unwritable"]
    assert caplog.text.count("not being saved") == 1
    assert waits == [5, 10, 20, 40, 60, 60]
    assert usage(keeper)["cost"] == 5
    disk.full = False
    assert keeper.sync().ok
    assert reports == ["state_unwritable", "state_recovered"]
    assert keeper.next_sync() == 5
    crash(keeper)
    again = opened(tmp_path)
    assert usage(again)["cost"] == 5
    assert again.load().tables["model"] == {"m": {"n": 1}}


def test_an_unwritable_directory_serves_on_and_offers_a_journal_later(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the directory should be")
    reports: list[str] = []
    keeper = opened(tmp_path, reports=reports)
    assert keeper.open_journal() == ""
    assert not any(keeper.load().tables.values())
    keeper.changed("model", "m", {"n": 1})
    assert not keeper.sync().ok
    assert keeper.offer_segment() == ""
    (tmp_path / "state").unlink()
    assert keeper.sync().ok
    path = keeper.offer_segment()
    assert path
    journal = JournalWriter(open_segment(path))
    keeper.rotated("")
    spend(journal, 3)
    keeper.close()
    again = opened(tmp_path)
    assert again.load().tables["model"] == {"m": {"n": 1}}
    assert usage(again)["cost"] == 3


def test_a_directory_that_was_removed_in_use_is_written_again(
    tmp_path: Path, connector: str, caplog: pytest.LogCaptureFixture
) -> None:
    reports: list[str] = []
    first = opened(tmp_path, reports=reports, connector=connector)
    journal = writer(first)
    spend(journal, 100)
    first.changed("manual", "m", {"status": "standby"})
    assert first.sync().ok
    shutil.rmtree(tmp_path / "state")
    assert first.sync().ok
    assert "was removed while it was in use" in caplog.text
    assert reports == ["state_unwritable"]
    offered = first.offer_segment()
    journal.reopen(open_segment(offered), NOW)
    first.rotated(offered)
    spend(journal, 10, number=1)
    assert first.sync().ok
    assert first.offer_segment() == ""
    journal.close()
    first.close()
    second = opened(tmp_path, connector=connector)
    assert usage(second)["cost"] == 110
    assert second.load().tables["manual"] == {"m": {"status": "standby"}}
    second.close()


def copied(path: Path) -> None:
    """As a backup that is restored, or an editor, does it: another file under the name."""
    content = path.read_bytes()
    path.unlink()
    path.with_suffix(".x").write_bytes(b"")  # so that the inode is not given again
    path.write_bytes(content)


LOSES = {
    "removed": Path.unlink,
    "renamed": lambda path: path.rename(path.with_suffix(".old")),
    "a copy": copied,
    "truncated": lambda path: os.truncate(path, 0),
}


@pytest.mark.parametrize(
    ("name", "how"),
    [(name, how) for name in ("journal/00000001.log", "state.sqlite3") for how in LOSES]
    + [("journal", "renamed"), (".", "renamed")],
)
def test_a_removed_file_loses_nothing(tmp_path: Path, name: str, how: str, caplog: pytest.LogCaptureFixture) -> None:
    if (name, how) == ("state.sqlite3", "truncated"):
        pytest.skip("SQLite says so itself, and begins a fresh one (test_storages.py)")
    first = opened(tmp_path)
    journal = writer(first)
    spend(journal, 100)
    first.changed("manual", "m", {"status": "standby"})
    assert first.sync().ok
    LOSES[how]((tmp_path / "state" / name).resolve())
    for number in (1, 2):
        assert first.sync().ok
        if another := first.offer_segment():
            journal.reopen(open_segment(another), NOW)
            first.rotated(another)
        spend(journal, 10, number=number)
        assert first.sync().ok
    assert first.sync().ok
    assert caplog.text.count("while it was in use") == 1
    journal.close()
    crash(first)
    second = opened(tmp_path)
    assert usage(second)["cost"] == 120
    assert second.load().tables["manual"] == {"m": {"status": "standby"}}
    second.close()
