"""The connected processes.

Must never: show a user another's processes, unless an administrator; or a command line's arguments.
"""

from __future__ import annotations

import time
from typing import Any

from meshd.gateway.control import views
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import Call
from meshd.gateway.frontends.ipc.identity import Caller
from meshd.gateway.frontends.ipc.server import Peer
from meshd.gateway.requests import request
from meshd.host.program_names import printable


class Clients(Group):
    def register(self) -> None:
        self.core.dispatcher.add("GET", "/mesh/v1/clients", self.clients)

    async def clients(self, call: Call) -> dict[str, Any]:
        """One entry per process, those connected longest first."""
        all_of_them = self.is_admin(call)
        peers: dict[Caller, list[Peer]] = {}
        for peer in self.core.server.peers.values():
            if all_of_them or (peer.caller.uid == call.caller.uid and peer.caller.uid >= 0):
                peers.setdefault(peer.caller, []).append(peer)
        wall, now = time.time(), time.monotonic()
        rows = [self._row(caller, connected, wall, now) for caller, connected in peers.items()]
        return {"data": sorted(rows, key=lambda row: row["since"])}

    def _row(self, caller: Caller, peers: list[Peer], wall: float, now: float) -> dict[str, Any]:
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
                "app": printable(next((peer.label for peer in peers if peer.label), "")),
                "client": printable(next((peer.client for peer in peers if peer.client), "")),
            },
            "connections": len(peers),
            "since": wall - (now - min(peer.since for peer in peers)),
            "in_flight": sum(exchange.path in request.OPERATIONS for peer in peers for exchange in peer.exchanges),
            "requests": used.requests,
            "failed": used.failed,
            "cost": used.cost / views.NANO,
        }
