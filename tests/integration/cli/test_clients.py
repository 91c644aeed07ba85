"""`meshctl clients` beside a real daemon: who is connected."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ASK = """
import sys, modelmesh
with modelmesh.OpenAIClient(app="own\\x1b[31mword") as client:
    client.chat.completions.create(model="talk", messages=[{"role": "user", "content": "hi"}])
    print("asked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def digest(mesh: Any, tmp_path: Path) -> Any:
    script = tmp_path / "digest.py"
    script.write_text(ASK)
    environment = {**os.environ, "MESH_SOCKET": mesh.socket}
    process = subprocess.Popen(
        [sys.executable, str(script), "--key", "sk-secret"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "asked\n"
    yield process
    process.communicate(timeout=20)


def test_each_process_with_what_it_did(digest: Any, meshctl: Any) -> None:
    answered = meshctl("clients", "--json")
    rows = {row["pid"]: row for row in json.loads(answered.stdout)["data"]}
    row = rows[digest.pid]
    assert (row["requests"], row["failed"], row["in_flight"]) == (1, 0, 0)
    assert row["program"] == os.path.realpath(sys.executable)
    assert (row["says"]["script"], row["app"], row["account"]) == ("digest.py", "digest.py", "default")
    assert "\x1b" not in json.dumps(row)
    assert "sk-secret" not in answered.stdout
    shown = meshctl("clients").stdout
    line = next(line for line in shown.splitlines() if line.startswith(str(digest.pid)) or f" {digest.pid} " in line)
    assert "“digest.py”" in line
    assert "digest.py" in meshctl("apps").stdout


def test_a_process_that_went_is_not_there(digest: Any, meshctl: Any) -> None:
    digest.communicate(timeout=20)
    rows = json.loads(meshctl("clients", "--json").stdout)["data"]
    assert digest.pid not in [row["pid"] for row in rows]
