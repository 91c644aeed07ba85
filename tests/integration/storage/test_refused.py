"""Storages that could never be used: `meshd --check` finds them, and a start and a reload refuse them alike."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons.stored import config
from tests.support.waiting import WAIT

KEY = "00" * 32


def _key_file(place: Path, mode: int = 0o600) -> str:
    path = place / "key"
    path.write_text(KEY)
    path.chmod(mode)
    return str(path)


def _fifo(place: Path) -> str:
    os.mkfifo(place / "pipe", 0o600)
    return str(place / "pipe")


def _file(place: Path) -> str:
    (place / "file").write_text("not PEM")
    (place / "file").chmod(0o600)
    return str(place / "file")


CASES: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "no key": (lambda place: {"encryption": {"key": "abc"}}, "a key is 32 bytes"),
    "two keys": (lambda place: {"encryption": {"key": KEY, "key_file": _key_file(place)}}, "give one of them"),
    "an open key file": (lambda place: {"encryption": {"key_file": _key_file(place, 0o644)}}, "chmod 600"),
    "a pipe as key": (lambda place: {"encryption": {"key_file": _fifo(place)}}, "is not a file"),
    "no key file": (lambda place: {"encryption": {"key_file": str(place / "none")}}, "there is no file"),
    "no such home": (lambda place: {"encryption": {"key_file": "~nouser/key"}}, "there is no file"),
    "SQLite in no folder": (lambda place: {"path": str(place / "none" / "s.db")}, "there is no folder"),
    "SQLite in a pipe": (lambda place: {"path": _fifo(place)}, "is not a file"),
    "SQLite in a folder": (lambda place: {"path": str(place)}, "is not a file"),
    "files in a file": (
        lambda place: {"connector": "modelmesh.local-file.v1", "path": _file(place) + "/deep/er"},
        "is not a folder",
    ),
    "Redis nowhere": (lambda place: {"connector": "redis.redis.v1", "url": "redis://[::1"}, "cannot read its url"),
    "Redis at an odd port": (lambda place: {"connector": "redis.redis.v1", "url": "redis://h:x"}, "cannot read"),
    "Redis at no socket": (lambda place: {"connector": "redis.redis.v1", "url": "unix://"}, "path of a socket"),
    "Redis trusts nothing": (
        lambda place: {"connector": "redis.redis.v1", "url": "rediss://h", "ca_file": _file(place)},
        "no certificates in PEM form",
    ),
    "Redis waits for a pipe": (
        lambda place: {"connector": "redis.redis.v1", "url": "rediss://h", "cert_file": _fifo(place)},
        "is not a file",
    ),
    "PostgreSQL nowhere": (
        lambda place: {"connector": "postgresql.postgresql.v1", "url": "what is this"},
        "cannot read its url",
    ),
    "PostgreSQL has no certificate": (
        lambda place: {"connector": "postgresql.postgresql.v1", "cert_file": _file(place)},
        "cannot be used",
    ),
    "S3 trusts nothing": (
        lambda place: {"connector": "aws.s3.v1", "bucket": "b", "ca_file": str(place / "none")},
        "there is no file",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_check_a_start_and_a_reload_refuse_it(meshd: Any, tmp_path: Path, name: str) -> None:
    make, words = CASES[name]
    storage = make(tmp_path)
    daemon = meshd(config(1.0))
    before = sorted(tmp_path.rglob("*"))
    daemon.write(config(1.0, **storage))
    environment = {**os.environ, "STATE_DIRECTORY": str(daemon.state)}
    asked = [sys.executable, "-m", "meshd", "--check", "--config", str(daemon.config), "--socket", str(daemon.socket)]
    checked = subprocess.run(asked, capture_output=True, text=True, timeout=WAIT, env=environment)
    assert checked.returncode == 78, checked.stdout + checked.stderr
    assert words in checked.stderr
    assert "Traceback" not in checked.stderr
    assert words in str(daemon.ask("POST", "/mesh/v1/reload"))
    daemon.say(model="chat")
    assert daemon.stop() == 0
    daemon.spawn()
    assert daemon.wait() == 78
    assert words in daemon.log()
    assert "Traceback" not in daemon.log()
    assert sorted(path for path in tmp_path.rglob("*") if daemon.directory not in path.parents) == [
        path for path in before if daemon.directory not in path.parents
    ]
