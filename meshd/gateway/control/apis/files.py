"""Files over OpenAI's API: uploaded, listed, read and deleted.

Owns: the paths `/v1/files`. Must never: reveal that another app's file exists.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import Any

import msgspec

from meshd.formats.headers import IN_JSON
from meshd.gateway.access.owner import Owner, owner_of
from meshd.gateway.actors import Actors
from meshd.gateway.control.apis.pages import page
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import Call, Dispatcher
from meshd.gateway.files import disk, uploads
from meshd.gateway.files.store import FileStore
from meshd.gateway.frontends.exchange import Request
from meshd.gateway.runtime import Runtime
from modelmesh.errors import AccessDeniedError, InvalidRequestError, NotFoundError

PATH = "/v1/files"
_CONTENT = "content"


class Files(Group):
    def __init__(self, runtime: Runtime, actors: Actors, store: FileStore) -> None:
        super().__init__(runtime, actors)
        self._store = store

    def add_to(self, table: Dispatcher) -> None:
        table.add_raw("POST", PATH, self.upload, streams=True, largest=self._largest)
        table.add("GET", PATH, self.list)
        table.add_raw("GET", f"{PATH}/", self.get)
        table.add("DELETE", f"{PATH}/", self.delete)

    def _largest(self) -> tuple[int, str]:
        return self._store.limits.max_size + uploads.FORM_BYTES, "files.max_size"

    async def upload(self, request: Request, rest: str) -> None:
        owner = owner_of(request.caller, self.runtime.apps.identify(request.caller))
        if owner is None:
            raise AccessDeniedError("Files are kept for a user or a token only; send a token.", code="no_owner")
        require(self._store)
        kept = await uploads.upload(self._store, owner, request)
        request.reply.respond(msgspec.json.encode(kept.shown()), {}, IN_JSON)

    async def list(self, call: Call) -> dict[str, Any]:
        found = self._store.of(self._owner(call), call.query.get("purpose", ""))
        return page(call.query, [kept.shown() for kept in found], most=10_000)

    async def get(self, request: Request, rest: str) -> None:
        """A file's record, or its `/content`."""
        id, _, part = rest.partition("/")
        owner = owner_of(request.caller, self.runtime.apps.identify(request.caller))
        kept = self._store.find(owner, id)
        if part == "":
            request.reply.respond(msgspec.json.encode(kept.shown()), {}, IN_JSON)
        elif part == _CONTENT:
            await self._send(request, kept.id)
        else:
            raise NotFoundError(f"Files have no {part[:80]!r} here; there is {_CONTENT}.", code="unknown_path")

    async def _send(self, request: Request, id: str) -> None:
        loop, worker = asyncio.get_running_loop(), self._store.worker
        try:
            fd = await loop.run_in_executor(worker, disk.read_from, self._store.path(id))
            try:
                request.reply.file = "application/octet-stream"
                while data := await loop.run_in_executor(worker, partial(os.read, fd, disk.PIECE)):
                    await request.reply.chunk(data)
            finally:
                worker.submit(os.close, fd)
        except OSError as error:
            raise disk.cannot("read", error) from None
        request.reply.end(None, {})

    async def delete(self, call: Call) -> dict[str, Any]:
        self._store.delete(self._owner(call), call.rest)
        return {"id": call.rest, "object": "file", "deleted": True}

    def _owner(self, call: Call) -> Owner | None:
        return owner_of(call.caller, self.runtime.apps.identify(call.caller))


def require(store: FileStore) -> None:
    """Raises InvalidRequestError."""
    if not store.enabled:
        raise InvalidRequestError(
            "No files are kept here; set files.enabled, and a directory for the state.", code="files_disabled"
        )
