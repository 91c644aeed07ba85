"""A file that is rotated by time, and by the real logrotate."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from meshd.connectors.observability.file import FileSink
from meshd.sdk.observability import Entry
from tests.support.waiting import until

LOGROTATE = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def put(sink: FileSink, *messages: str) -> None:
    for message in messages:
        sink.write(Entry("log", 0, "info", message, {}))
    sink.flush()


def messages(*paths: Path) -> list[str]:
    return [json.loads(line)["message"] for path in paths for line in path.read_text().splitlines()]


def test_by_time(tmp_path: Path) -> None:
    path, now = tmp_path / "mesh.jsonl", [86_400.0 * 20_000]
    sink = FileSink({"path": str(path), "rotate_every": 3600.0, "keep": 2}, now=lambda: now[0])
    put(sink, "0:00")
    now[0] += 3599
    put(sink, "0:59")
    now[0] += 1
    put(sink, "1:00")
    now[0] += 7200
    put(sink, "3:00")
    assert messages(path.with_name("mesh.jsonl.2"), path.with_name("mesh.jsonl.1"), path) == [
        "0:00",
        "0:59",
        "1:00",
        "3:00",
    ]
    assert messages(path) == ["3:00"]
    sink.close()
    os.utime(path, (now[0], now[0]))
    now[0] += 3600
    later = FileSink({"path": str(path), "rotate_every": 3600.0, "keep": 2}, now=lambda: now[0])
    put(later, "4:00")
    later.close()
    assert messages(path) == ["4:00"], "it was written by an earlier process, in an earlier hour"


def test_size_0_is_never(tmp_path: Path) -> None:
    sink = FileSink({"path": str(tmp_path / "log"), "max_size": 0})
    put(sink, *("x" * 1000 for _ in range(20)))
    sink.close()
    assert os.listdir(tmp_path) == ["log"]


def test_a_file_that_any_user_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    path.chmod(0o644)
    FileSink({"path": str(path)}).close()
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_that_was_renamed_is_made_by_who_renamed_it(tmp_path: Path) -> None:
    """As logrotate does it, which would move away a file that is there already."""
    path = tmp_path / "log"
    sink = FileSink({"path": str(path)})
    put(sink, "before")
    path.rename(tmp_path / "log.1")
    thread = threading.Thread(target=put, args=(sink, "after"))
    thread.start()
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640))
    thread.join(10)
    assert (messages(tmp_path / "log.1"), messages(path)) == (["before"], ["after"])
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o644)  # it gets its mode later
    put(sink, "more")
    assert path.stat().st_mode & 0o777 == 0o640
    path.unlink()
    put(sink, "alone")
    assert messages(path) == ["alone"]
    sink.close()


@pytest.mark.skipif(LOGROTATE is None, reason="needs logrotate")
@pytest.mark.parametrize("way", ["copytruncate", "create 0600", "nocreate"])
def test_logrotate(tmp_path: Path, way: str) -> None:
    """While entries are written: each is whole, and only copytruncate may lose some, between its copy and its end. A
    line of two pages may be cut by that, since the kernel shows it a page at a time."""
    tmp_path.chmod(0o700)
    path, state, config = tmp_path / "mesh.jsonl", tmp_path / "state", tmp_path / "rotate.conf"
    config.write_text(f"{path} {{\n  rotate 9\n  size 1\n  missingok\n  nocompress\n  {way}\n}}\n")
    config.chmod(0o600)
    sink, done = FileSink({"path": str(path)}), threading.Event()
    written: list[int] = []

    def write() -> None:
        while not done.is_set():
            put(sink, str(len(written)))
            written.append(len(written))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(3):
            until(path.exists)
            subprocess.run([str(LOGROTATE), "-f", "-s", state, config], check=True, capture_output=True)
    finally:
        done.set()
        thread.join(10)
    put(sink, "last")
    sink.close()
    files = sorted(
        tmp_path.glob("mesh.jsonl*"), key=lambda each: -int(each.suffix[1:]) if each.suffix != ".jsonl" else 1
    )
    assert len(files) == 4
    if way == "copytruncate":
        for each in files[:-1]:
            each.write_bytes(each.read_bytes()[: each.read_bytes().rfind(b"\n") + 1])
    found = messages(*files)
    assert found[-1] == "last"
    assert path.read_bytes()[:1] == b"{", "no hole where the file was cut"
    numbers = [int(each) for each in found[:-1]]
    assert numbers == sorted(set(numbers))
    if way != "copytruncate":
        assert numbers == written
