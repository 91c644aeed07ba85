"""Google Cloud's Secret Manager, and the tokens of service accounts.

https://cloud.google.com/secret-manager/docs/reference/rest
"""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

from aiohttp import web

from tests.support.secret_stores.service import TOKEN, SecretService, not_found

PROJECT = "mesh-project"


class SecretManager(SecretService):
    """secrets: name → its versions."""

    def __init__(self) -> None:
        self.secrets: dict[str, list[str]] = {}
        super().__init__()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        secrets = f"/v1/projects/{PROJECT}/secrets"
        router.add_post("/token", self._token)
        router.add_get(secrets, self._list)
        router.add_post(secrets, self._create)
        router.add_get(secrets + r"/{name}/versions/{version:\w+}:access", self._access)
        router.add_post(secrets + r"/{name:[\w-]+}:addVersion", self._add)
        router.add_delete(secrets + "/{name}", self._delete)

    def is_open(self, request: web.Request) -> bool:
        return request.path == "/token"

    def set(self, name: str, value: str) -> None:
        self.secrets.setdefault(name, []).append(value)

    def key_file(self) -> str:
        return service_account(f"{self.url}/token")

    async def _token(self, request: web.Request) -> web.Response:
        return web.json_response({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})

    async def _access(self, request: web.Request) -> web.Response:
        versions = self.secrets.get(request.match_info["name"])
        if not versions:
            return not_found()
        wanted = request.match_info["version"]
        number = len(versions) if wanted == "latest" else int(wanted)
        payload = {"data": base64.b64encode(versions[number - 1].encode()).decode()}
        return web.json_response({"name": self._name(request, number), "payload": payload})

    async def _add(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.secrets:
            return not_found()
        data = (await request.json())["payload"]["data"]
        self.secrets[name].append(base64.b64decode(data).decode())
        return web.json_response({"name": self._name(request, len(self.secrets[name])), "state": "ENABLED"})

    async def _create(self, request: web.Request) -> web.Response:
        name = request.query["secretId"]
        if name in self.secrets:
            error = {"code": 409, "message": f"{name} already exists", "status": "ALREADY_EXISTS"}
            return web.json_response({"error": error}, status=409)
        self.secrets[name] = []
        return web.json_response({"name": f"projects/1/secrets/{name}"})

    async def _delete(self, request: web.Request) -> web.Response:
        return web.json_response({}) if self.secrets.pop(request.match_info["name"], None) is not None else not_found()

    async def _list(self, request: web.Request) -> web.Response:
        """One on each page."""
        names, at = sorted(self.secrets), int(request.query.get("pageToken") or 0)
        answer: dict[str, Any] = {"secrets": [{"name": f"projects/1/secrets/{name}"} for name in names[at : at + 1]]}
        if at + 1 < len(names):
            answer["nextPageToken"] = str(at + 1)
        return web.json_response(answer)

    def _name(self, request: web.Request, version: int) -> str:
        return f"projects/1/secrets/{request.match_info['name']}/versions/{version}"


def service_account(token_uri: str) -> str:
    """The file of one, whose tokens come from there."""
    whose = {"client_email": f"mesh@{PROJECT}.test", "private_key_id": "k3y", "project_id": PROJECT}
    return json.dumps({"type": "service_account", "private_key": _private_key(), "token_uri": token_uri, **whose})


@cache
def _private_key() -> str:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = generate_private_key(65537, 2048)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
