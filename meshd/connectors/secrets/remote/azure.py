"""`microsoft.key-vault.v1`: Azure Key Vault's REST API, with tokens from `azure-identity`.

Owns: secrets' names there, and the pages of lists. Must never: import azure-identity before the store is asked, or send
a token to another host.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from meshd.connectors.secrets.remote.bearer import BearerService
from meshd.connectors.secrets.remote.http import PATIENCE, Service
from meshd.connectors.secrets.remote.remote_store import Content, RemoteStore
from meshd.connectors.secrets.said import said
from meshd.sdk.secrets import SecretStoreError, SecretStoreUnreachable

_VERSION = "7.4"
_SCOPE = "https://vault.azure.net/.default"


class KeyVaultStore(RemoteStore):
    """Settings: `vault_url`, `prefix` or `path`, `tenant_id`, `client_id` and `client_secret` (else what the
    environment or the machine offers), `scope`, `ca_file`.

    Names there cannot have `_`: `OPENAI_API_KEY` is `OPENAI-API-KEY`.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._service = Service("Key Vault", settings["vault_url"], settings)
        self._host = urlsplit(settings["vault_url"]).netloc
        self._asked = BearerService(self._service, self._new_token)
        for name in ("azure", "msal"):  # they log what a server said, which may repeat a secret
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def fetch(self, secret: str) -> Content:
        value = self._ask("GET", f"/secrets/{_named(secret)}").get("value")
        if not isinstance(value, str):
            raise SecretStoreError(f"{self._service.where} gave no value")
        return value

    def put(self, secret: str, content: Content) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        self._ask("PUT", f"/secrets/{_named(secret)}", {"value": text})

    def remove(self, secret: str) -> None:
        self._ask("DELETE", f"/secrets/{_named(secret)}")

    def names(self) -> list[str]:
        found: list[str] = []
        page = "/secrets"
        while page:
            answer = self._ask("GET", page)
            found += [str(each.get("id")).rstrip("/").rpartition("/")[2] for each in answer.get("value") or []]
            page = str(answer.get("nextLink") or "")
            if page and urlsplit(page).netloc != self._host:
                raise SecretStoreError(f"{self._service.where} continues its list at another host")
        return found

    def list(self) -> list[str]:
        return super().list() if self._settings.get("path") else sorted(map(self._as_asked, self.names()))

    def _as_asked(self, there: str) -> str:
        return there.removeprefix(_named(self._prefix)).replace("-", "_")

    def close(self) -> None:
        self._service.close()

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        query = None if "://" in path else {"api-version": _VERSION}
        return self._asked.ask(method, path, body=body, query=query)

    def _new_token(self) -> tuple[str, float]:
        from azure.core.exceptions import AzureError

        try:
            with self._credential() as credential:
                given = credential.get_token(str(self._settings.get("scope") or _SCOPE))
        except (AzureError, ValueError) as error:
            words = said(str(getattr(error, "message", error)))
            raise SecretStoreUnreachable(f"Azure gave no token: {words}") from None
        return given.token, given.expires_on

    def _credential(self) -> Any:
        from azure.identity import ClientSecretCredential, DefaultAzureCredential

        given = self._settings
        timeout = given.get("timeout") or PATIENCE
        options: dict[str, Any] = {"connection_timeout": timeout, "read_timeout": timeout, "retry_total": 0}
        # An authority that the operator names is not looked up at Microsoft.
        options["disable_instance_discovery"] = bool(os.environ.get("AZURE_AUTHORITY_HOST"))
        if given.get("ca_file"):
            options["connection_verify"] = given["ca_file"]
        if given.get("client_secret"):
            return ClientSecretCredential(given["tenant_id"], given["client_id"], given["client_secret"], **options)
        return DefaultAzureCredential(**options)


def _named(secret: str) -> str:
    return quote(secret.replace("_", "-"), safe="-")
