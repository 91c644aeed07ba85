"""Vault's and OpenBao's KV engine (version 2), tokens, AppRole and Kubernetes.

https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2, …/auth/token, …/auth/approle, …/auth/kubernetes
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.support.secret_stores.service import TOKEN, SecretService

ROLE, SECRET, JWT = "r0le-id-1", "s3cret-id-1", "jwt.of.the-pod"


class Vault(SecretService):
    """secrets: path → the fields of each version, None for a deleted one. ttl: of tokens, in seconds; 0: for ever.
    renewals: how often a token was renewed. logins: the paths of logins."""

    refusing = 403

    def __init__(self) -> None:
        self.secrets: dict[str, list[dict[str, Any] | None]] = {}
        self.ttl = 0
        self.renewable = True
        self.renewals = 0
        self.logins: list[str] = []
        super().__init__()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/v1/auth/token/lookup-self", self._about)
        for method in ("POST", "PUT"):  # hvac sends PUT
            router.add_route(method, "/v1/auth/token/renew-self", self._renew)
        router.add_post("/v1/auth/{mount}/login", self._login)
        router.add_get("/v1/secret/data/{path:.+}", self._read)
        router.add_post("/v1/secret/data/{path:.+}", self._write)
        router.add_delete("/v1/secret/data/{path:.+}", self._delete)
        router.add_get("/v1/secret/metadata{path:.*}", self._metadata)
        router.add_delete("/v1/secret/metadata/{path:.+}", self._destroy)

    def is_open(self, request: web.Request) -> bool:
        return request.path.endswith("/login")

    def token_of(self, request: web.Request) -> str:
        return request.headers.get("X-Vault-Token", "")

    def refusal(self, request: web.Request) -> web.Response:
        return web.json_response({"errors": ["permission denied"]}, status=403)

    def set(self, name: str, value: str) -> None:
        self.secrets.setdefault(name, []).append({"value": value})

    async def _about(self, request: web.Request) -> web.Response:
        return web.json_response({"data": {"id": self.token_of(request), "ttl": self.ttl, "renewable": self.renewable}})

    async def _renew(self, request: web.Request) -> web.Response:
        self.renewals += 1
        return web.json_response({"auth": self._auth(self.token_of(request))})

    async def _login(self, request: web.Request) -> web.Response:
        given = await request.json()
        self.logins.append(request.path)
        approle = given.get("role_id") == ROLE and given.get("secret_id") == SECRET
        if not approle and not (given.get("role") == "mesh" and given.get("jwt") == JWT):
            return web.json_response({"errors": ["invalid role or secret ID"]}, status=400)
        token = f"{TOKEN}-{len(self.logins)}"
        self.tokens.add(token)
        return web.json_response({"auth": self._auth(token)})

    def _auth(self, token: str) -> dict[str, Any]:
        return {"client_token": token, "lease_duration": self.ttl, "renewable": self.renewable}

    async def _read(self, request: web.Request) -> web.Response:
        versions = self.secrets.get(request.match_info["path"])
        if not versions:
            return web.json_response({"errors": []}, status=404)
        metadata = {"version": len(versions), "created_time": "2026-11-28T08:00:00Z", "deletion_time": ""}
        status = 200 if versions[-1] is not None else 404
        return web.json_response({"data": {"data": versions[-1], "metadata": metadata}}, status=status)

    async def _write(self, request: web.Request) -> web.Response:
        given = await request.json()
        versions = self.secrets.setdefault(request.match_info["path"], [])
        if given.get("options", {}).get("cas", len(versions)) != len(versions):
            said = "check-and-set parameter did not match the current version"
            return web.json_response({"errors": [said]}, status=400)
        versions.append(given["data"])
        return web.json_response({"data": {"version": len(versions), "deletion_time": ""}})

    async def _delete(self, request: web.Request) -> web.Response:
        self.secrets[request.match_info["path"]].append(None)
        return web.Response(status=204)

    async def _destroy(self, request: web.Request) -> web.Response:
        self.secrets.pop(request.match_info["path"], None)
        return web.Response(status=204)

    async def _metadata(self, request: web.Request) -> web.Response:
        path = request.match_info["path"].strip("/")
        if request.query.get("list") == "true":
            return self._listed(path)
        versions = self.secrets.get(path)
        if not versions:
            return web.json_response({"errors": []}, status=404)
        return web.json_response({"data": {"current_version": len(versions)}})

    def _listed(self, folder: str) -> web.Response:
        below = f"{folder}/" if folder else ""
        found = [path.removeprefix(below) for path in self.secrets if path.startswith(below)]
        keys = sorted({name if "/" not in name else name.partition("/")[0] + "/" for name in found})
        if not keys:
            return web.json_response({"errors": []}, status=404)
        return web.json_response({"data": {"keys": keys}})
