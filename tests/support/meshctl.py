"""`meshctl` to its end, as a process that starts in milliseconds: for the many cases of what a command says.

Owns: a server that has imported the commands and forks for each call, so that a call has descriptors, an environment,
an exit code and a terminal of its own. Must never: stand in for a start of the interpreter, for signals or for a
broken pipe; tests of those start `python -m meshd.cli`.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from meshd.cli.entry import COMMANDS
from tests.support.waiting import WAIT

_MODULES = sorted({f"meshd.cli.{name}" for name in COMMANDS.values()})
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["meshd.cli.entry", "modelmesh", "tests.support.meshctl", *_MODULES])


def run(
    *words: str, without: Iterable[str] = (), input: str = "", seconds: float = WAIT * 2, **given: str
) -> subprocess.CompletedProcess[str]:
    """`run("status", MESH_SOCKET=…)`, in files: what it wrote, with the environment's names `without` left out."""
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        asked.write(input.encode())
        asked.seek(0)
        code = run_in([asked.fileno(), out.fileno(), err.fileno()], words, environment(without, given), seconds)
        said = [_text(file) for file in (out, err)]
    assert "Traceback" not in said[1], said[1]
    return subprocess.CompletedProcess(list(words), code, *said)


def run_in(descriptors: list[int], words: Iterable[str], environment: Mapping[str, str], seconds: float) -> int:
    """Its exit code; `descriptors` are its standard streams."""
    process = start_in(descriptors, words, environment)
    try:
        return ended(process, seconds)
    finally:
        end(process)


def start_in(descriptors: list[int], words: Iterable[str], environment: Mapping[str, str]) -> Any:
    """The process, for `ended` and `end`."""
    streams = [Connection(os.dup(descriptor)) for descriptor in descriptors]  # these travel to the process
    process = _FORKING.Process(target=_command, args=(streams, list(words), dict(environment)))
    process.start()
    return process


def ended(process: Any, seconds: float) -> int:
    process.join(seconds)
    assert process.exitcode is not None, f"not within {seconds:g} s: it ends"
    return int(process.exitcode)


def end(process: Any) -> None:
    if process.exitcode is None:
        process.kill()
        process.join(WAIT)
    process.close()


def environment(without: Iterable[str], given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in set(without)} | dict(given)


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode())


def _command(streams: list[Connection], words: list[str], environment: dict[str, str]) -> None:
    """In the process: what the interpreter does before `python -m meshd.cli`, then that."""
    for wanted, stream in enumerate(streams):
        os.dup2(stream.fileno(), wanted)
        stream.close()
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = ["meshctl", *words]
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    from meshd.host.process.start import command

    command()
