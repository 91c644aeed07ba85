"""The package of docs/connectors.md as a zip file that the configuration names, installed nowhere."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from .environment import ACME, build_wheel


def test_a_daemon_runs_connectors_from_a_zip_file(short: Path, meshd: Any) -> None:
    (short / "keys.ini").write_text("[secrets]\nPARROT_KEY = cracker\n")
    (short / "servers.txt").write_text("")
    wheel = build_wheel(ACME, short)
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    config = (ACME / "mesh.yaml").read_text("utf-8").replace("/etc/acme", str(short))
    daemon = meshd(f"connectors:\n  packages:\n    - {{path: {wheel}, sha256: {sha256}}}\n{config}")
    wheel.unlink()
    assert daemon.say("hello", "chat").choices[0].message.content == "Ahoy from macaw: hello"
    report = daemon.ask("POST", "/mesh/v1/reload")
    assert report["ok"], report
    assert (daemon.state / "packages" / f"{sha256}.zip").exists()
