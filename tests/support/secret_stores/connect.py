"""A 1Password Connect server.

https://developer.1password.com/docs/connect/api-reference
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from tests.support.secret_stores.service import SecretService

VAULT = "v" * 26


class Connect(SecretService):
    """items: id → the item."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        super().__init__()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        items = f"/v1/vaults/{VAULT}/items"
        router.add_get("/v1/vaults", self._vaults)
        router.add_get(items, self._list)
        router.add_post(items, self._create)
        router.add_get(items + "/{id}", self._read)
        router.add_put(items + "/{id}", self._replace)
        router.add_delete(items + "/{id}", self._delete)

    def refusal(self, request: web.Request) -> web.Response:
        return web.json_response({"status": 401, "message": "Invalid token signature"}, status=401)

    def set(self, name: str, value: str) -> None:
        found = [item for item in self.items.values() if item["title"] == name]
        item = found[0] if found else self._new(name)
        item["fields"] = [{"id": "credential", "label": "credential", "type": "CONCEALED", "value": value}]

    def add(self, title: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
        item = self._new(title)
        item["fields"] = fields
        return item

    def _new(self, title: str) -> dict[str, Any]:
        id = f"item{len(self.items):022d}"
        self.items[id] = {"id": id, "title": title, "category": "API_CREDENTIAL", "vault": {"id": VAULT}, "version": 1}
        return self.items[id]

    async def _vaults(self, request: web.Request) -> web.Response:
        vault = {"id": VAULT, "name": "Mesh", "attributeVersion": 1, "contentVersion": 1, "type": "USER_CREATED"}
        wanted = _equals(request, "name")
        return web.json_response([vault] if wanted in (None, "Mesh") else [])

    async def _list(self, request: web.Request) -> web.Response:
        wanted = _equals(request, "title")
        found = [item for item in self.items.values() if wanted in (None, item["title"])]
        return web.json_response([{key: value for key, value in item.items() if key != "fields"} for item in found])

    async def _read(self, request: web.Request) -> web.Response:
        item = self.items.get(request.match_info["id"])
        if item is None:
            return web.json_response({"status": 404, "message": "item not found"}, status=404)
        return web.json_response(item)

    async def _create(self, request: web.Request) -> web.Response:
        given = await request.json()
        item = self._new(given["title"])
        item["fields"] = [{"id": f"f{number}", **field} for number, field in enumerate(given["fields"])]
        return web.json_response(item)

    async def _replace(self, request: web.Request) -> web.Response:
        id, given = request.match_info["id"], await request.json()
        if id not in self.items or given["vault"]["id"] != VAULT or given["id"] != id:
            return web.json_response({"status": 400, "message": "Invalid item"}, status=400)
        fields = [{"id": f"f{number}", **field} for number, field in enumerate(given["fields"])]
        self.items[id] = {**given, "fields": fields, "version": self.items[id]["version"] + 1}
        return web.json_response(self.items[id])

    async def _delete(self, request: web.Request) -> web.Response:
        del self.items[request.match_info["id"]]
        return web.Response(status=204)


def _equals(request: web.Request, field: str) -> str | None:
    """What a filter `FIELD eq "VALUE"` asks for."""
    found = re.fullmatch(rf'{field} eq "([^"]*)"', request.query.get("filter", ""))
    return found[1] if found else None
