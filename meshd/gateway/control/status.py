"""The daemon's status, statistics, events and last requests.

Must never: keep anything; the owner of each is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from meshd import messages
from meshd.core.events.records import Outcome
from meshd.gateway.actors import Actors
from meshd.gateway.control.base import Group, number
from meshd.gateway.control.dispatcher import Call, Dispatcher
from meshd.gateway.control.inventory import Inventory
from meshd.gateway.control.watching.event_feed import EventFeed
from meshd.gateway.frontends.admission import Admission
from meshd.gateway.frontends.http.listeners import Listeners
from meshd.gateway.frontends.ipc.server import IpcServer
from meshd.gateway.reports import ends, views
from meshd.gateway.runtime import Runtime
from meshd.host import clock
from meshd.host.build import is_compiled
from meshd.routing.table.access import allowed_models, allowed_pools
from meshd.telemetry.statistics.dimensions import ALL, parse_by
from meshd.telemetry.statistics.measures import in_usd
from modelmesh.errors import InvalidRequestError, MeshError
from modelmesh.version import VERSION


class Status(Group):
    """started: a time of `clock.now()`."""

    def __init__(
        self,
        runtime: Runtime,
        actors: Actors,
        admission: Admission,
        server: IpcServer,
        http: Listeners,
        inventory: Inventory,
        started: float,
    ) -> None:
        super().__init__(runtime, actors)
        self._admission = admission
        self._server = server
        self._http = http
        self._inventory = inventory
        self._started = started
        self._feed = EventFeed(actors.tell, lambda caller: self.reader(Call(caller)))

    def add_to(self, table: Dispatcher) -> None:
        add = table.add
        add("GET", "/mesh/v1/status", self.status)
        add("GET", "/mesh/v1/stats", self.stats)
        add("GET", "/mesh/v1/events", self.events, stream=self.follow_events)
        add("GET", "/mesh/v1/spend", self.spend)
        add("GET", "/mesh/v1/requests", self.requests)
        add("GET", "/mesh/v1/dashboard", self.dashboard)

    async def status(self, call: Call) -> dict[str, Any]:
        runtime, server, now = self.runtime, self._server, clock.now()
        generation, outcomes = runtime.config, runtime.outcomes
        reader = self.reader(call)
        app, view = reader.app, views.View(runtime.table, runtime.pipeline, now, reader)
        pools = [view.pool(pool) for pool in allowed_pools(app, runtime.table)]
        providers = (await self._inventory.providers(Call(call.caller)))["data"]
        supervisor, reload, sync, sinks, remarks = await asyncio.gather(
            self.ask("supervisor", messages.Supervision(), {}),
            self.ask("config", messages.LastReload(), None),
            self.ask("state", messages.GetSyncStatus(), {}),
            self.ask("telemetry", messages.TelemetryStatus(), []),
            self.ask("discovery", messages.DiscoveryRemarks(), []),
        )
        said = dict.fromkeys(str(row["details"]["remark"]) for row in providers if row.get("details", {}).get("remark"))
        ending = ends.remarks(runtime.retires, runtime.table)
        found = {
            "version": VERSION,
            "compiled": is_compiled(),
            "pid": supervisor.get("pid", 0),
            "uptime": now - self._started,
            "instance": server.instance,
            "sockets": server.addresses,
            "listen": {
                "addresses": server.further.addresses,
                "problems": list(server.further.problems),
                "curve_key": server.further.public_key,
            },
            "http": {"addresses": self._http.addresses, "problems": self._http.problems},
            "config": {
                "source": generation.source if generation else "",
                "generation": generation.number if generation else 0,
            },
            "state": sync,
            "actors": supervisor.get("actors", []),
            "in_flight": self._admission.inferences,
            "waiting": len(runtime.room.queue),
            "peers": sum(each.greeted for each in server.connections.known),
            "draining": self._admission.draining,
            "providers": providers,
            "pools": [{key: pool[key] for key in ("name", "active", "standby", "current")} for pool in pools],
            "failing": view.failing(allowed_models(app, runtime.table)),
            "last_reload": None if reload is None else msgspec.to_builtins(reload),
            "spend_today": sync.get("spend_today", 0.0),
            "requests": {"total": outcomes.total, "failed": outcomes.failed},
            "malformed": server.malformed,
            "journal": {"error": runtime.ledger.error or "", "waiting": runtime.ledger.waiting},
            "sinks": sinks,
            "secrets": msgspec.to_builtins(runtime.secrets),
            "notes": [
                *((*generation.notes, *generation.warnings) if generation else ()),
                *_unknown_spend(runtime.state.accounts.unknown),
                *remarks,
                *said,
                *ending,
            ],
            "lacks": outcomes.shortages.lately(now),
        }
        return reader.shown("status", found)

    async def stats(self, call: Call) -> dict[str, Any]:
        return await self._stats(call, of_spend=False)

    async def spend(self, call: Call) -> dict[str, Any]:
        """The same for what is kept longest."""
        return await self._stats(call, of_spend=True)

    async def _stats(self, call: Call, *, of_spend: bool) -> dict[str, Any]:
        by, where = call.query.get("by", "model"), {name: call.query[name] for name in ALL if name in call.query}
        try:
            parse_by(by, where, of_spend=of_spend)
        except ValueError as error:
            raise InvalidRequestError(str(error), param="by") from None
        since, until = number(call.query, "since"), number(call.query, "until")
        where |= self.reader(call).own_use
        await self.runtime.outcomes.settle()
        query = messages.QueryStatistics(by, call.query.get("name"), since, until, where, of_spend)
        rows = await self.need("telemetry", query)
        data = [in_usd(row) for row in rows]
        return {"by": by, "since": since, "data": data}

    async def events(self, call: Call) -> dict[str, Any]:
        recent = await self.need("telemetry", messages.RecentEvents())
        wanted = call.query.get("type")
        # Minor events, such as clients coming and going, are left out unless asked for.
        kept = [event for event in recent if (event.severity != "debug" if wanted is None else event.type == wanted)]
        reader = self.reader(call)
        shown = [found for event in kept if (found := reader.event(event)) is not None]
        return {"data": shown[max(len(shown) - _limit(call.query), 0) :]}

    async def follow_events(self, call: Call) -> AsyncIterator[Any]:
        wanted = call.query.get("type")
        types = frozenset(wanted.split(",")) if wanted else frozenset()
        async with aclosing(self._feed.follow(call.caller, types)) as events:
            async for event in events:
                yield event

    async def dashboard(self, call: Call) -> dict[str, Any]:
        """Where the caller's browser finds the dashboard."""
        address = next((each for each in self._http.addresses if each.startswith("http")), None)
        if address is None or not self._http.dashboard:
            setting = "proxy.dashboard" if address else "proxy.enabled"
            raise MeshError(
                f"The dashboard is off; set {setting}: true, and reload.", status_code=409, code="dashboard_off"
            )
        return {"url": address, "key": self._http.keys.of(call.caller.uid)}

    async def requests(self, call: Call) -> dict[str, Any]:
        await self.runtime.outcomes.settle()
        reader, query = self.reader(call), call.query

        def wanted(outcome: Outcome) -> bool:
            return (
                reader.owns(outcome.uid, outcome.account)
                and (query.get("failed") != "true" or outcome.status >= 400)
                and all(getattr(outcome, name) == query[key] for key, name in _OF_REQUEST.items() if key in query)
            )

        entries = await self.need("telemetry", messages.RecentRequests(wanted, _limit(query)))
        return {"data": [{"at_ns": entry.at_ns, **entry.fields} for entry in entries]}


_OF_REQUEST = {
    "app": "app",
    "model": "model",
    "pool": "pool",
    "provider": "provider",
    "operation": "operation",
    "request": "request_id",
}
"""What `GET /mesh/v1/requests` is filtered by → of an outcome."""


_MOST_ENTRIES = 1_000_000  # more than are kept


def _limit(query: Mapping[str, str]) -> int:
    limit = number(query, "limit")
    return 50 if limit is None else int(min(limit, _MOST_ENTRIES))


def _unknown_spend(why: str) -> list[str]:
    if not why:
        return []
    return [f"what earlier runs spent is not known, so requests that a budget pays for are refused: {why}"]
