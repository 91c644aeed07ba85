"""`systemd.credentials.v1`: the credentials that LoadCredential= and LoadCredentialEncrypted= give to the daemon.

systemd decrypts them, and makes the directory readable only by this service.
"""

from __future__ import annotations

import os
from pathlib import Path

from meshd.connectors.secrets.directory import FolderStore
from meshd.sdk.secrets import SecretMissing, SecretUnavailable


class SystemdCredentialsStore(FolderStore):
    def get(self, name: str) -> str:
        try:
            return super().get(name)
        except SecretUnavailable:
            if os.path.exists(self.folder() / name):
                raise
            raise SecretUnavailable(f"the unit loads no credential {name} (LoadCredential={name}:/path)") from None

    def folder(self) -> Path:
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if not directory:
            raise SecretMissing("systemd gave this process no credentials ($CREDENTIALS_DIRECTORY is not set)")
        return Path(directory)
