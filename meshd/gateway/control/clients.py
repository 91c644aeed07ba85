"""The connected processes.

Must never: show a user another's processes, unless an administrator; or a command line's arguments.
"""

from __future__ import annotations

import time
from typing import Any

from meshd.core.caller import Caller
from meshd.core.money import dollars
from meshd.gateway.actors import Actors
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import Call, Dispatcher
from meshd.gateway.frontends.admission import Admission
from meshd.gateway.frontends.ipc.connections import Connection, Connections
from meshd.gateway.runtime import Runtime
from meshd.host.plain_text import printable


class Clients(Group):
    def __init__(self, runtime: Runtime, actors: Actors, admission: Admission, connections: Connections) -> None:
        super().__init__(runtime, actors)
        self._admission = admission
        self._connections = connections

    def add_to(self, table: Dispatcher) -> None:
        table.add("GET", "/mesh/v1/clients", self.clients)

    async def clients(self, call: Call) -> dict[str, Any]:
        """One entry per process, those connected longest first."""
        reader = self.reader(call)
        by_process: dict[Caller, list[Connection]] = {}
        for each in self._connections.known:
            if reader.owns(each.caller.uid, self.runtime.apps.identify(each.caller).account):
                by_process.setdefault(each.caller, []).append(each)
        wall, now = time.time(), time.monotonic()
        rows = [self._row(caller, connected, wall, now) for caller, connected in by_process.items()]
        return {"data": sorted(rows, key=lambda row: row["since"])}

    def _row(self, caller: Caller, connected: list[Connection], wall: float, now: float) -> dict[str, Any]:
        identity = self.runtime.apps.identify(caller)
        used = self.runtime.outcomes.clients.use(caller, identity.label)
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
                self._admission.asks_a_model(request_id) for each in connected for request_id in each.requests
            ),
            "requests": used.requests,
            "failed": used.failed,
            "cost": dollars(used.cost),
        }
