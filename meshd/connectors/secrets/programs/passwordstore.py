"""`passwordstore.pass.v1`: the standard UNIX password manager, `pass`.

Owns: which line of an entry is the secret. Must never: decrypt an entry itself.
"""

from __future__ import annotations

import os
from pathlib import Path

from meshd.connectors.secrets.files import beside
from meshd.connectors.secrets.programs.running import PATIENCE, run
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError

_ITS_OWN = ("PASSWORD_STORE_*", "GNUPGHOME", "GPG_*")


class PassStore(SecretStore):
    """Settings: `prefix`, put before a name to get the entry's; `directory`: the store, instead of pass's default.
    The secret is an entry's first line."""

    def get(self, name: str) -> str:
        return _first_line(self._pass("show", self._entry(name)))

    def set(self, name: str, value: str) -> None:
        if _first_line(value) != value:
            raise SecretStoreError(f"pass cannot hold this value of {name}: it is an entry's first line")
        self._pass("insert", "--multiline", "--force", self._entry(name, new=True), stdin=f"{value}\n")

    def delete(self, name: str) -> None:
        self._pass("rm", "--force", self._entry(name))

    def list(self) -> list[str]:
        folder, prefix = self._existing(), str(self._settings.get("prefix") or "")
        entries = (str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.gpg"))
        return sorted(entry.removeprefix(prefix) for entry in entries if entry.startswith(prefix))

    @property
    def _folder(self) -> Path:
        given = self._settings.get("directory") or os.environ.get("PASSWORD_STORE_DIR") or "~/.password-store"
        return beside(self._settings, given)

    def _existing(self) -> Path:
        """Raises SecretStoreError."""
        if not os.path.isdir(self._folder):
            raise SecretStoreError(f"there is no password store {self._folder}")
        return self._folder

    def _entry(self, name: str, new: bool = False) -> str:
        """Raises SecretMissing for an entry that does not exist, since pass itself reports that only as exit status
        1."""
        entry = f"{self._settings.get('prefix') or ''}{name}"
        if not entry or entry.startswith(("-", "/")) or "\0" in entry or ".." in entry.split("/"):
            raise SecretMissing(f"{entry!r} cannot be the name of an entry")
        if not os.path.exists(self._existing() / f"{entry}.gpg") and not new:
            raise SecretMissing(f"the password store has no {entry}")
        return entry

    def _pass(self, *words: str, stdin: str = "") -> str:
        timeout = self._settings.get("timeout") or PATIENCE
        more = {"PASSWORD_STORE_DIR": str(self._folder)}
        return run(["pass", *words], timeout=timeout, stdin=stdin, passed_on=_ITS_OWN, more=more)


def _first_line(text: str) -> str:
    lines = text.splitlines()
    return lines[0] if lines else ""
