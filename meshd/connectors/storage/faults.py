"""What can be seen of a storage's settings without opening it, in words that follow its id; "" if nothing is wrong.

Must never: write, connect, or open a file that could make it wait.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meshd.connectors.secrets.files import read_bytes, why
from meshd.net.connections.tls import certificate_fault
from meshd.sdk.secrets import SecretMissing, SecretStoreError

_FILES = ("ca_file", "cert_file", "key_file")


def of_file(path: str | None, directory: Path) -> str:
    """path: of a file that is made if it is missing, but not its folder. directory: the daemon's own, which is made."""
    if not path:
        return ""
    place = Path(os.path.expanduser(path))
    try:
        mode = place.stat().st_mode
    except FileNotFoundError:
        there = place.parent.is_dir() or directory.is_relative_to(place.parent)
        return "" if there else f"cannot be at {path}: there is no folder {place.parent}"
    except (OSError, ValueError) as error:
        return f"cannot be at {path}: {why(error)}"
    return "" if stat.S_ISREG(mode) else f"cannot be at {path}: that is not a file"


def of_folder(path: str | None) -> str:
    """path: of a folder that is made if it is missing, with all above it."""
    if not path:
        return ""
    folder = Path(os.path.expanduser(path))
    for place in (folder, *folder.parents):
        try:
            mode = place.stat().st_mode
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            continue
        except (OSError, ValueError) as error:
            return f"cannot be at {path}: {why(error)}"
        return "" if stat.S_ISDIR(mode) else f"cannot be at {path}: {place} is not a folder"
    return ""


def of_certificates(settings: Mapping[str, Any]) -> str:
    """Of `ca_file`, `cert_file` and `key_file`."""
    ca, cert, key = ((os.path.expanduser(str(settings[name])) if settings.get(name) else "") for name in _FILES)
    for name, path in zip(_FILES, (ca, cert, key), strict=True):
        try:
            if path:
                read_bytes(Path(path), pipes=False)  # OpenSSL would wait for a pipe
        except (SecretMissing, SecretStoreError) as error:
            return f"{name}: {error}"
    if ca and (fault := certificate_fault(ca)):
        return f"ca_file: {ca} {fault}"
    if cert:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key or None, lambda: b"")
        except (ssl.SSLError, OSError, ValueError) as error:
            reason = (getattr(error, "reason", None) or why(error)).replace("_", " ").lower()
            return f"cert_file: {cert} and its key cannot be used: {reason}"
    return ""
