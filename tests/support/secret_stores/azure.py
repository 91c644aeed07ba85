"""Azure Key Vault, and the identity of a machine of Azure's.

https://learn.microsoft.com/rest/api/keyvault/secrets, …/azure/app-service/overview-managed-identity
"""

from __future__ import annotations

import ssl
import time
from typing import Any

from aiohttp import web

from tests.support.secret_stores.service import TOKEN, SecretService

HEADER = "1dentity-header"


class KeyVault(SecretService):
    """tls: for https, on which the SDK insists."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        super().__init__()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/identity", self._identity)
        router.add_get("/secrets", self._list)
        router.add_get("/secrets/{name}", self._read)
        router.add_get("/secrets/{name}/", self._read)  # as the SDK asks for the last version
        router.add_put("/secrets/{name}", self._write)
        router.add_delete("/secrets/{name}", self._delete)

    def is_open(self, request: web.Request) -> bool:
        return request.path == "/identity"

    def refusal(self, request: web.Request) -> web.Response:
        said = 'Bearer authorization="https://login.test/tenant", resource="https://vault.azure.net"'
        error = {"code": "Unauthorized", "message": "AKV10000: Request is missing a Bearer or PoP token."}
        return web.json_response({"error": error}, status=401, headers={"WWW-Authenticate": said})

    def environment(self) -> dict[str, str]:
        """In which azure-identity finds a token."""
        return {
            "AZURE_TOKEN_CREDENTIALS": "prod",
            "IDENTITY_ENDPOINT": f"{self.url}/identity",
            "IDENTITY_HEADER": HEADER,
        }

    def set(self, name: str, value: str) -> None:
        self.values[name.replace("_", "-")] = value

    async def _identity(self, request: web.Request) -> web.Response:
        assert request.headers["X-IDENTITY-HEADER"] == HEADER
        token = {"access_token": TOKEN, "expires_on": str(int(time.time()) + 3600), "token_type": "Bearer"}
        return web.json_response({**token, "resource": request.query["resource"]})

    async def _read(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return self._secret(name) if name in self.values else self._missing(name)

    async def _write(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if "_" in name:
            error = {"code": "BadParameter", "message": "a name has only letters, digits and hyphens"}
            return web.json_response({"error": error}, status=400)
        self.values[name] = (await request.json())["value"]
        return self._secret(name)

    async def _delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if self.values.pop(name, None) is None:
            return self._missing(name)
        return web.json_response(
            {"recoveryId": f"{self.url}/deletedsecrets/{name}", "id": f"{self.url}/secrets/{name}"}
        )

    async def _list(self, request: web.Request) -> web.Response:
        """One on each page."""
        names, at = sorted(self.values), int(request.query.get("$skiptoken") or 0)
        answer: dict[str, Any] = {"value": [{"id": f"{self.url}/secrets/{name}"} for name in names[at : at + 1]]}
        more = f"{self.url}/secrets?api-version=7.4&$skiptoken={at + 1}"
        return web.json_response({**answer, "nextLink": more if at + 1 < len(names) else None})

    def _secret(self, name: str) -> web.Response:
        about = {"enabled": True, "created": 1764316800, "updated": 1764316800}
        version = f"{self.url}/secrets/{name}/0123456789abcdef"
        return web.json_response({"value": self.values[name], "id": version, "attributes": about})

    def _missing(self, name: str) -> web.Response:
        said = f"A secret with (name/id) {name} was not found in this key vault."
        return web.json_response({"error": {"code": "SecretNotFound", "message": said}}, status=404)
