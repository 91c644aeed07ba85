"""`/v1/models`: what an app may ask for, in the form of its API.

Owns: what is listed, and in which order: pools, aliases, models.
Must never: know an API's form (`meshd/formats/lists`), or list what the caller may not use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from meshd.formats.lists.entry import Entry
from meshd.formats.lists.known import list_form_of
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import USUAL_FORMAT, Call, Dispatcher
from meshd.operations.known import OPERATIONS, serves
from meshd.routing.table.access import allowed_aliases, allowed_models, allowed_pools
from meshd.routing.table.offers import offer_of
from meshd.routing.table.specs import AppSpec, RoutingTable, Target

_OWNER = "mesh"


class Models(Group):
    def add_to(self, table: Dispatcher) -> None:
        table.add("GET", "/v1/models", self.list, format=_format)
        table.add("GET", "/v1/models/", self.get, format=_format)

    async def list(self, call: Call) -> dict[str, Any]:
        app, form = self.runtime.apps.identify(call.caller).spec, list_form_of(call.headers, call.query)
        return form.listed(answerable(entries_of(app, self.runtime.table), form.speaks), call.query)

    async def get(self, call: Call) -> dict[str, Any]:
        """Raises NotFoundError, AccessDeniedError."""
        identity = self.runtime.apps.identify(call.caller)
        target = self.resolve(call.rest, identity.spec)
        self.runtime.apps.check(identity, target)
        entry = entry_of(call.rest, target, identity.spec, self.runtime.table)
        return list_form_of(call.headers, call.query).one(entry)


def _format(headers: Mapping[str, str]) -> str:
    return list_form_of(headers, {}).speaks or USUAL_FORMAT


def entries_of(app: AppSpec, table: RoutingTable) -> list[Entry]:
    """What an app may ask for."""
    found = {pool.name: Target("pool", pool) for pool in allowed_pools(app, table)}
    found |= allowed_aliases(app, table)
    for model in allowed_models(app, table):
        target = table.named(model.id)
        # If a pool and a model have the same name, the pool is asked.
        if model.id not in found and target is not None:
            found[model.id] = target
    return [entry_of(name, target, app, table) for name, target in found.items()]


def entry_of(name: str, target: Target, app: AppSpec, table: RoutingTable) -> Entry:
    owner = table.models[target.pool.members[0]].provider if target.kind == "model" else _OWNER
    kind = "alias" if target.alias else target.kind
    return Entry(name, kind, target.pool.name, owner, *offer_of(target.pool, app, table))


def answerable(entries: Iterable[Entry], format: str | None) -> list[Entry]:
    """The entries that answer an operation of the wire format."""
    if format is None:
        return list(entries)
    operations = [each for each in OPERATIONS.values() if format in each.paths]
    return [
        entry
        for entry in entries
        if any(serves(operation, capability) for capability in entry.capabilities for operation in operations)
    ]
