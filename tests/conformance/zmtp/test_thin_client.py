"""The thin client with the pyzmq of this environment, and with the oldest of everything that it may have."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.install import PACKAGES, ROOT, directory, missing

PROGRAM = Path(__file__).parent / "program.py"


@pytest.mark.parametrize("oldest", [False, True], ids=["installed", "oldest"])
def test_an_app_asks_streams_forks_and_spawns(daemon: Any, oldest: bool) -> None:
    """Threads, asyncio, many clients, large bodies and chunks, in the parent and in its children."""
    if oldest and (reason := missing("client-lowest")):
        pytest.skip(reason)
    python = directory("client-lowest") / "bin" / "python" if oldest else sys.executable
    done = subprocess.run(
        [python, PROGRAM, daemon.socket],
        env={"PYTHONPATH": str(ROOT / "client")},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


def test_the_oldest_are_those_that_the_package_allows() -> None:
    allowed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    tried = [requirement.partition(";")[0] for requirement in PACKAGES["client-lowest"]["pip"][1:]]
    for name, lowest in (requirement.split(">=") for requirement in allowed):
        versions = [version for each, _, version in (one.partition("==") for one in tried) if each == name]
        assert re.fullmatch(rf"{re.escape(lowest)}(\.0)*", versions[0]), (name, lowest, versions)
