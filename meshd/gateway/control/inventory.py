"""Lists of pools, models, providers, capabilities, and the configuration they come from.

Owns: the lists, each filtered to what the caller may use.
Must never: change anything.
"""

from __future__ import annotations

from typing import Any

from meshd.gateway.actors import Actors
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import Call, Dispatcher
from meshd.gateway.reports import views
from meshd.gateway.requests import arrival
from meshd.gateway.runtime import Runtime
from meshd.host import clock
from meshd.routing.table.access import allowed_models, allowed_pools
from meshd.routing.table.specs import ModelSpec, UnknownModel
from modelmesh.errors import NotFoundError
from modelmesh.version import VERSION
from modelmesh.wording import no_such


class Inventory(Group):
    """instance: of the server, as its clients know it."""

    def __init__(self, runtime: Runtime, actors: Actors, instance: str) -> None:
        super().__init__(runtime, actors)
        self._instance = instance

    def add_to(self, table: Dispatcher) -> None:
        add = table.add
        add("GET", "/mesh/v1/describe", self.describe)
        add("GET", "/mesh/v1/pools", self.pools)
        add("GET", "/mesh/v1/pools/", self.pool)
        add("GET", "/mesh/v1/models", self.models)
        add("GET", "/mesh/v1/providers", self.providers)
        add("GET", "/mesh/v1/capabilities", self.capabilities)
        add("GET", "/mesh/v1/config", self.config, admin=True)

    # -- the mesh's own lists -------------------------------------------------------------------------

    async def describe(self, call: Call) -> dict[str, Any]:
        table, reader = self.runtime.table, self.reader(call)
        return {
            "daemon": f"meshd/{VERSION}",
            "instance": self._instance,
            "pools": [pool.name for pool in allowed_pools(reader.app, table)],
            "models": [model.id for model in allowed_models(reader.app, table)],
            "providers": reader.providers(),
            "you": self._caller_map(call),
        }

    async def pools(self, call: Call) -> dict[str, Any]:
        view, app = self._view(call), self.reader(call).app
        return {"data": [view.pool(pool) for pool in allowed_pools(app, view.table)]}

    async def pool(self, call: Call) -> dict[str, Any]:
        return self._view(call).pool(self.visible(call, call.rest).pool)

    async def models(self, call: Call) -> dict[str, Any]:
        view, app, wanted = self._view(call), self.reader(call).app, call.query.get("id")
        if wanted is None:
            return {"data": [self._described(view, model) for model in allowed_models(app, view.table)]}
        if wanted not in view.table.models:
            raise arrival.unknown_model(UnknownModel(wanted, view.table.nearest(wanted)), view.table, app)
        model = view.table.models[self.visible(call, wanted).pool.members[0]]
        return {"data": [self._described(view, model)]}

    def _described(self, view: views.View, model: ModelSpec) -> dict[str, Any]:
        return {**view.model(model), "retires": self.runtime.retires.get(model.id)}

    async def providers(self, call: Call) -> dict[str, Any]:
        wanted, names = call.query.get("name"), self.reader(call).providers()
        if wanted is not None and wanted not in names:
            raise NotFoundError(no_such("provider", wanted, names))
        return {"data": self.provider_maps(call, names if wanted is None else [wanted])}

    def provider_maps(self, call: Call, names: list[str]) -> list[dict[str, Any]]:
        view, found = self._view(call), []
        for name in names:
            connectors = self.runtime.connectors
            settings, details = connectors.settings(name), connectors.described(name)
            address = connectors.shown(name, settings.base_url if settings is not None else None)
            found.append(view.provider(name, address, details))
        return found

    async def capabilities(self, call: Call) -> dict[str, Any]:
        table = self.runtime.table
        counts: dict[str, int] = {}
        for model in allowed_models(self.reader(call).app, table):
            for leaf in model.capabilities:
                for node in [leaf, *table.tree.get_ancestors(leaf)]:
                    counts[node] = counts.get(node, 0) + 1
        return {
            "data": [
                {
                    "id": node,
                    "alias": table.tree.alias(node),
                    "leaf": table.tree.is_leaf(node),
                    "models": counts.get(node, 0),
                }
                for node in table.tree.list_all()
            ]
        }

    async def config(self, call: Call) -> dict[str, Any]:
        generation = self.runtime.config
        if generation is None:
            return {"source": "", "generation": 0, "config": {}}
        return {
            "source": generation.source,
            "generation": generation.number,
            "config": generation.stored.redacted(),
            **generation.stored.described(),
        }

    # -- inside ---------------------------------------------------------------------------------------

    def _view(self, call: Call) -> views.View:
        runtime = self.runtime
        return views.View(runtime.table, runtime.pipeline, clock.now(), self.reader(call))

    def _caller_map(self, call: Call) -> dict[str, Any]:
        caller, apps = call.caller, self.runtime.apps
        identity = apps.identify(caller)
        return {
            "uid": caller.uid,
            "user": caller.user,
            "gid": caller.gid,
            "pid": caller.pid,
            "exe": caller.exe,
            "unit": caller.unit,
            "app": identity.label,
            "account": identity.account,
            "admin": apps.is_admin(caller),
        }
