"""A disk that is really full (a small tmpfs): the state stays in memory, and is complete when there is room again."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.spend.journal import JournalWriter, open_segment
from meshd.state.keeper import StateKeeper
from tests.support.keeping import settings_of


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(path)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=False)


def fill(fd: int) -> None:
    try:
        while True:
            os.write(fd, b"x" * 4096)
    except OSError:
        return


def test_a_full_disk(disk: Path) -> None:
    reports: list[str] = []

    def opened() -> StateKeeper:
        keeper = StateKeeper(
            disk / "state", settings_of(), now=time.time, report=lambda type, severity, reason: reports.append(type)
        )
        keeper.open()
        return keeper

    def spend(count: int) -> None:
        for _ in range(count):
            request, now = os.urandom(16), time.time()
            writer.begin(request, now, "p", "p/m", "chat", "app", 10, now + 60)
            writer.settle(request, now, 1, 1, 0, 7, True)

    keeper = opened()
    writer = JournalWriter(open_segment(keeper.open_journal()))
    spend(100)
    assert keeper.sync().ok
    filler = os.open(disk / "filler", os.O_WRONLY | os.O_CREAT)
    fill(filler)
    spend(3000)
    keeper.changed("model", "m", {"text": "y" * 5000})
    assert not keeper.sync().ok
    assert writer.waiting > 100_000
    os.ftruncate(filler, 0)
    writer.retry(time.time())
    assert keeper.sync().ok
    assert keeper.spend_today() == 3100 * 7
    assert reports == ["state_unwritable", "state_recovered"]
    keeper.close()

    fill(filler)
    keeper = opened()  # with no room at all: what was stored is known all the same
    assert keeper.error
    assert keeper.spend_today() == 3100 * 7
    assert keeper.load().tables["model"]
    assert keeper.open_journal() == ""
    os.ftruncate(filler, 0)
    assert keeper.sync().ok
    assert keeper.offer_segment()
    keeper.close()
    os.close(filler)
