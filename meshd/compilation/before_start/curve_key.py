"""The daemon's secret CURVE key: from the configuration, or from its file.

Must never: show it.
"""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

from meshd.config.schema.root import CurveConfig, DaemonConfig
from meshd.connectors.secrets.files import read_text
from meshd.core.objection import Objection
from meshd.core.text.z85 import decode_key, encode_key
from meshd.host.installing import how_to_install
from meshd.sdk.secrets import SecretStoreError, SecretUnavailable

_CURVE, _KEY, _FILE = (("daemon", "curve", *below) for below in ((), ("secret_key",), ("secret_key_file",)))
_IN_CERTIFICATE = re.compile(r'^\s*secret-key\s*=\s*"(?P<key>[^"\n]+)"', re.MULTILINE)
"""How ZeroMQ's own tools write it (`zmq.auth.create_certificates`)."""


def key_in_use(daemon: DaemonConfig) -> bytes | None:
    """The secret key; None if no address needs one. Raises Objection."""
    if not daemon.curve.given or not any(text.startswith("tcp://") for text in daemon.listen):
        return None
    return daemon_key(daemon.curve)


def daemon_key(curve: CurveConfig) -> bytes:
    """The secret key. Raises Objection."""
    if find_spec("nacl") is None:
        raise Objection(_CURVE, f"needs PyNaCl: {how_to_install('curve')}")
    if curve.secret_key_file:
        where, text = _FILE, _read(Path(os.path.expanduser(curve.secret_key_file)))
    else:
        where, text = _KEY, curve.secret_key or ""
    try:
        secret = decode_key(text.strip())
    except ValueError as error:
        raise Objection(where, str(error)) from None
    if curve.public_key is not None:
        from nacl.bindings import crypto_scalarmult_base

        if curve.public_key != encode_key(crypto_scalarmult_base(secret)):
            raise Objection((*_CURVE, "public_key"), "belongs to another secret key; correct or remove it")
    return secret


def _read(path: Path) -> str:
    """The key in a file: alone, or in a certificate. Never blocks. Raises Objection."""
    try:
        text = read_text(path, private=True, pipes=False)
    except (SecretUnavailable, SecretStoreError) as error:
        raise Objection(_FILE, str(error)) from None
    certificate = _IN_CERTIFICATE.search(text)
    return certificate["key"] if certificate is not None else text
