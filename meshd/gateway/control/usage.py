"""Apps and budgets: limits and usage.

Must never: show an app another app's usage, unless it is an administrator.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from meshd import messages
from meshd.core.money import dollars
from meshd.gateway.access.app_identity import Identity
from meshd.gateway.access.rights import Reader
from meshd.gateway.actors import Actors
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import Call, Dispatcher
from meshd.gateway.frontends.admission import Admission
from meshd.gateway.frontends.ipc.connections import Connections
from meshd.gateway.reports import views
from meshd.gateway.runtime import Runtime
from meshd.host import clock
from meshd.routing.table.access import DEFAULT_APP
from meshd.routing.table.specs import AppSpec
from modelmesh.errors import NotFoundError
from modelmesh.wording import no_such

_SUMMED = ("requests", "failed", "tokens_in", "tokens_out", "cost", "cost_today")


class Usage(Group):
    def __init__(self, runtime: Runtime, actors: Actors, admission: Admission, connections: Connections) -> None:
        super().__init__(runtime, actors)
        self._admission = admission
        self._connections = connections

    def add_to(self, table: Dispatcher) -> None:
        add = table.add
        add("GET", "/mesh/v1/apps", self.apps)
        add("GET", "/mesh/v1/budget", self.budget)

    async def budget(self, call: Call) -> dict[str, Any]:
        runtime = self.runtime
        view = views.View(runtime.table, runtime.pipeline, clock.now(), self.reader(call))
        return {"timezone": runtime.table.timezone, "data": view.allowances()}

    async def apps(self, call: Call) -> dict[str, Any]:
        """The configured apps in matching order, apps that only hold a token, `default` with the sums of all others,
        then those others."""
        now, wanted = time.time(), call.query.get("name")
        reader = self.reader(call)
        rows = await self._rows(now, reader)
        if not reader.operator:
            own = reader.identity
            rows = {name: reader.shown("app", rows[name]) for name in rows if name in (own.label, own.account)}
        if wanted is None:
            return {"data": list(rows.values())}
        if wanted not in rows:
            raise NotFoundError(no_such("app", wanted, rows))
        return {"data": [rows[wanted]]}

    # -- inside ---------------------------------------------------------------------------------------

    async def _rows(self, now: float, reader: Reader) -> dict[str, dict[str, Any]]:
        """reader: only what its user has used, unless it is an operator."""
        runtime, counts = self.runtime, await self._counts(now, reader)
        view, matches = views.View(runtime.table, runtime.pipeline, clock.now()), self._matches()
        configured = {name: spec for name, spec in runtime.table.apps.items() if name != DEFAULT_APP}
        default = runtime.table.apps.get(DEFAULT_APP, AppSpec(DEFAULT_APP))
        of_tokens = sorted(runtime.apps.of_tokens)
        others = sorted(counts.labels() - {*configured, *of_tokens, DEFAULT_APP})
        specs = configured | dict.fromkeys([*of_tokens, DEFAULT_APP, *others], default)
        accounts = {name: spec.name for name, spec in specs.items()} | {name: name for name in of_tokens}
        rows = {
            name: {
                "name": name,
                "account": accounts[name],
                "configured": name in runtime.table.apps,
                "match": matches.get(name, {}),
                "pools": None if spec.pools is None else sorted(spec.pools),
                "models": None if spec.models is None else sorted(spec.models),
                "admin": spec.admin,
                "priority": spec.priority,
                "weight": spec.weight,
                "rate_limit": {"rpm": spec.rate.rpm, "tpm": spec.rate.tpm, "concurrency": spec.rate.concurrency},
                "budget": view.allowances_of({("app", accounts[name])}),
                **counts.of(name),
            }
            for name, spec in specs.items()
        }
        _sum_up(rows[DEFAULT_APP], [rows[name] for name in others])
        return rows

    async def _counts(self, now: float, reader: Reader) -> _Counts:
        used = await self._used(now, reader)
        connected = Counter(
            self._identity(each).label
            for each in self._connections.known
            if reader.owns(each.caller.uid, self._identity(each).account)
        )
        in_flight = Counter(
            self._identity(each).label
            for id, each in self._admission.in_flight.items()
            if self._admission.asks_a_model(id) and reader.owns(each.caller.uid, self._identity(each).account)
        )
        waiting, last_seen = self.runtime.room.queue.waiting(), self.runtime.apps.last_seen
        return _Counts(used, connected, in_flight, waiting, last_seen)

    async def _used(self, now: float, reader: Reader) -> dict[str, dict[str, Any]]:
        """Label → its usage in total, and today in the configured time zone."""
        midnight = datetime.fromtimestamp(now, ZoneInfo(self.runtime.table.timezone)).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        self.runtime.outcomes.flush()
        own = reader.own_use
        ever = await self.need("telemetry", messages.QueryStatistics("app", where=own))
        today = await self.need(
            "telemetry", messages.QueryStatistics("app", since=now - midnight.timestamp(), where=own)
        )
        costs = {row["name"]: dollars(row["cost_total"]) for row in today}
        return {
            row["name"]: {
                "requests": row["requests_total"],
                "failed": row["requests_failed"],
                "tokens_in": row["tokens_in"],
                "tokens_out": row["tokens_out"],
                "cost": dollars(row["cost_total"]),
                "cost_today": costs.get(row["name"], 0.0),
            }
            for row in ever
        }

    def _identity(self, of: Any) -> Identity:
        return self.runtime.apps.identify(of.caller)

    def _matches(self) -> dict[str, dict[str, Any]]:
        """As configured, without tokens."""
        generation = self.runtime.config
        if generation is None:
            return {}
        return {
            name: app.match.model_dump(exclude_defaults=True, exclude={"token"})
            for name, app in generation.config.apps.items()
        }


class _Counts(msgspec.Struct, frozen=True):
    """Of apps, by their labels. last_seen: UTC s."""

    used: Mapping[str, dict[str, Any]]
    connected: Counter[str]
    in_flight: Counter[str]
    waiting: Mapping[str, int]
    last_seen: Mapping[str, float]

    def labels(self) -> set[str]:
        return {*self.used, *self.connected, *self.in_flight, *self.last_seen}

    def of(self, label: str) -> dict[str, Any]:
        return {
            "connected": self.connected[label],
            "in_flight": self.in_flight[label],
            "waiting": self.waiting.get(label, 0),
            **self.used.get(label, dict.fromkeys(_SUMMED, 0) | {"cost": 0.0, "cost_today": 0.0}),
            "last_seen": self.last_seen.get(label),
        }


def _sum_up(whole: dict[str, Any], others: list[dict[str, Any]]) -> None:
    """Add the counts of others to an app's row; the time when an app was last seen is taken only from these counts."""
    for key in (*_SUMMED, "connected", "in_flight", "waiting"):
        whole[key] += sum(each[key] for each in others)
    whole["last_seen"] = max((each["last_seen"] for each in others if each["last_seen"] is not None), default=None)
