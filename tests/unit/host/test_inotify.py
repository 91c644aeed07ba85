"""The kernel's reports of changes in directories."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from meshd.host.inotify import Reports

PATIENCE = 20.0


def test_a_change_is_reported_once(tmp_path: Path) -> None:
    with Reports([tmp_path]) as reports:
        assert not reports.wait(0.0, 0.0, 0.0)
        (tmp_path / "file").write_text("x")
        assert reports.wait(PATIENCE, 0.0, 0.0)
        assert not reports.wait(0.0, 0.0, 0.0)


def test_changes_that_follow_each_other_are_one_report_until_the_burst_has_lasted_too_long(tmp_path: Path) -> None:
    writing = threading.Event()

    def write() -> None:
        while not writing.wait(0.001):
            (tmp_path / "file").write_text("x")

    thread = threading.Thread(target=write)
    with Reports([tmp_path]) as reports:
        thread.start()
        try:
            began = time.monotonic()
            assert reports.wait(PATIENCE, PATIENCE / 100, 0.1)
            assert 0.08 <= time.monotonic() - began < PATIENCE
        finally:
            writing.set()
            thread.join()


def test_a_wait_can_be_ended(tmp_path: Path) -> None:
    with Reports([tmp_path]) as reports:
        reports.end()
        assert not reports.wait(PATIENCE, PATIENCE, PATIENCE)
        reports.end()
    reports.end()


def test_what_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        Reports([tmp_path, tmp_path / "none"])
