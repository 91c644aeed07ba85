"""`make run` without make: the daemon started, asked and stopped, or one that runs already used and left alone."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from meshd.catalogue.known import load_local_models
from meshd.cli.setup import quickstart

PATIENCE = 40.0
CONFIG = {
    "providers": {"scripted": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "Hello from a script"}]}},
    "models": {"scripted.one": {"provider": "scripted", "capabilities": ["chat-completion"]}},
}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a user who has pulled the weights; only the manifest is looked at here."""
    row = next(row for row in load_local_models() if row.name == quickstart.WEIGHTS)
    models = tmp_path / "data/meshd/models"
    models.mkdir(parents=True)
    (models / "w.gguf").write_text("GGUF")
    note = {"name": row.name, "file": "w.gguf", "sha256": row.sha256 or "", "size": 4, "source": row.source}
    (models / f"{row.name}.json").write_text(json.dumps(note))
    (tmp_path / "mesh.json").write_text(json.dumps(CONFIG))
    with tempfile.TemporaryDirectory(prefix="mesh-") as short:
        yield {
            **{
                name: value
                for name, value in os.environ.items()
                if name not in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY")
            },
            "XDG_DATA_HOME": str(tmp_path / "data"),
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "MESHD_CONFIG": str(tmp_path / "mesh.json"),
            "MESH_SOCKET": f"{short}/mesh.sock",
        }


def start(environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "meshd.cli.setup.quickstart", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def nothing_left(environment: dict[str, str]) -> bool:
    socket = environment["MESH_SOCKET"]
    running = [process for process in psutil.process_iter(["cmdline"]) if socket in (process.info["cmdline"] or [])]
    return not running and not os.path.exists(socket)


def test_a_prompt_is_answered_and_nothing_is_left(home: dict[str, str]) -> None:
    run = start(home, "--prompt", 'How much is $5 "really"?')
    said, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, said
    assert f"{quickstart.WEIGHTS} is already here" in said
    assert '> How much is $5 "really"?\nHello from a script\n' in said
    assert "meshd: " not in said, "the daemon's own words are for failures"
    assert nothing_left(home)


def test_no_answer_is_a_failure(home: dict[str, str]) -> None:
    broken = CONFIG | {"providers": {"scripted": {"connector": "modelmesh.scripted.v1", "script": [{"reply": ""}]}}}
    Path(home["MESHD_CONFIG"]).write_text(json.dumps(broken))
    run = start(home, "--prompt", "Hello")
    said, _ = run.communicate(timeout=PATIENCE)
    assert (run.returncode, "empty answer" in said) == (1, True)
    assert nothing_left(home)


def test_without_weights_it_says_what_else_could_answer(home: dict[str, str]) -> None:
    (Path(home["XDG_DATA_HOME"]) / "meshd/models" / f"{quickstart.WEIGHTS}.json").unlink()
    Path(home["MESHD_CONFIG"]).write_text('{"providers": {"local": {"connector": "modelmesh.local-llm.v1"}}}')
    closed = "http://127.0.0.1:9"
    offline = {"PIP_INDEX_URL": f"{closed}/simple", "PIP_RETRIES": "0", "PIP_NO_INDEX": "0", "PIP_FIND_LINKS": ""}
    run = start(home | offline | {"HTTPS_PROXY": closed, "HTTP_PROXY": closed}, "--prompt", "Hello")
    said, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 1
    assert f"{quickstart.WEIGHTS} could not be fetched" in said
    assert "does not have this model" in said
    assert "== without smollm2-135m, it needs a provider's key (OPENAI_API_KEY=" in said
    assert nothing_left(home)


def test_a_daemon_that_cannot_start_says_why(home: dict[str, str]) -> None:
    Path(home["MESHD_CONFIG"]).write_text('{"poolz": {}}')
    run = start(home, "--prompt", "Hello")
    said, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 1
    assert "poolz" in said
    assert "exit code 78" in said


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_it_stays_until_it_is_told_to_go(home: dict[str, str], way: signal.Signals) -> None:
    run = start(home)
    assert run.stdout is not None
    deadline = time.monotonic() + PATIENCE
    said = ""
    while "until Ctrl-C" not in said:
        assert select.select([run.stdout], [], [], max(0.0, deadline - time.monotonic()))[0], said
        data = os.read(run.stdout.fileno(), 65536)
        assert data, said
        said += data.decode(errors="replace")
    run.send_signal(way)
    rest, _ = run.communicate(timeout=PATIENCE)
    assert (run.returncode, "Traceback" in rest) == (0, False)
    assert nothing_left(home)


@pytest.mark.mesh_config(CONFIG)
def test_a_running_daemon_is_used_and_left_alone(mesh: Any, home: dict[str, str]) -> None:
    run = start(home | {"MESH_SOCKET": mesh.socket})
    said, _ = run.communicate(timeout=PATIENCE)
    assert (run.returncode, f"(pid {mesh.process.pid})" in said) == (0, True)
    assert "Hello from a script" in said
    assert mesh.process.poll() is None
    with mesh.client() as client:
        apps = client.mesh.request("GET", "/mesh/v1/apps").to_dict()["data"]
    assert [row["name"] for row in apps if row["requests"] and row["name"] != "default"] == ["meshctl"]


INSTALLS = """
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "xllamacpp" else real(name, *more)
"""


def test_ctrl_c_ends_what_is_being_fetched(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INSTALLS)
    (tmp_path / "uv.py").write_text("import os, time\nprint('installer', os.getpid(), flush=True)\ntime.sleep(60)\n")
    run = start(home | {"PYTHONPATH": str(tmp_path)})
    assert run.stdout is not None
    said = ""
    while "installer" not in said or "waiting for xllamacpp" not in said:
        assert select.select([run.stdout], [], [], PATIENCE)[0], said
        said += os.read(run.stdout.fileno(), 65536).decode()
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=PATIENCE)
    assert not psutil.pid_exists(int(said.partition("installer ")[2].split()[0]))


@pytest.mark.parametrize("fails", [False, True])
def test_an_installation_tells_what_it_fetches_and_why_it_failed(tmp_path: Path, fails: bool) -> None:
    python = tmp_path / "python"  # that has `-m pip` and `-m uv`
    python.write_text(
        "#!/bin/sh\n"
        'case "$*" in *"install uv") exit 0;; esac\n'
        'echo "Downloading pydantic-core (2.2MiB)" >&2\n'
        + ('echo "  × No solution found\n  ╰─▶ Because + is so" >&2; exit 2\n' if fails else 'echo " + attrs==1" >&2\n')
    )
    python.chmod(0o755)
    stamp = tmp_path / ".installed-run"
    stamp.touch()
    os.utime(stamp, (1, 1))  # of an older pyproject.toml
    done = subprocess.run(
        ["make", "--no-print-directory", f"VENV={tmp_path}", f"PY={python}", str(stamp)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode == 0, stamp.exists()) == (not fails, not fails)
    assert "Downloading pydantic-core (2.2MiB)\n" in done.stdout
    assert "attrs" not in done.stdout
    assert ("  × No solution found\n  ╰─▶ Because + is so\n" in done.stdout) == fails
