"""`systemd.credentials.v1`: what LoadCredential= and LoadCredentialEncrypted= of the unit hand to the daemon.

systemd decrypts them, and makes the directory readable by this service alone.
"""

from __future__ import annotations

import os
from pathlib import Path

from meshd.cdk.secrets import SecretMissing, SecretStore, SecretStoreError


class SystemdCredentialsStore(SecretStore):
    def get(self, name: str) -> str:
        # systemd's own rule for the name of a credential: a plain file name.
        if "/" in name or name in ("", ".", ".."):
            raise SecretMissing(f"{name!r} is no name of a credential")
        path = _directory() / name
        try:
            value = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise SecretMissing(f"the unit loads no credential {name} (LoadCredential={name}:/path)") from None
        except OSError as error:
            raise SecretStoreError(f"the credential {name} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise SecretStoreError(f"the credential {name} is not text") from None
        return value.rstrip("\r\n")

    def list(self) -> list[str]:
        try:
            return sorted(path.name for path in _directory().iterdir() if path.is_file())
        except (OSError, SecretMissing):
            return []


def _directory() -> Path:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise SecretMissing("systemd gave this process no credentials ($CREDENTIALS_DIRECTORY is not set)")
    return Path(directory)
