"""What waits on disk: in order, within a bound, whole after any end of the process, and for its owner alone."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.observability.webhook.spool import Spool


def spool(folder: Path, **settings: Any) -> Spool:
    return Spool(folder, **{"batch_size": 3, "batch_interval": 3600.0, "max_size": 10_000, **settings})


def taken(found: Spool) -> list[list[bytes]]:
    """All that can be taken at once."""
    batches = []
    while (batch := found.take(0)) is not None:
        batches.append(found.read(batch)[0])
        found.done(batch)
    return batches


def test_batches_are_full_or_old(tmp_path: Path) -> None:
    now = [0.0]
    found = spool(tmp_path / "s", batch_interval=1.0, clock=lambda: now[0])
    for number in range(4):
        found.add(b"%d" % number)
    assert taken(found) == [[b"0", b"1", b"2"]]
    now[0] = 0.9
    assert taken(found) == []
    now[0] = 1.0
    assert taken(found) == [[b"3"]]
    assert found.waiting == 0
    assert os.listdir(tmp_path / "s") == ["lock"]
    found.close()


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        found = spool(tmp_path / "s")
        for number in range(4):
            found.add(b"%d" % number)
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "s").iterdir()} == {0o600}
        found.close()
    finally:
        os.umask(before)


def test_what_was_not_done_is_taken_again_in_order(tmp_path: Path) -> None:
    first = spool(tmp_path)
    for number in range(8):
        first.add(b"%d" % number)
    batch = first.take(0)
    assert batch is not None
    first.close()
    second = spool(tmp_path)
    assert second.waiting == 8
    again = second.take(0)
    assert again is not None
    assert again.id == batch.id
    second.add(b"8")
    assert taken(second) == [[b"0", b"1", b"2"], [b"3", b"4", b"5"], [b"6", b"7"]]
    second.stop()
    assert taken(second) == [[b"8"]]
    second.close()


def test_half_a_line_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "0000000000000001-aa.open").write_bytes(b"whole\nha")
    (tmp_path / "0000000000000002-bb.open").write_bytes(b"ha")
    found = spool(tmp_path)
    assert taken(found) == [[b"whole"]]
    found.close()


def test_it_has_a_bound(tmp_path: Path) -> None:
    found = spool(tmp_path, max_size=100, batch_size=1)
    for _ in range(10):
        found.add(b"x" * 9)
    with pytest.raises(OSError, match="is full") as failure:
        found.add(b"y")
    assert failure.value.errno == errno.ENOSPC
    batch = found.take(0)
    assert batch is not None
    found.done(batch)
    found.add(b"y" * 9)
    assert found.waiting == 10
    found.close()


def test_a_folder_belongs_to_one(tmp_path: Path) -> None:
    found = spool(tmp_path)
    with pytest.raises(OSError, match="in use"):
        spool(tmp_path)
    found.close()
    spool(tmp_path).close()


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    """The kernel writes a part of the line before it refuses the rest."""
    found = spool(tmp_path, batch_size=100)
    found.add(b"first")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            found.add(b"the second, which does not fit")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    found.add(b"third")
    found.stop()
    assert taken(found) == [[b"first", b"third"]]
    found.close()


def test_nothing_added_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\n"
        "from meshd.connectors.observability.webhook.spool import Spool\n"
        "spool = Spool(pathlib.Path(sys.argv[1]), batch_size=3, batch_interval=3600, max_size=10**6)\n"
        "for number in range(100): spool.add(b'%d' % number)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode == -9
    found = spool(tmp_path)
    assert [int(line) for batch in taken(found) for line in batch] == list(range(100))
    found.close()
