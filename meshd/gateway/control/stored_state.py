"""The state as one map, for another machine or a backup.

Must never: contain what apps said, or be open to anyone but an administrator.
"""

from __future__ import annotations

from typing import Any

from meshd import messages
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import Call, Dispatcher
from modelmesh.errors import InvalidRequestError, MeshError

_SLOW = 60.0  # s for a large state


class StoredState(Group):
    def add_to(self, table: Dispatcher) -> None:
        table.add("GET", "/mesh/v1/state", self.exported, admin=True)
        table.add("POST", "/mesh/v1/state", self.imported, admin=True)

    async def exported(self, call: Call) -> dict[str, Any]:
        self.runtime.publisher.save_counters()
        try:
            return dict(await self.need("state", messages.ExportState(), _SLOW))
        except ValueError as error:
            said = f"the state cannot be exported: {error}"
            raise MeshError(said, status_code=503, code="state_unreadable") from None

    async def imported(self, call: Call) -> dict[str, Any]:
        """Replace what is stored, and use it."""
        try:
            restored = await self.need("state", messages.ImportState(dict(call.body)), _SLOW)
        except ValueError as error:
            raise InvalidRequestError(f"the state cannot be imported: {error}") from None
        self.actors.tell("router", messages.RestoreState(restored))
        return {"imported": True}
