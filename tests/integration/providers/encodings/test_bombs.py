"""A megabyte that grows to gigabytes costs no more than the bound of what is read, wherever a body is read.

Each place in a process of its own: what it has held at most is asked of the kernel.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PLACES = (
    "answer", "answer br", "answer zstd", "answer chain", "stream event", "stream line", "stream plain", "error",
    "list", "details", "probe", "local scan", "redirect of a pull", "pull",
)  # fmt: skip
ROOM = 160  # MB: an answer's bound is 64, and it is copied once
SCRIPT = Path(__file__).with_name("bomb.py")


@pytest.mark.parametrize("place", PLACES)
def test_memory(place, tmp_path):
    command = [sys.executable, str(SCRIPT), place, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55)
    assert done.returncode == 0, done.stderr
    grown, said = done.stdout.split(maxsplit=1)
    assert float(grown) < ROOM, said
    assert said.strip()
