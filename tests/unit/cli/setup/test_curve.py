"""`meshctl curve`: what it prints is what the configuration and the daemon take."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import yaml

from meshd.compilation.before_start.curve_key import daemon_key
from meshd.config import MeshConfig
from meshd.config.schema.root import CurveConfig
from meshd.core.text.z85 import decode_key


def test_what_is_printed_can_be_pasted(meshctl: Any, tmp_path: Path) -> None:
    file = tmp_path / "curve.key"
    listening = meshctl("curve", "daemon", str(file)).stdout
    app = meshctl("curve", "create", 'my "app": x').stdout
    section = yaml.safe_load(
        listening[listening.index("  daemon:") :].replace("ADDRESS:PORT", '"127.0.0.1:7411"'[1:-1])
    )
    section |= yaml.safe_load(app[app.index("  apps:") :])
    config = MeshConfig(section, environ={})
    assert not [problem for problem in config.validate() if "curve" in str(problem)]
    [(_, entry)] = config.apps.items()
    public = app.splitlines()[1].strip()
    assert public not in json.dumps(section), "that is the secret one"
    assert len(decode_key(entry.match.curve_key[0])) == 32


def test_the_daemons_key_is_for_its_user_and_never_replaced(meshctl: Any, tmp_path: Path) -> None:
    file = tmp_path / "new" / "curve.key"
    made = json.loads(meshctl("curve", "daemon", str(file), "--json").stdout)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_text()
    again = meshctl("curve", "daemon", str(file))
    assert again.exit_code == 1
    assert "is not replaced" in again.stderr
    assert file.read_text() == before
    secret = daemon_key(CurveConfig(secret_key_file=str(file)))
    assert len(secret) == 32
    assert made["public_key"] not in before


def test_where_another_machine_does_not_answer_no_start_is_advised() -> None:
    from meshd.cli.daemon import no_daemon
    from modelmesh import discovery

    error = discovery.unavailable("tcp://192.0.2.1:7411", "nothing listens")
    lines = no_daemon(str(error), list(error.extra["paths"]), True)
    assert lines[0] == "No daemon answers at tcp://192.0.2.1:7411; check the address and the keys."
    assert not any("start" in line for line in lines)
