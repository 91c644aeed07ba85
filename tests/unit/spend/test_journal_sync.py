"""An attempt waits for the disk, together with all others, and not for ever."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.spend import journal_sync
from meshd.spend.journal import JournalWriter, create_segment, open_segment
from meshd.spend.journal_sync import JournalSync

ID = bytes(16)


class Disk:
    """synced: the inodes, in order. A sync waits for `spins`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: list[int] = []
        self.spins = threading.Event()
        self.spins.set()
        self.fault: OSError | None = None
        monkeypatch.setattr(journal_sync.os, "fdatasync", self._sync)

    def _sync(self, fd: int) -> None:
        self.spins.wait(20)
        if self.fault is not None:
            raise self.fault
        self.synced.append(os.fstat(fd).st_ino)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def segment(path: Path) -> int:
    create_segment(path)
    return open_segment(path)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[JournalWriter]:
    made = JournalWriter(segment(tmp_path / "00000001.log"))
    yield made
    made.close()


@pytest.fixture
def sync(writer: JournalWriter, tmp_path: Path) -> Iterator[JournalSync]:
    made = JournalSync(writer)
    made.enabled, made.place = True, str(tmp_path / "00000001.log")
    yield made
    made.close()


def record(writer: JournalWriter) -> None:
    writer.begin(ID, 1000.0, "p", "p/m", "chat", "app", 500, 1600.0)


async def test_by_default_nothing_waits(writer: JournalWriter, sync: JournalSync, disk: Disk) -> None:
    sync.enabled = False
    record(writer)
    await sync.done()
    assert not disk.synced


async def test_many_share_a_sync(writer: JournalWriter, sync: JournalSync, disk: Disk) -> None:
    disk.spins.clear()
    first = asyncio.create_task(sync.done())
    await asyncio.sleep(0)
    others = [asyncio.create_task(sync.done()) for _ in range(50)]
    await asyncio.sleep(0)
    assert not first.done()
    disk.spins.set()
    await asyncio.gather(first, *others)
    assert 1 <= len(disk.synced) <= 2


async def test_the_segment_before_a_rotation_is_synced_too(
    writer: JournalWriter, sync: JournalSync, disk: Disk, tmp_path: Path
) -> None:
    disk.spins.clear()
    waits = [asyncio.create_task(sync.done())]
    await asyncio.sleep(0.01)
    waits.append(asyncio.create_task(sync.done()))
    await asyncio.sleep(0)
    writer.reopen(segment(tmp_path / "00000002.log"), 1000.0)
    sync.place = str(tmp_path / "00000002.log")
    waits.append(asyncio.create_task(sync.done()))
    await asyncio.sleep(0)
    disk.spins.set()
    await asyncio.gather(*waits)
    assert {os.stat(tmp_path / f"0000000{number}.log").st_ino for number in (1, 2)} == set(disk.synced)


async def test_a_disk_that_hangs_holds_no_request(
    writer: JournalWriter,
    sync: JournalSync,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(journal_sync, "PATIENCE", 0.01)
    disk.spins.clear()
    await sync.done()
    await sync.done()
    disk.spins.set()
    assert caplog.text.count("has not synced") == 1


async def test_a_disk_that_fails_is_told(
    writer: JournalWriter, sync: JournalSync, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.fault = OSError(5, "Input/output error")
    await sync.done()
    assert "Input/output error" in caplog.text
