"""The wheel with compiled modules: built as pip builds it, installed into a fresh environment, in use. Needs gcc and a
package index."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons.daemon import Daemon

PROJECT = Path(__file__).parents[3]
CONFIG = {
    "providers": {"house": {"connector": "modelmesh.scripted.v1", "script": [{"echo": True}]}},
    "models": {"house.chat": {"provider": "house", "capabilities": ["chat-completion"]}},
    "pools": {"chat": {"models": ["house.chat"]}},
    "discovery": {"local": {"enabled": False}},
}
ALONE = {"PYTHONSAFEPATH": "1"}  # not the checkout in the working directory
pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="compiling needs gcc"),
]


def _pip(*words: str | Path, **environment: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "-q", *words],
        check=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment},
    )


def test_it_is_built_and_runs(tmp_path: Path, short: Path, meshd: Callable[..., Daemon]) -> None:
    _pip("wheel", "--no-deps", "-w", tmp_path, PROJECT, MESHD_COMPILED="1")
    (wheel,) = tmp_path.glob("*.whl")
    assert "none-any" not in wheel.name
    venv.create(short / "venv", with_pip=False, symlinks=True)
    python = short / "venv" / "bin" / "python"
    _pip(f"--python={python}", "install", f"modelmesh[daemon] @ {wheel.as_uri()}")

    said = subprocess.run(
        [python, "-m", "meshd", "--version"], env={**os.environ, **ALONE}, capture_output=True, text=True, check=True
    )
    assert said.stdout.endswith("(compiled)\n")
    daemon = meshd(CONFIG, python=str(python), env=ALONE)
    assert daemon.status()["compiled"] is True
    client: Any = daemon.client()
    asked = [{"role": "user", "content": "Is it quick?"}]
    assert "Is it quick?" in client.chat.completions.create(model="chat", messages=asked).choices[0].message.content
    stream = client.chat.completions.create(model="chat", messages=asked, stream=True)
    assert "Is it quick?" in "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
