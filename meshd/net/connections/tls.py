"""The project's only TLS setup: a verifying context with the system's certificate authorities.

Owns: which authorities are trusted.
Must never: switch verification off, whatever the configuration says.
"""

from __future__ import annotations

import os
import ssl
import threading
from typing import Any

_Version = tuple[int, int, int]

_contexts: dict[tuple[str | None, tuple[str, ...]], tuple[tuple[_Version | None, ...], ssl.SSLContext]] = {}
_lock = threading.Lock()


def blocking_client(ca_file: str | None, timeout: float) -> Any:
    """An `httpx.Client`, for threads that may wait. ca_file: as for `tls_context`. timeout: s."""
    import httpx

    return httpx.Client(verify=tls_context(ca_file), timeout=timeout)


def tls_context(ca_file: str | None = None, protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
    """The context is shared until the CA file changes, because reading that file takes tens of milliseconds.

    ca_file adds authorities. Otherwise SSL_CERT_FILE and SSL_CERT_DIR, the system's, or certifi's if Python does not
    know where the system keeps them. Raises OSError, which says what is wrong with ca_file; if it was read before, its
    earlier content stays trusted. protocols: offered to the server by ALPN, best first.
    """
    versions = (_version(ca_file), _version(ssl.get_default_verify_paths().cafile))
    with _lock:
        known = _contexts.get((ca_file, protocols))
        if known is not None and (known[0] == versions or (ca_file is not None and certificate_fault(ca_file))):
            return known[1]
        os.close(os.dup(0))  # raises if no descriptor is free: ssl would then silently find no authorities
        context = ssl.create_default_context()
        if not _system_has_authorities():
            import certifi

            context.load_verify_locations(cafile=certifi.where())
        if ca_file is not None:
            fault = certificate_fault(ca_file)
            if fault:
                raise OSError(f"ca_file {ca_file} {fault}")
            context.load_verify_locations(cafile=ca_file)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        _contexts[ca_file, protocols] = (versions, context)
    return context


def certificate_fault(ca_file: str) -> str | None:
    """What is wrong with a CA file, as words to follow its name."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=ca_file)
    except ssl.SSLError:
        return "holds no certificates in PEM form"
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return None


def _version(path: str | None) -> _Version | None:
    try:
        found = os.stat(path) if path else None
    except (OSError, ValueError):
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)


def _system_has_authorities() -> bool:
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile or (paths.capath and os.listdir(paths.capath)))
