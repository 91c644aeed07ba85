"""What metrics show of the router's state: availability, limits, what is in flight.

Owns: these metrics, and how they are read.
Must never: block the loop: rows are made a few at a time, and requests run between them.
"""

from __future__ import annotations

import asyncio
from typing import Any

from meshd.gateway.access.rights import Reader
from meshd.gateway.frontends.admission import Admission
from meshd.gateway.frontends.ipc.connections import Connections
from meshd.gateway.reports import views
from meshd.gateway.runtime import Runtime
from meshd.host import clock
from meshd.routing.availability import recovery
from meshd.routing.availability.recovery import ACTIVE, STANDBY
from meshd.sdk.metrics import Family, Row, Value
from modelmesh.version import VERSION

AT_ONCE = 32
"""Rows between two turns of the loop. A row takes some 10 µs."""

_POOL, _PROVIDER, _MODEL = "meshd.pool", "meshd.provider", "meshd.model"
_OF_A_LIMIT = ("meshd.scope", "meshd.name", _POOL, "meshd.measure", "meshd.window")


class Gauges:
    def __init__(self, runtime: Runtime, admission: Admission, connections: Connections) -> None:
        self._runtime = runtime
        self._admission = admission
        self._connections = connections

    async def read(self) -> tuple[Family, ...]:
        """Names, units and labels as OpenTelemetry has them."""
        runtime = self._runtime
        view = views.View(runtime.table, runtime.pipeline, clock.now())
        return (
            *self._of_the_daemon(),
            await self._members(view),
            *await self._models(),
            *await self._providers(view),
            *await self._limits(view),
        )

    def _of_the_daemon(self) -> list[Family]:
        runtime, admission = self._runtime, self._admission
        peers = sum(each.greeted for each in self._connections.known)
        waiting, failing = len(runtime.room.queue), int(bool(runtime.ledger.error))
        generation = runtime.config.number if runtime.config else 0
        return [
            _gauge("meshd.info", "The version, as a label.", ("meshd.version",), [((VERSION,), 1)]),
            _alone("meshd.requests.in_flight", "Requests to models in progress.", admission.inferences, "{request}"),
            _alone("meshd.requests.waiting", "Requests that wait for a place at a model.", waiting, "{request}"),
            _alone("meshd.clients", "Clients on the socket.", peers, "{client}"),
            _alone("meshd.draining", "1 while the daemon takes no new requests.", int(admission.draining)),
            _alone("meshd.config.generation", "Number of the running configuration.", generation),
            _alone("meshd.journal.failing", "1 while spending cannot be written to disk.", failing),
        ]

    async def _members(self, view: views.View) -> Family:
        rows: list[Row] = []
        for pool in view.table.pools.values():
            for id in pool.members:
                model = view.table.models.get(id)
                if model is not None:
                    active = view.status(pool, model).status == ACTIVE
                    rows.append(((pool.name, model.provider, id), int(active)))
                    await _give_way(rows)
        labels = (_POOL, _PROVIDER, _MODEL)
        return _gauge("meshd.member.available", "1 if requests to the pool may be sent to the model.", labels, rows)

    async def _models(self) -> list[Family]:
        flying: list[Row] = []
        failing: list[Row] = []
        for id, model in self._runtime.table.models.items():
            known = self._runtime.state.models.get(id)
            if known is not None:  # it was asked, or looked at
                flying.append(((model.provider, id), known.in_flight))
                failing.append(((model.provider, id), int(known.failing_since is not None)))
                await _give_way(flying)
        labels = (_PROVIDER, _MODEL)
        return [
            _gauge("meshd.model.in_flight", "Attempts in progress.", labels, flying, "{attempt}"),
            _gauge("meshd.model.failing", "1 if the last requests to it have all failed.", labels, failing),
        ]

    async def _providers(self, view: views.View) -> list[Family]:
        available: list[Row] = []
        score: list[Row] = []
        for name, spec in view.table.providers.items():
            known = view.state.provider(name)
            usable = not spec.disabled and recovery.status(known.availability, view.now) != STANDBY
            available.append(((name,), int(usable)))
            score.append(((name,), known.score))
            await _give_way(available)
        return [
            _gauge("meshd.provider.available", "1 if it may be asked.", (_PROVIDER,), available),
            _gauge("meshd.provider.score", "Its health by probes, from 0 to 1.", (_PROVIDER,), score),
        ]

    async def _limits(self, view: views.View) -> list[Family]:
        rows: dict[str, list[Row]] = {key: [] for key in _LIMITS}
        for each in view.allowances():
            group = (each["scope"], each["name"], each["pool"], each["measure"], each["window"])
            for key, found in rows.items():
                found.append((group, each[key]))
            await _give_way(rows["limit"])
        return [_gauge(name, help, _OF_A_LIMIT, rows[key]) for key, (name, help) in _LIMITS.items()]


_LIMITS = {
    "limit": ("meshd.limit", "A budget or quota, in USD, tokens or requests, as the measure says."),
    "spent": ("meshd.limit.spent", "What was used of a limit in its current period."),
    "reserved": ("meshd.limit.reserved", "What requests in progress may still use of a limit."),
}


def _gauge(name: str, help: str, labels: tuple[str, ...], rows: list[Row], unit: str = "1") -> Family:
    return Family(name, "gauge", unit, help, labels, tuple(rows))


def _alone(name: str, help: str, value: Value, unit: str = "1") -> Family:
    return _gauge(name, help, (), [((), value)], unit)


async def _give_way(rows: list[Any]) -> None:
    if len(rows) % AT_ONCE == 0:
        await asyncio.sleep(0)


def may_read(reader: Reader) -> bool:
    """Whether the caller may see what all apps use."""
    return reader.operator or reader.identity.spec.metrics
