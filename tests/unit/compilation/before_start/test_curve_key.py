"""The daemon's secret key: of a private file, as `meshctl curve` or ZeroMQ's own tools write it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from meshd.compilation.before_start.curve_key import daemon_key
from meshd.config.schema.root import CurveConfig
from meshd.core.text.z85 import decode_key
from modelmesh.errors import ConfigurationError


def test_a_certificate_of_zeromqs_own_tools_is_read(tmp_path: Path) -> None:
    from zmq.auth import create_certificates, load_certificate

    _, secret_file = create_certificates(str(tmp_path), "daemon")
    Path(secret_file).chmod(0o600)
    _, secret = load_certificate(secret_file)
    assert secret is not None
    assert daemon_key(CurveConfig(secret_key_file=secret_file)) == decode_key(secret.decode())


def test_a_key_is_read_from_a_private_file_only(tmp_path: Path) -> None:
    file, pipe = tmp_path / "curve.key", tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, text, mode, why in (
        (file, "", 0o600, "is empty"),
        (file, "short", 0o600, "daemon.curve.secret_key_file: "),
        (file, "short", 0o644, f"can be read by others: run `chmod 600 {file}`"),
        (file, "x" * 2**21, 0o600, "is larger than 1 MiB"),
        (pipe, None, 0o600, "is not a file"),
        (tmp_path, None, 0o700, "is a directory"),
        (tmp_path / "none", None, None, "there is no file"),
    ):
        if text is not None:
            path.write_text(text)
        if mode is not None:
            path.chmod(mode)
        with pytest.raises(ConfigurationError, match=re.escape(why)):
            daemon_key(CurveConfig(secret_key_file=str(path)))
