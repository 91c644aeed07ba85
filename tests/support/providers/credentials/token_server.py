"""A server that gives tokens (RFC 6749), and an API of OpenAI's form that takes only those that count now."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from aiohttp import web

from tests.support.providers.credentials.chat_answer import chat_answer
from tests.support.providers.servers.in_thread import ProviderInThread

CLIENT, SECRET = "mesh client", "s3cret/of:the mesh"


class TokenServer(ProviderInThread):
    """forms: of the requests for tokens, with the client that they named. life: `expires_in`; None: not told. accepted:
    tokens that the API takes; a new one is added. seen: the tokens that the API had. instead: what is answered in place
    of a token, (status, body). rotates: a refresh token counts once, and its successor comes with the token.
    secret: the client's. delay: seconds before each answer."""

    cancels = True

    def __init__(self) -> None:
        self.forms: list[dict[str, str]] = []
        self.life: Any = 3600
        self.accepted: set[str] = set()
        self.seen: list[str] = []
        self.instead: tuple[int, Any] | None = None
        self.rotates = False
        self.refresh = "r3fresh-0"
        self.secret = SECRET
        self.at_once = 0
        self.most_at_once = 0
        self.delay = 0.0
        super().__init__()

    @property
    def token_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    def auth(self, **more: Any) -> dict[str, Any]:
        return {"token_url": self.token_url, "client_id": CLIENT, "client_secret": SECRET, **more}

    def revoke(self) -> None:
        self.accepted.clear()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/token", self._token)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        app.router.add_route("*", "/v1/files/{rest}", self._own)
        return app

    async def _token(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._answer(request)
        finally:
            self.at_once -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        form = dict(parse_qsl(await request.text()))
        if basic := request.headers.get("Authorization", "").removeprefix("Basic "):
            client, _, secret = base64.b64decode(basic).decode().partition(":")
            form |= {"basic_id": unquote_plus(client), "basic_secret": unquote_plus(secret)}
        self.forms.append(form)
        await asyncio.sleep(self.delay)
        if self.instead is not None:
            status, said = self.instead
            body = said if isinstance(said, bytes) else json.dumps(said).encode()
            return web.Response(status=status, body=body, content_type="application/json")
        if form.get("basic_secret", form.get("client_secret", self.secret)) != self.secret:
            return web.json_response({"error": "invalid_client"}, status=401)
        answer: dict[str, Any] = {"token_type": "Bearer", "access_token": f"t0ken-{len(self.forms)}-abcdefghijkl"}
        if form["grant_type"] == "refresh_token":
            if form.get("refresh_token") != self.refresh:
                return web.json_response({"error": "invalid_grant", "error_description": "used before"}, status=400)
            if self.rotates:
                self.refresh = answer["refresh_token"] = f"r3fresh-{len(self.forms)}-abcdefghijkl"
        if self.life is not None:
            answer["expires_in"] = self.life
        self.accepted.add(answer["access_token"])
        return web.json_response(answer)

    def _refusal(self, request: web.Request) -> web.Response | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.seen.append(token)
        if token in self.accepted:
            return None
        error = {"message": f"the token {token} is not valid", "code": "invalid_token"}
        return web.json_response({"error": error}, status=401)

    async def _models(self, request: web.Request) -> web.Response:
        return self._refusal(request) or web.json_response({"object": "list", "data": [{"id": "m"}]})

    async def _own(self, request: web.Request) -> web.Response:
        said = await request.read()
        return self._refusal(request) or web.json_response({"had": len(said)})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        if refusal := self._refusal(request):
            return refusal
        return await chat_answer(request)
