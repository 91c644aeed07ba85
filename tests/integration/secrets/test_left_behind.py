"""What others could find of a key: not in the environment of the daemon's children, nor in what a crash leaves."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.apps.line import answers
from tests.support.providers.credentials.keyed_provider import KeyedProvider
from tests.support.waiting import WAIT, until

IN_ENVIRONMENT, IN_FILE, PRINTED = "sk-of-the-environment-0", "sk-of-a-file-1111111111", "sk-that-is-printed-2222"
VALUES = (IN_ENVIRONMENT, IN_FILE, PRINTED)
NAMES = ("E_API_KEY", "F_API_KEY", "C_API_KEY")


@pytest.fixture
def keyed() -> Iterator[KeyedProvider]:
    upstream = KeyedProvider(*VALUES)
    yield upstream
    upstream.close()


def config(folder: Path, keyed: KeyedProvider, **more: Any) -> dict[str, Any]:
    """Three keys: of the daemon's environment, of a file, and printed by a command that writes its own environment
    down. Entries of the log go to a function in another process."""
    kept = folder / "keys.env"
    kept.write_text(f"F_API_KEY={IN_FILE}\n")
    kept.chmod(0o600)
    script = folder / "print-key"
    script.write_text(
        f"#!/bin/sh\ncat /proc/self/environ >> {folder}/environments\n[ $1 = C_API_KEY ] && echo {PRINTED}\n"
    )
    script.chmod(0o700)
    return {
        "secrets": {
            "store": [
                "modelmesh.env.v1",
                {"connector": "modelmesh.dotenv.v1", "path": str(kept)},
                {"connector": "command", "command": [str(script), "{name}"]},
            ]
        },
        "providers": {name[0].lower(): keyed.provider(api_key=f"${{secrets:{name}}}") for name in NAMES},
        "models": {
            f"{name[0].lower()}.m": {
                "provider": name[0].lower(),
                "model": "m",
                "capabilities": ["chat-completion"],
            }
            for name in NAMES
        },
        "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}},
        **more,
    }


def children(pid: int) -> dict[int, str]:
    """The environment of each process that descends from this one."""
    parents: dict[int, int] = {}
    for each in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(each.name)] = int((each / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):  # it has ended
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {child: Path(f"/proc/{child}/environ").read_text(errors="replace") for child in found - {pid}}


def test_no_child_and_no_metric_has_a_key(tmp_path: Path, meshd: Callable[..., Any], keyed: KeyedProvider) -> None:
    sink = {"connector": "modelmesh.callback.v1", "function": "builtins:len"}
    logging = {"connector": ["modelmesh.console.v1", sink]}
    raw = config(tmp_path, keyed, observability={"logging": logging}, proxy={"enabled": True, "port": "auto"})
    daemon = meshd(raw, env={"E_API_KEY": IN_ENVIRONMENT})
    for name in NAMES:
        assert daemon.say(model=f"{name[0].lower()}.m").choices[0].message.content == "hi"
    environments = until(lambda: children(daemon.process.pid), what="the process of the callback")
    shown = (tmp_path / "environments").read_text() + "".join(environments.values())
    assert "PATH=" in shown
    url = daemon.status()["http"]["addresses"][0]
    shown += httpx.get(f"{url}/metrics", timeout=WAIT, trust_env=False).text
    assert "meshd" in shown
    assert [value for value in VALUES if value in shown] == []


@pytest.mark.parametrize("dumpable", [True, False])
def test_a_crash_leaves_no_key(tmp_path: Path, module_short: Path, keyed: KeyedProvider, dumpable: bool) -> None:
    """With `daemon.dumpable`, there is one in the core: the test would see it."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith(("|", "/")):
        pytest.skip(f"cores go to {pattern}")
    socket = module_short / f"{dumpable}.sock"
    file = tmp_path / "mesh.yaml"
    file.write_text(json.dumps(config(tmp_path, keyed, daemon={"dumpable": dumpable})))
    environment = {**os.environ, "E_API_KEY": IN_ENVIRONMENT, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    crashing = tmp_path / "crashing"
    crashing.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "meshd", "--config", str(file), "--socket", str(socket)],
        cwd=crashing, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: socket.exists() and answers(socket), what="the daemon starts")
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        process.send_signal(signal.SIGSEGV)
        assert process.wait(WAIT) == -signal.SIGSEGV
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(WAIT)
    cores = b"".join(each.read_bytes() for each in crashing.iterdir())
    if dumpable and not cores:
        pytest.skip("no core is written here")
    assert (IN_FILE.encode() in cores) is dumpable
