"""`meshctl` to its end, for the many cases of what a command says: the process starts in milliseconds.

Must never: stand in for a start of the interpreter, for signals or for a broken pipe; tests of those start
`python -m meshd.cli`.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.support.processes.forked import ROOT, Forked
from tests.support.waiting import WAIT


def run(
    *words: str,
    without: Iterable[str] = (),
    input: str = "",
    seconds: float = WAIT * 2,
    directory: Path = ROOT,
    **given: str,
) -> subprocess.CompletedProcess[str]:
    """`run("status", MESH_SOCKET=…)`, in files: what it wrote, with the environment's names `without` left out."""
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        asked.write(input.encode())
        asked.seek(0)
        streams = [file.fileno() for file in (asked, out, err)]
        process = Forked("meshctl", words, streams, environment(without, given), directory)
        try:
            code = process.wait(seconds)
        finally:
            process.kill()
        said = [_text(file) for file in (out, err)]
    assert "Traceback" not in said[1], said[1]
    return subprocess.CompletedProcess(list(words), code, *said)


def environment(without: Iterable[str], given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in set(without)} | dict(given)


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode())
