"""`modelmesh.keyring.v1`: the desktop's keyring, through the package `keyring`.

Owns: which keyring is used, and its errors. Must never: import the package before the keyring is asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from meshd.connectors.secrets.said import said
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError, SecretStoreUnreachable

T = TypeVar("T")

SERVICE = "meshd"


class KeyringStore(SecretStore):
    """Settings: `service`, under which the secrets are kept; `backend`: a keyring backend class, instead of keyring's
    own choice."""

    def get(self, name: str) -> str:
        value = self._asked(lambda ring: ring.get_password(self._service, name))
        if value is None:
            raise SecretMissing(f"the keyring has no {name} for the service {self._service}")
        return str(value)

    def list(self) -> list[str]:
        raise SecretStoreError("a keyring cannot list the names in it")

    def set(self, name: str, value: str) -> None:
        self._asked(lambda ring: ring.set_password(self._service, name, value))

    def delete(self, name: str) -> None:
        self.get(name)
        self._asked(lambda ring: ring.delete_password(self._service, name))

    @property
    def _service(self) -> str:
        return str(self._settings.get("service") or SERVICE)

    def _asked(self, work: Callable[[Any], T]) -> T:
        """Raises SecretStoreError."""
        import keyring
        import keyring.core
        from keyring.errors import KeyringError, NoKeyringError

        try:
            backend = self._settings.get("backend")
            return work(keyring.core.load_keyring(backend) if backend else keyring.get_keyring())
        except NoKeyringError:
            bus = "" if os.environ.get("DBUS_SESSION_BUS_ADDRESS") else " (it has no session bus)"
            raise SecretStoreUnreachable(f"there is no keyring that this process can use{bus}") from None
        except KeyringError as error:
            words = said(str(error)) or type(error).__name__
            raise SecretStoreUnreachable(f"the keyring does not answer: {words}") from None
        except (ImportError, AttributeError, ValueError) as error:  # of `backend`
            raise SecretStoreError(f"the keyring {backend!r} cannot be used: {type(error).__name__}") from None
