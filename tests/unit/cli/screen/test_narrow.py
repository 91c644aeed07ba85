"""On a narrow terminal: lines hang below their beginning, and a bar is one line; in a pipe there is no bar."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import Any

import pytest

from meshd.cli.screen.cells import width_of

BAR = """
import time
from meshd.cli.setup.pull import progress_screen
with progress_screen("smollm2-135m", silent=False) as tell:
    for part in range(4):
        tell(part * 30_000_000, 105_000_000)
        time.sleep(0.2)
"""
FINDING = """
from meshd.cli.setup.diagnosis.doctor import print_finding
from meshd.cli.setup.diagnosis.checks import Finding
print_finding(Finding("provider openai", "problem", "something that is long enough " * 6, "do this " * 20))
"""


def on_terminal(code: str, columns: int) -> str:
    """All that it writes to a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 65536):
            written += piece
    except OSError:  # Linux's end of it
        pass
    finally:
        os.close(ours)
        process.wait(20)
    return written.decode()


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_a_bar_is_one_line(columns: int) -> None:
    written = on_terminal(BAR, columns)
    assert written.count("\x1b[1A") <= 1  # up at its end, over the line that it was, and never before
    for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", written)):
        assert width_of(line.rstrip()) <= columns
    assert "smollm2" in written
    assert "%" in written or "MB" in written


def test_in_a_pipe_there_is_no_bar() -> None:
    done = subprocess.run([sys.executable, "-c", BAR], capture_output=True, timeout=30)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


@pytest.mark.parametrize("columns", [40, 80])
def test_a_finding_hangs_below_its_mark(columns: int) -> None:
    lines: list[Any] = [line.rstrip() for line in on_terminal(FINDING, columns).split("\r\n") if line.strip()]
    advice = next(index for index, line in enumerate(lines) if "→" in line)
    assert lines[0].startswith("✗ provider openai:")
    assert all(re.match(r"  \S", line) for line in lines[1:advice])
    assert lines[advice].startswith("    → do")
    assert all(re.match(r"      \S", line) for line in lines[advice + 1 :])
    assert advice > 1
    assert len(lines) > advice + 1
