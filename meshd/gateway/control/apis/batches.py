"""Batches over OpenAI's API: created, listed, looked at and cancelled.

Owns: the paths `/v1/batches`. Must never: reveal that another app's batch exists.
"""

from __future__ import annotations

from typing import Any

from meshd.gateway.access.owner import Owner, owner_of
from meshd.gateway.actors import Actors
from meshd.gateway.batches.runner import Batches
from meshd.gateway.control.apis.files import require
from meshd.gateway.control.apis.pages import page
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import Call, Dispatcher
from meshd.gateway.files.store import FileStore
from meshd.gateway.runtime import Runtime
from modelmesh.errors import AccessDeniedError, InvalidRequestError, NotFoundError

PATH = "/v1/batches"
_CANCEL = "cancel"


class BatchApi(Group):
    def __init__(self, runtime: Runtime, actors: Actors, batches: Batches, files: FileStore) -> None:
        super().__init__(runtime, actors)
        self._batches = batches
        self._files = files

    def add_to(self, table: Dispatcher) -> None:
        table.add("POST", PATH, self.create)
        table.add("GET", PATH, self.list)
        table.add("GET", f"{PATH}/", self.get)
        table.add("POST", f"{PATH}/", self.cancel)

    async def create(self, call: Call) -> dict[str, Any]:
        owner = self._owner(call)
        if owner is None:
            raise AccessDeniedError("Batches are run for a user or a token only; send a token.", code="no_owner")
        require(self._files)
        if not self._batches.store.limits.enabled:
            raise InvalidRequestError("Batches are disabled here; set batches.enabled.", code="batches_disabled")
        return await self._batches.create(owner, call.caller, call.body)

    async def list(self, call: Call) -> dict[str, Any]:
        return page(call.query, self._batches.list(self._owner(call)), most=100, usual=20)

    async def get(self, call: Call) -> dict[str, Any]:
        return self._batches.find(self._owner(call), call.rest)

    async def cancel(self, call: Call) -> dict[str, Any]:
        id, _, part = call.rest.partition("/")
        if part != _CANCEL:
            raise NotFoundError(f"Batches have no {(part or id)[:80]!r} here; there is {_CANCEL}.", code="unknown_path")
        return self._batches.cancel(self._owner(call), id)

    def _owner(self, call: Call) -> Owner | None:
        return owner_of(call.caller, self.runtime.apps.identify(call.caller))
