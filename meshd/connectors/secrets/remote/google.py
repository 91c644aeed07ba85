"""`google.secret-manager.v1`: its REST API, with tokens from `google-auth`.

Owns: secrets and their versions. Must never: import google-auth before the store is asked.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from meshd.connectors.google_tokens import NoToken, new_token
from meshd.connectors.secrets.files import beside, read_text
from meshd.connectors.secrets.remote.bearer import BearerService
from meshd.connectors.secrets.remote.http import PATIENCE, Refused, Service
from meshd.connectors.secrets.remote.remote_store import Content, RemoteStore
from meshd.sdk.secrets import SecretMissing, SecretStoreError, SecretStoreUnreachable

_ENDPOINT = "https://secretmanager.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class GoogleStore(RemoteStore):
    """Settings: `project` ($GOOGLE_CLOUD_PROJECT), `prefix` or `path`, `credentials_file` (else those of the
    environment or of the machine), `version`, `endpoint_url`, `ca_file`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._service = Service("Secret Manager", settings.get("endpoint_url") or _ENDPOINT, settings)
        self._asked = BearerService(self._service, self._new_token)
        self._found_project = ""

    def fetch(self, secret: str) -> Content:
        version = quote(str(self._settings.get("version") or "latest"))
        payload = self._ask("GET", f"/secrets/{quote(secret, safe='')}/versions/{version}:access").get("payload")
        try:
            return base64.b64decode(payload["data"]).decode()  # type: ignore[index]  # checked by the except
        except (TypeError, KeyError, ValueError):
            raise SecretStoreError(f"{secret} is not text") from None

    def put(self, secret: str, content: Content) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        body = {"payload": {"data": base64.b64encode(text.encode()).decode()}}
        path = f"/secrets/{quote(secret, safe='')}:addVersion"
        try:
            self._ask("POST", path, body)
        except SecretMissing:
            try:
                self._ask("POST", "/secrets", {"replication": {"automatic": {}}}, {"secretId": secret})
            except Refused as error:
                if error.status != 409:  # 409: another daemon has just created it
                    raise
            self._ask("POST", path, body)

    def remove(self, secret: str) -> None:
        self._ask("DELETE", f"/secrets/{quote(secret, safe='')}")

    def names(self) -> list[str]:
        found: list[str] = []
        query = {"pageSize": "250"}
        while True:
            answer = self._ask("GET", "/secrets", query=query)
            found += [str(each.get("name")).rpartition("/")[2] for each in answer.get("secrets") or []]
            if not answer.get("nextPageToken"):
                return found
            query["pageToken"] = str(answer["nextPageToken"])

    def close(self) -> None:
        self._service.close()

    def _ask(self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        self._asked.headers()  # the credentials may name the project
        project = self._settings.get("project") or os.environ.get("GOOGLE_CLOUD_PROJECT") or self._found_project
        if not project:
            raise SecretStoreError("`secrets.project` is missing, and $GOOGLE_CLOUD_PROJECT is not set")
        whole = f"/v1/projects/{quote(str(project), safe='')}{path}"
        return self._asked.ask(method, whole, body=body, query=query)

    def _new_token(self) -> tuple[str, float]:
        given = self._settings.get("credentials_file")
        credentials = None
        if given:
            path = beside(self._settings, given)
            credentials = read_text(path, private=True)
        patience = self._settings.get("timeout") or PATIENCE
        try:
            token, ends, self._found_project = new_token(_SCOPE, credentials, patience)
        except NoToken as error:
            raise SecretStoreUnreachable(str(error)) from None
        return token, ends
