"""Google Drive's REST API, version 3, as far as files of one folder need it.

https://developers.google.com/workspace/drive/api/reference/rest/v3
"""

from __future__ import annotations

import itertools
import json
import re
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from aiohttp import web

from tests.support.secret_stores.google import service_account
from tests.support.secret_stores.service import TOKEN, SecretService, not_found

FOLDER = "f0lder-of-the-mesh"
_PAGE = 3  # files: fewer than asked for, as Drive may
_TERM = re.compile(r"^(?:'(?P<parent>[\w-]+)' in parents|trashed = false|name = '(?P<name>(?:[^'\\]|\\.)*)')$")
_AND = re.compile(r" and (?=(?:[^'\\]|\\.|'(?:[^'\\]|\\.)*')*$)")


class Drive(SecretService):
    """files: id → its metadata and content."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[dict[str, Any], bytes]] = {}
        self._numbers = itertools.count(1)
        super().__init__()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/token", self._token)
        router.add_get("/drive/v3/files", self._list)
        router.add_get("/drive/v3/files/{id}", self._get)
        router.add_patch("/drive/v3/files/{id}", self._update)
        router.add_delete("/drive/v3/files/{id}", self._delete)
        router.add_post("/upload/drive/v3/files", self._create)
        router.add_patch("/upload/drive/v3/files/{id}", self._upload)

    def is_open(self, request: web.Request) -> bool:
        return request.path == "/token"

    def key_file(self) -> str:
        return service_account(f"{self.url}/token")

    async def _token(self, request: web.Request) -> web.Response:
        return web.json_response({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})

    async def _list(self, request: web.Request) -> web.Response:
        parent, name = "", None
        for term in _AND.split(request.query["q"]):
            found = _TERM.match(term)
            if found is None:
                return web.json_response({"error": {"code": 400, "message": "Invalid Value"}}, status=400)
            parent = found["parent"] or parent
            name = re.sub(r"\\(.)", r"\1", found["name"]) if found["name"] is not None else name
        if parent != FOLDER:
            return not_found()
        files = [about for about, _ in self.files.values() if name is None or about["name"] == name]
        start = int(request.query.get("pageToken", 0))
        answer: dict[str, Any] = {"kind": "drive#fileList", "files": files[start : start + _PAGE]}
        if start + _PAGE < len(files):
            answer["nextPageToken"] = str(start + _PAGE)
        return web.json_response(answer)

    async def _get(self, request: web.Request) -> web.Response:
        found = self.files.get(request.match_info["id"])
        if found is None:
            return not_found()
        if request.query.get("alt") == "media":
            return web.Response(body=found[1], content_type="application/octet-stream")
        return web.json_response(found[0])

    async def _create(self, request: web.Request) -> web.Response:
        assert request.query["uploadType"] == "multipart"
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        parts = BytesParser(policy=HTTP).parsebytes(head + await request.read()).iter_parts()
        read = [part.get_payload(decode=True) for part in parts]
        about, content = json.loads(read[0]), read[1]
        if about["parents"] != [FOLDER]:
            return not_found()
        id = f"file-{next(self._numbers)}"
        told = {"kind": "drive#file", "id": id, "createdTime": _now(), **about}
        return self._kept(told, content)

    async def _upload(self, request: web.Request) -> web.Response:
        found = self.files.get(request.match_info["id"])
        return self._kept(found[0], await request.read()) if found else not_found()

    async def _update(self, request: web.Request) -> web.Response:
        found = self.files.get(request.match_info["id"])
        if found is None:
            return not_found()
        about = await request.json()
        about["appProperties"] = {**found[0].get("appProperties", {}), **about.get("appProperties", {})}
        return self._kept({**found[0], **about}, found[1])

    async def _delete(self, request: web.Request) -> web.Response:
        return web.Response(status=204) if self.files.pop(request.match_info["id"], None) else not_found()

    def _kept(self, about: dict[str, Any], content: bytes) -> web.Response:
        about = {**about, "size": str(len(content)), "modifiedTime": _now()}
        self.files[about["id"]] = about, content
        return web.json_response(about)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
