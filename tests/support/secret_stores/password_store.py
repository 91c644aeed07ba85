"""A store of `pass`, with a GnuPG key of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_KEY = """%no-protection
Key-Type: eddsa
Key-Curve: ed25519
Subkey-Type: ecdh
Subkey-Curve: cv25519
Name-Real: mesh
Expire-Date: 0
%commit
"""


class PasswordStore:
    """directory: short, as GnuPG's sockets are in it."""

    def __init__(self, directory: Path) -> None:
        self._home = directory / "gnupg"
        self._home.mkdir(mode=0o700)
        self.folder = directory / "passwords"
        self._run(["gpg", "--batch", "--gen-key"], _KEY)
        self._run(["pass", "init", "mesh"])

    def environment(self) -> dict[str, str]:
        return {"GNUPGHOME": str(self._home), "PASSWORD_STORE_DIR": str(self.folder)}

    def insert(self, name: str, text: str) -> None:
        self._run(["pass", "insert", "--multiline", "--force", name], text)

    def close(self) -> None:
        self._run(["gpgconf", "--kill", "all"])

    def _run(self, command: list[str], text: str = "") -> None:
        environ = {**os.environ, **self.environment()}
        subprocess.run(command, input=text, text=True, env=environ, check=True, capture_output=True, timeout=60)
