"""The one way this project trusts a server: a verifying context over the system's certificate authorities.

Owns: which authorities those are.
Must never: switch verification off, whatever the configuration says.
"""

from __future__ import annotations

import os
import ssl

_contexts: dict[str | None, ssl.SSLContext] = {}


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Made once and shared: reading the authorities takes tens of milliseconds.

    ca_file adds authorities. Otherwise SSL_CERT_FILE and SSL_CERT_DIR, the system's, or, on a Python that does
    not know where the system keeps them, certifi's.
    """
    context = _contexts.get(ca_file)
    if context is None:
        context = ssl.create_default_context()
        if not _system_has_authorities():
            import certifi

            context.load_verify_locations(cafile=certifi.where())
        if ca_file is not None:
            context.load_verify_locations(cafile=ca_file)
        _contexts[ca_file] = context
    return context


def _system_has_authorities() -> bool:
    paths = ssl.get_default_verify_paths()
    return paths.cafile is not None or bool(paths.capath and os.listdir(paths.capath))
