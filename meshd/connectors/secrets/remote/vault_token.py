"""The token with which Vault is asked: given, or obtained with AppRole or Kubernetes, and renewed before it expires.

Owns: logging in, and when a token is renewed. Must never: keep a token anywhere but in memory.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from meshd.connectors.secrets.files import beside, read_value
from meshd.connectors.secrets.remote.http import Refused, Service
from meshd.sdk.secrets import SecretStoreError

_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_RENEWED_AT = 0.5  # of a token's life
_FOREVER = float("inf")


def address_of(settings: Mapping[str, Any]) -> str:
    """Raises ValueError."""
    given = settings.get("vault_url") or os.environ.get("VAULT_ADDR") or os.environ.get("BAO_ADDR")
    if not given:
        raise ValueError("`vault_url` is missing, and $VAULT_ADDR is not set")
    return str(given)


class VaultToken:
    """Settings: `auth` (`token`, `approle`, `kubernetes`), `auth_mount`; `token` or `token_file` ($VAULT_TOKEN,
    ~/.vault-token); `role_id` and `secret_id` or `secret_id_file`; `role` and `jwt_file`."""

    def __init__(self, service: Service, settings: Mapping[str, Any]) -> None:
        self._service = service
        self._settings = settings
        self._auth = settings.get("auth") or ("approle" if settings.get("role_id") else "token")
        self._token = ""
        self._renew_at = _FOREVER
        self._ends_at = _FOREVER

    def ask(self, method: str, path: str, body: Any = None, query: Any = None) -> dict[str, Any]:
        """Ask Vault with the token. One that it no longer accepts is replaced once."""
        fresh = self._keep_alive()
        try:
            return self._send(method, path, body, query)
        except Refused as error:
            if error.status != 403 or fresh:
                raise
        self._log_in()
        return self._send(method, path, body, query)

    def _send(self, method: str, path: str, body: Any = None, query: Any = None) -> dict[str, Any]:
        return self._service.ask(method, path, headers=self._headers(self._token), body=body, query=query)

    def _keep_alive(self) -> bool:
        """Whether the token is a new one."""
        now = time.monotonic()
        if not self._token or now >= self._ends_at:
            self._log_in()
            return True
        if now >= self._renew_at:
            try:
                self._lives(_map(self._send("POST", "/v1/auth/token/renew-self", {}).get("auth")))
            except Refused:
                self._log_in()
                return True
        return False

    def _log_in(self) -> None:
        if self._auth == "token":
            self._token = self._given()
            about = _map(self._send("GET", "/v1/auth/token/lookup-self").get("data"))
            self._lives({"lease_duration": about.get("ttl"), "renewable": about.get("renewable")})
            return
        path = f"/v1/auth/{quote(str(self._settings.get('auth_mount') or self._auth).strip('/'))}/login"
        answer = self._service.ask("POST", path, headers=self._headers(""), body=self._proof())
        auth = _map(answer.get("auth"))
        if not isinstance(auth.get("client_token"), str):
            raise SecretStoreError(f"{self._service.where} gave no token")
        self._token = auth["client_token"]
        self._lives(auth)

    def _lives(self, auth: Mapping[str, Any]) -> None:
        seconds = auth.get("lease_duration")
        if not isinstance(seconds, int | float) or seconds <= 0:  # 0: it does not expire
            self._renew_at = self._ends_at = _FOREVER
            return
        now = time.monotonic()
        self._ends_at = now + seconds
        self._renew_at = now + seconds * _RENEWED_AT if auth.get("renewable") else _FOREVER

    def _proof(self) -> dict[str, str]:
        given = self._settings
        if self._auth == "approle":
            secret = given.get("secret_id") or (self._file("secret_id_file") if given.get("secret_id_file") else "")
            return {"role_id": str(given.get("role_id") or ""), **({"secret_id": str(secret)} if secret else {})}
        jwt = read_value(beside(self._settings, given.get("jwt_file") or _SERVICE_ACCOUNT))
        return {"role": str(given.get("role") or ""), "jwt": jwt}

    def _given(self) -> str:
        """The configured token, read again each time, since it may be replaced. Raises SecretStoreError."""
        if self._settings.get("token_file"):
            return self._file("token_file")
        token = self._settings.get("token") or os.environ.get("VAULT_TOKEN") or os.environ.get("BAO_TOKEN")
        if token:
            return str(token)
        own = Path(os.path.expanduser("~/.vault-token"))
        if own.exists():
            return read_value(own, private=True)
        raise SecretStoreError("there is no token for Vault: set `token_file` or $VAULT_TOKEN, or use `auth: approle`")

    def _file(self, key: str) -> str:
        return read_value(beside(self._settings, self._settings[key]), private=True)

    def _headers(self, token: str) -> dict[str, str]:
        namespace = self._settings.get("namespace") or os.environ.get("VAULT_NAMESPACE")
        headers = {"X-Vault-Request": "true"}
        if token:
            headers["X-Vault-Token"] = token
        if namespace:
            headers["X-Vault-Namespace"] = str(namespace)
        return headers


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
