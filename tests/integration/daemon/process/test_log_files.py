"""Log files that somebody turns over, takes away or fills up while requests run: every request is in one of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.observability.file import FileSink
from meshd.sdk.observability import Entry


def renamed(path: Path) -> None:
    """As logrotate does it."""
    number = len(list(path.parent.glob("requests.jsonl*")))
    path.rename(f"{path}.{number}")


def copied_and_truncated(path: Path) -> None:
    number = len(list(path.parent.glob("requests.jsonl*")))
    shutil.copy(path, f"{path}.{number}")
    os.truncate(path, 0)


def with_its_directory(path: Path) -> None:
    number = len(list(path.parent.parent.glob("logs*")))
    path.parent.rename(path.parent.with_name(f"logs-{number}"))


WAYS: dict[str, Callable[[Path], None]] = {
    "renamed": renamed,
    "copied and truncated": copied_and_truncated,
    "with its directory": with_its_directory,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_request_is_in_a_file(meshd: Any, one: Any, short: Path, eventually: Any, way: Any) -> None:
    path = short / "logs" / "requests.jsonl"
    sinks = {"logging": {"connector": "modelmesh.file.v1", "path": str(path)}}
    daemon = meshd({**one(reply="a"), "observability": sinks})

    def lines() -> int:
        files = [file for file in short.rglob("requests.jsonl*") if file.is_file()]
        found = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return sum(line["stream"] == "request" for line in found)

    for turn in range(1, 4):
        for _ in range(5):
            daemon.say()
        eventually(lambda wanted=5 * turn: lines() == wanted, what="what was asked is in a file")
        way(path)
    daemon.say()
    eventually(lambda: path.exists() and lines() == 16)


def test_a_full_disk_loses_no_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.symlink_to("/dev/full")
    sink = FileSink({"path": str(path)})
    for number in range(3):
        sink.write(Entry("log", number, "info", f"line {number}", {}))
        with pytest.raises(OSError, match="No space left"):
            sink.flush()
    path.unlink()
    sink.flush()
    sink.close()
    assert [json.loads(line)["message"] for line in path.read_text().splitlines()] == ["line 0", "line 1", "line 2"]


def test_what_is_not_a_file_is_never_rotated(tmp_path: Path) -> None:
    """`/dev/stdout`, say: root could rename it."""
    path = tmp_path / "log"
    path.symlink_to("/dev/null")
    sink = FileSink({"path": str(path), "max_size": 10})
    for number in range(5):
        sink.write(Entry("log", number, "info", "x" * 20, {}))
    sink.flush()
    sink.close()
    assert [each.name for each in tmp_path.iterdir()] == ["log"]
    assert path.is_symlink()
