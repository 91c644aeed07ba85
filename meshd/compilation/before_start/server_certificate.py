"""The certificate of the HTTP front end, and its key, as `proxy.tls` names them.

Must never: show the key, wait for a pipe, or ask anybody for a passphrase.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from meshd.config.schema import ProxyConfig
from meshd.connectors.secrets.files import read_bytes
from meshd.core.objection import Objection
from meshd.net.connections.tls import certificate_fault
from meshd.sdk.secrets import SecretStoreError, SecretUnavailable

_CERT, _KEY = ("proxy", "tls", "cert"), ("proxy", "tls", "key")
_TOO_WEAK = ("KEY_TOO_SMALL", "MD_TOO_WEAK")
"""How OpenSSL's reasons end for a certificate that it does not consider safe."""


class _Encrypted(Exception):
    """The key has a passphrase."""


def tls_of(proxy: ProxyConfig) -> ssl.SSLContext | None:
    """None without a certificate. Raises Objection."""
    if proxy.tls.cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_certificate(context, proxy)
    return context


def load_certificate(context: ssl.SSLContext, proxy: ProxyConfig) -> None:
    """New connections are shown the certificate that is in its file now. Raises Objection."""
    assert proxy.tls.cert is not None
    cert = os.path.expanduser(proxy.tls.cert)
    # Without a file of its own, the key is in that of the certificate.
    key, of_key = (os.path.expanduser(proxy.tls.key), _KEY) if proxy.tls.key else (cert, _CERT)
    for at, path in ((_CERT, cert), (of_key, key)):
        try:
            # OpenSSL would wait for a pipe, and does not say which of the two files it cannot read.
            read_bytes(Path(path), pipes=False)
        except (SecretUnavailable, SecretStoreError) as error:
            raise Objection(at, str(error)) from None
    try:
        context.load_cert_chain(cert, key, _no_passphrase)
    except _Encrypted:
        raise Objection(of_key, f"{key} needs a passphrase: give a key without one") from None
    except ssl.SSLError as error:
        reason = error.reason or ""
        if reason.endswith(_TOO_WEAK):
            raise Objection(_CERT, f"{cert} is refused by OpenSSL: {reason.replace('_', ' ').lower()}") from None
        if fault := certificate_fault(cert):
            raise Objection(_CERT, f"{cert} {fault}") from None
        if reason == "KEY_VALUES_MISMATCH":
            raise Objection(of_key, f"{key} belongs to another certificate than {cert}") from None
        raise Objection(of_key, f"{key} holds no private key in PEM form") from None
    except OSError as error:  # it was changed since it was read
        raise Objection(_CERT, f"{cert} cannot be read: {error.strerror}") from None


def _no_passphrase() -> str:
    """Called for an encrypted key. Without it, OpenSSL would ask at the terminal."""
    raise _Encrypted
