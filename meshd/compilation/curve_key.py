"""The daemon's secret CURVE key: from the configuration, or from its file.

Must never: show it.
"""

from __future__ import annotations

import os
import re
import stat
from importlib.util import find_spec
from pathlib import Path

from meshd.config.schema.root import CurveConfig
from meshd.core.text.z85 import decode_key
from modelmesh.errors import ConfigurationError

_LONGEST = 4096  # bytes of the file
_IN_CERTIFICATE = re.compile(r'^\s*secret-key\s*=\s*"(?P<key>[^"\n]+)"', re.MULTILINE)
"""How ZeroMQ's own tools write it (`zmq.auth.create_certificates`)."""


def daemon_key(curve: CurveConfig) -> bytes:
    """The secret key. Raises ConfigurationError."""
    if find_spec("nacl") is None:
        raise ConfigurationError('daemon.curve needs PyNaCl: pip install "modelmesh[curve]"')
    if curve.secret_key_file:
        where, text = "daemon.curve.secret_key_file", _read(Path(curve.secret_key_file).expanduser())
    else:
        where, text = "daemon.curve.secret_key", curve.secret_key or ""
    try:
        return decode_key(text.strip())
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _read(path: Path) -> str:
    """The key in a file: alone, or in a certificate. Raises ConfigurationError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigurationError(f"daemon.curve.secret_key_file: {path}: {error.strerror}") from None
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigurationError(f"daemon.curve.secret_key_file: {path} is not a file")
        if found.st_mode & 0o077:
            raise ConfigurationError(f"daemon.curve.secret_key_file: others can read {path}: chmod 600 {path}")
        text = file.read(_LONGEST).decode(errors="replace")
    certificate = _IN_CERTIFICATE.search(text)
    return certificate["key"] if certificate is not None else text
