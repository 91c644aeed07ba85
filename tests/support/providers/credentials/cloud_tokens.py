"""The token servers of Google and of Azure, as their own libraries ask them: key files, metadata, managed identities,
tenants. Read on 2026-11-28: https://developers.google.com/identity/protocols/oauth2/service-account,
https://cloud.google.com/compute/docs/metadata/overview,
https://learn.microsoft.com/en-us/azure/app-service/overview-managed-identity#rest-endpoint-reference,
https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow."""

from __future__ import annotations

import ssl
import time
from typing import Any

from aiohttp import web

from tests.support.providers.servers.in_thread import ProviderInThread


class CloudTokens(ProviderInThread):
    """asked: (path, form or query) of each request for a token. instead: what is answered in place of one."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.instead: tuple[int, Any] | None = None
        self.tls = tls
        super().__init__()

    async def _open(self) -> web.AppRunner:
        runner = web.AppRunner(self.application(), shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.tls).start()
        self.port = runner.addresses[0][1]
        return runner

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/google", self._google)
        app.router.add_get("/", self._metadata)
        app.router.add_get("/computeMetadata/v1/{rest:.*}", self._metadata)
        app.router.add_get("/identity", self._identity)
        app.router.add_get("/{tenant}/v2.0/.well-known/openid-configuration", self._tenant)
        app.router.add_post("/{tenant}/oauth2/v2.0/token", self._entra)
        return app

    def _answer(self, path: str, form: dict[str, str], **more: Any) -> web.Response:
        self.asked.append((path, form))
        if self.instead is not None:
            return web.json_response(self.instead[1], status=self.instead[0])
        token = f"cl0ud-{len(self.asked)}-abcdefghijkl"
        return web.json_response({"access_token": token, "expires_in": 3599, "token_type": "Bearer", **more})

    async def _google(self, request: web.Request) -> web.Response:
        return self._answer("google", {key: str(value) for key, value in (await request.post()).items()})

    async def _metadata(self, request: web.Request) -> web.Response:
        flavour = {"Metadata-Flavor": "Google"}
        if request.headers.get("Metadata-Flavor") != "Google":
            return web.Response(status=403)
        path = request.match_info.get("rest", "")
        if path.endswith("/token"):
            answer = self._answer("metadata", dict(request.query))
            answer.headers.update(flavour)
            return answer
        if path.endswith("project-id"):
            return web.Response(text="project", headers=flavour)
        account = {"aliases": ["default"], "email": "mesh@project.test", "scopes": ["https://scope.test"]}
        return web.json_response(account, headers=flavour)

    async def _identity(self, request: web.Request) -> web.Response:
        if request.headers.get("X-IDENTITY-HEADER") != "1dentity-header":
            return web.json_response({"statusCode": 401, "message": "no header"}, status=401)
        ends = str(int(time.time()) + 3599)
        return self._answer("identity", dict(request.query), expires_on=ends, resource=request.query["resource"])

    async def _tenant(self, request: web.Request) -> web.Response:
        base = f"https://localhost:{self.port}/{request.match_info['tenant']}"
        addresses = {"authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/oauth2/v2.0/token"}
        return web.json_response({"issuer": f"{base}/v2.0", **addresses})

    async def _entra(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        return self._answer(request.match_info["tenant"], form)
