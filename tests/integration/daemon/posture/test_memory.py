"""Keys in the daemon's memory and environment: other processes of its user cannot read them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons.daemon import Daemon

OWN = 54321
READ = ["head", "-c", "1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a daemon as an ordinary user")
@pytest.mark.parametrize("dumpable", [False, True])
def test_another_process_of_the_same_user(short: Path, one: Any, dumpable: bool) -> None:
    me = {"user": OWN, "group": OWN, "extra_groups": []}
    daemon = Daemon(short, one(reply="here", daemon={"dumpable": dumpable, "watch": False}), **me)
    for path in (short, *short.rglob("*")):
        os.chown(path, OWN, OWN)
    try:
        try:
            daemon.start()
        except PermissionError:
            pytest.skip("another user cannot run this Python")
        assert daemon.process is not None
        for name in ("environ", "mem", "auxv"):
            reading = [*READ, f"/proc/{daemon.process.pid}/{name}"]
            done = subprocess.run(reading, capture_output=True, text=True, timeout=20, check=False, **me)
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
