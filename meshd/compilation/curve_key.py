"""The daemon's secret CURVE key: from the configuration, or from its file.

Must never: show it.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from meshd.config.schema.root import CurveConfig
from meshd.connectors.secrets.files import read_text
from meshd.core.text.z85 import decode_key
from meshd.sdk.secrets import SecretStoreError, SecretUnavailable
from modelmesh.errors import ConfigurationError

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
    """The key in a file: alone, or in a certificate. Waits for nothing. Raises ConfigurationError."""
    try:
        text = read_text(path, private=True, pipes=False)
    except (SecretUnavailable, SecretStoreError) as error:
        raise ConfigurationError(f"daemon.curve.secret_key_file: {error}") from None
    certificate = _IN_CERTIFICATE.search(text)
    return certificate["key"] if certificate is not None else text
