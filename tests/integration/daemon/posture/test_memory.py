"""Keys in the daemon's memory and environment: other processes of its user cannot read them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons.daemon import Daemon

OWN = 54321


def ordinary(program: str) -> list[str]:
    """An ordinary user's process, which may read Python wherever it is installed."""
    return [
        *("setpriv", f"--reuid={OWN}", f"--regid={OWN}", "--clear-groups"),
        *("--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"),
        *("--bounding-set=-all,+dac_read_search", program),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a daemon as an ordinary user")
@pytest.mark.parametrize("dumpable", [False, True])
def test_another_process_of_the_same_user(short: Path, one: Any, dumpable: bool) -> None:
    python = short / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.join(ordinary(sys.executable))} "$@"\n')
    python.chmod(0o755)
    daemon = Daemon(short, one(reply="here", daemon={"dumpable": dumpable, "watch": False}), python=str(python))
    for path in (short, *short.rglob("*")):
        os.chown(path, OWN, OWN)
    try:
        daemon.start()
        assert daemon.process is not None
        for name in ("environ", "mem", "auxv"):
            reading = [*ordinary("head"), "-c", "1", f"/proc/{daemon.process.pid}/{name}"]
            done = subprocess.run(reading, capture_output=True, text=True, timeout=20, check=False)
            assert ("Permission denied" in done.stderr) is not dumpable, done
        # It reads what it needs of itself, and knows its callers.
        assert daemon.say().choices[0].message.content == "here"
        if not dumpable:
            changed = one(reply="here", daemon={"dumpable": True, "watch": False})
            daemon.write(changed)
            (problem,) = daemon.ask("POST", "/mesh/v1/reload")["problems"]
            assert problem["path"] == "daemon.dumpable"
    finally:
        daemon.close()
