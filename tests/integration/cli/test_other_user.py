"""`meshctl` and the client of another user: permission is told as permission, and he sees his own processes alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelmesh.testing import MeshProcess

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")

STRANGER = 65534
PATIENCE = 40.0
ASKS = """
import modelmesh
try:
    modelmesh.OpenAIClient(timeout=5.0, max_retries=0).models.list()
except modelmesh.DaemonUnavailableError as error:
    print(error.extra["permitted"], str(error))
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@pytest.fixture
def daemon(place: Path) -> Iterator[Any]:
    config = {
        "providers": {"a": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "Hello"}]}},
        "models": {"a.m": {"provider": "a", "capabilities": ["chat-completion"]}},
    }
    mesh = MeshProcess(str(place), config)
    try:
        mesh.start()
        yield mesh
    finally:
        mesh.stop()


BECOME = f"""
import importlib, os, pkgutil, sys
import rich.cells, rich.console, rich.text, typer.rich_utils
import meshd.app, meshd.cli, meshd.config, meshd.pull, modelmesh
for package in (modelmesh, meshd.cli, meshd.config, meshd.app, meshd.pull):  # all of it, while it can be read
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.rpartition(".")[2].startswith("__main__"):
            try:
                importlib.import_module(found.name)
            except ImportError:
                pass
os.setgroups([]); os.setgid({STRANGER}); os.setuid({STRANGER}); os.chdir("/")
"""


def as_stranger(socket: str, what: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A checkout may be closed to other users: the process gives up being root when it has loaded it."""
    given = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HOME": "/nonexistent", "MESH_SOCKET": socket}
    return subprocess.run(
        [sys.executable, "-c", BECOME + what, *words],
        env=given | {"PATH": os.environ["PATH"], "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def meshctl(socket: str, *words: str) -> subprocess.CompletedProcess[str]:
    return as_stranger(socket, "sys.argv[0] = 'meshctl'\nfrom meshd.cli.entry import main\nmain()", *words)


@pytest.mark.parametrize("bar", ["socket", "folder"])
def test_permission_is_told_as_permission_by_everything(daemon: Any, place: Path, bar: str) -> None:
    os.chmod(daemon.socket if bar == "socket" else place, 0o600 if bar == "socket" else 0o700)
    for words in (("status",), ("chat", "a.m", "hi"), ("clients",)):
        done = meshctl(daemon.socket, *words)
        assert (done.returncode, done.stdout) == (69, "")
        assert done.stderr.startswith("meshctl: Permission denied for the daemon's socket; ")
        assert daemon.socket in done.stderr
        assert "start" not in done.stderr
        assert "group" in done.stderr
    client = as_stranger(daemon.socket, ASKS)
    assert client.stdout.startswith("False Permission denied for the daemon's socket; "), client.stderr
    doctor = meshctl(daemon.socket, "doctor")
    assert doctor.returncode == 69
    assert "chown" not in doctor.stdout
    assert doctor.stdout.count(daemon.socket) == 1
    assert "permi" in doctor.stdout or "may not connect" in doctor.stdout


def test_an_ordinary_user_sees_his_own_processes_and_gives_no_orders(daemon: Any) -> None:
    os.chmod(daemon.socket, 0o666)
    with daemon.client() as client:
        client.models.list()
        rows = json.loads(meshctl(daemon.socket, "clients", "--json").stdout)["data"]
        assert {row["user"] for row in rows} == {"nobody"}
        assert os.getpid() not in {row["pid"] for row in rows}
        assert os.getpid() in {row["pid"] for row in client.mesh.request("GET", "/mesh/v1/clients").to_dict()["data"]}
    refused = meshctl(daemon.socket, "reload")
    assert refused.returncode == 1
    assert refused.stderr.startswith("meshctl: nobody may not give this command; use root")
