"""The connected processes.

Must never: show a user another's processes, unless an administrator; or a command line's arguments.
"""

from __future__ import annotations

import time
from typing import Any

from meshd.core.caller import Peer
from meshd.core.money import dollars
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import Call
from meshd.gateway.frontends.ipc.connections import Connection
from meshd.host.program_names import printable


class Clients(Group):
    def register(self) -> None:
        self.core.dispatcher.add("GET", "/mesh/v1/clients", self.clients)

    async def clients(self, call: Call) -> dict[str, Any]:
        """One entry per process, those connected longest first."""
        all_of_them = self.is_admin(call)
        by_process: dict[Peer, list[Connection]] = {}
        for each in self.core.server.connections.known.values():
            if all_of_them or (each.caller.uid == call.caller.uid and each.caller.uid >= 0):
                by_process.setdefault(each.caller, []).append(each)
        wall, now = time.time(), time.monotonic()
        rows = [self._row(caller, connected, wall, now) for caller, connected in by_process.items()]
        return {"data": sorted(rows, key=lambda row: row["since"])}

    def _row(self, caller: Peer, connected: list[Connection], wall: float, now: float) -> dict[str, Any]:
        identity, used = self.core.mesh.apps.identify(caller), self.core.clients.use(caller)
        return {
            "pid": caller.pid,
            "uid": caller.uid,
            "user": caller.user,
            "program": caller.exe,
            "name": printable(caller.name),
            "unit": caller.unit,
            "app": identity.label,
            "account": identity.account,
            "says": {
                "script": caller.script,
                "app": printable(next((each.label for each in connected if each.label), "")),
                "client": printable(next((each.client for each in connected if each.client), "")),
            },
            "connections": len(connected),
            "since": wall - (now - min(each.since for each in connected)),
            "in_flight": sum(
                self.core.admission.asks_a_model(request_id) for each in connected for request_id in each.requests
            ),
            "requests": used.requests,
            "failed": used.failed,
            "cost": dollars(used.cost),
        }
