"""`hashicorp.vault.v1`: the KV engine, version 2, of HashiCorp Vault and OpenBao.

Owns: paths and versions of secrets. Must never: overwrite a change that someone else has just made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from meshd.connectors.secrets.remote.http import Refused, Service
from meshd.connectors.secrets.remote.remote_store import Content, RemoteStore
from meshd.connectors.secrets.remote.vault_token import VaultToken, address_of
from meshd.sdk.secrets import SecretMissing, SecretStoreError

_ATTEMPTS = 5  # at changing a secret that others change at the same time


class VaultStore(RemoteStore):
    """Settings: `vault_url` ($VAULT_ADDR), `mount`, `prefix` or `path`, `namespace`, `ca_file`, and those of
    `VaultToken`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._service = Service("Vault", address_of(settings), settings)
        self._token = VaultToken(self._service, settings)
        self._mount = quote(str(settings.get("mount") or "secret").strip("/"))

    def fetch(self, secret: str) -> Content:
        return self._versioned(secret)[0]

    def put(self, secret: str, content: Content) -> None:
        wanted = content if isinstance(content, dict) else {self.only_field: content}
        for _ in range(_ATTEMPTS):
            try:
                kept, version = self._versioned(secret)
            except SecretMissing:
                kept, version = {}, self._last_version(secret)
            data = wanted if isinstance(content, dict) else {**kept, **wanted}
            try:
                self._ask("POST", "data", secret, body={"options": {"cas": version}, "data": data})
                return
            except Refused as error:
                if error.status != 400 or isinstance(content, dict):  # else others' changes to its fields would be lost
                    raise
        raise SecretStoreError(f"{secret} was changed by others at the same time; try again")

    def remove(self, secret: str) -> None:
        self.fetch(secret)
        self._ask("DELETE", "metadata", secret)

    def names(self) -> list[str]:
        folder = self._prefix.rpartition("/")[0]
        try:
            answer = self._ask("GET", "metadata", folder, query={"list": "true"})
        except SecretMissing:
            return []
        keys = _map(answer.get("data")).get("keys") or []
        return [f"{folder}/{key}".lstrip("/") for key in keys if not str(key).endswith("/")]

    def close(self) -> None:
        self._service.close()

    def _versioned(self, secret: str) -> tuple[dict[str, Any], int]:
        """(fields, version). Raises SecretMissing, SecretStoreError."""
        try:
            data = _map(self._ask("GET", "data", secret).get("data"))
        except SecretMissing:
            raise SecretMissing(f"{self._service.where} has no secret {self._mount}/{secret}") from None
        version = _map(data.get("metadata")).get("version")
        if not isinstance(data.get("data"), dict) or not isinstance(version, int):
            raise SecretStoreError(f"{self._service.where}: {self._mount} is not a KV engine of version 2")
        return data["data"], version

    def _last_version(self, secret: str) -> int:
        """The last version of a secret that was deleted; 0 if there was none."""
        try:
            return int(_map(self._ask("GET", "metadata", secret).get("data")).get("current_version") or 0)
        except SecretMissing:
            return 0

    def _ask(self, method: str, kind: str, secret: str, body: Any = None, query: Any = None) -> dict[str, Any]:
        path = f"/v1/{self._mount}/{kind}/{quote(secret.strip('/'))}"
        return self._token.ask(method, path, body, query)


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
