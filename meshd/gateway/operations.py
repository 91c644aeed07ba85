"""The mesh's own operations: what it is asked about itself, and the commands operators give it.

Owns: the handlers behind `/v1/models` and `/mesh/v1/…`.
Must never: hold state; what another actor owns is asked of that actor.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from meshd import __version__, messages
from meshd.actors.base import ActorUnavailable
from meshd.cdk.provider import Operation
from meshd.gateway import inference, views
from meshd.gateway.core import RouterCore
from meshd.gateway.dispatch import Call
from meshd.routing import needs as reading
from meshd.routing import recovery
from meshd.routing.plan import nobody
from meshd.routing.stages import Question
from meshd.routing.state import Change
from meshd.routing.strategies import STRATEGIES, StickUntilFailure
from meshd.routing.table import Target, UnknownModel
from modelmesh._errors import ConflictError, InvalidRequestError, MeshError, NotFoundError

_SLOW = 120.0  # s for commands that wait for providers
_EVENT_BACKLOG = 1000  # events kept for a listener that is slow to take them


class Operations:
    """Registers itself in the core's dispatch table."""

    def __init__(self, core: RouterCore) -> None:
        self.core = core
        add = core.dispatcher.add
        add("GET", "/v1/models", self.list_openai_models)
        add("GET", "/v1/models/", self.get_openai_model)
        add("GET", "/mesh/v1/status", self.status)
        add("GET", "/mesh/v1/describe", self.describe)
        add("GET", "/mesh/v1/pools", self.pools)
        add("GET", "/mesh/v1/pools/", self.pool)
        add("GET", "/mesh/v1/models", self.models)
        add("GET", "/mesh/v1/providers", self.providers)
        add("GET", "/mesh/v1/capabilities", self.capabilities)
        add("GET", "/mesh/v1/stats", self.stats)
        add("GET", "/mesh/v1/events", self.events, stream=self.follow_events)
        add("GET", "/mesh/v1/config", self.config, admin=True)
        add("POST", "/mesh/v1/explain", self.explain)
        add("POST", "/mesh/v1/rotate", self.rotate, admin=True)
        add("POST", "/mesh/v1/models/activate", self.activate, admin=True)
        add("POST", "/mesh/v1/models/deactivate", self.deactivate, admin=True)
        add("POST", "/mesh/v1/reload", self.reload, admin=True)
        add("POST", "/mesh/v1/probe", self.probe, admin=True)
        add("POST", "/mesh/v1/discover", self.discover, admin=True)
        add("POST", "/mesh/v1/drain", self.drain, admin=True)

    # -- models as OpenAI lists them ------------------------------------------------------------------

    async def list_openai_models(self, call: Call) -> dict[str, Any]:
        """Pools first: they are what an app should ask for."""
        table = self.core.mesh.table
        return {
            "object": "list",
            "data": [_openai_model(name, "mesh") for name in table.pools]
            + [_openai_model(model.id, model.provider) for model in table.models.values()],
        }

    async def get_openai_model(self, call: Call) -> dict[str, Any]:
        target = self._resolve(call.rest)
        owner = self.core.mesh.table.models[target.pool.members[0]].provider if target.kind == "model" else "mesh"
        return _openai_model(call.rest, owner)

    # -- what there is --------------------------------------------------------------------------------

    async def describe(self, call: Call) -> dict[str, Any]:
        table, server = self.core.mesh.table, self.core.server
        return {
            "daemon": f"meshd/{__version__}",
            "instance": server.instance,
            "pools": list(table.pools),
            "models": list(table.models),
            "providers": list(table.providers),
            "you": msgspec.to_builtins(_caller_map(call)),
        }

    async def pools(self, call: Call) -> dict[str, Any]:
        mesh, now = self.core.mesh, time.time()
        return {"data": [views.pool_map(mesh.table, mesh.state, pool, now) for pool in mesh.table.pools.values()]}

    async def pool(self, call: Call) -> dict[str, Any]:
        mesh = self.core.mesh
        return views.pool_map(mesh.table, mesh.state, self._resolve(call.rest).pool, time.time())

    async def models(self, call: Call) -> dict[str, Any]:
        mesh, now, wanted = self.core.mesh, time.time(), call.query.get("id")
        if wanted is not None and wanted not in mesh.table.models:
            raise inference.unknown_model(UnknownModel(wanted, mesh.table.nearest(wanted)), mesh.table)
        return {
            "data": [
                views.model_map(mesh.table, mesh.state, model, now)
                for model in mesh.table.models.values()
                if wanted in (None, model.id)
            ]
        }

    async def providers(self, call: Call) -> dict[str, Any]:
        mesh, now, wanted = self.core.mesh, time.time(), call.query.get("name")
        if wanted is not None and wanted not in mesh.table.providers:
            raise NotFoundError(f"no provider is called {wanted!r}; there are {', '.join(mesh.table.providers)}")
        found = []
        for name in mesh.table.providers:
            if wanted not in (None, name):
                continue
            settings, made = self.core.providers.settings(name), self.core.providers.made(name)
            details = made.describe() if made is not None else {}
            base_url = settings.base_url if settings is not None else None
            found.append(views.provider_map(mesh.table, mesh.state, name, base_url, details, now))
        return {"data": found}

    async def capabilities(self, call: Call) -> dict[str, Any]:
        table = self.core.mesh.table
        counts: dict[str, int] = {}
        for model in table.models.values():
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

    async def status(self, call: Call) -> dict[str, Any]:
        core, now = self.core, time.time()
        generation, table = core.generation, core.mesh.table
        pools = [views.pool_map(table, core.mesh.state, pool, now) for pool in table.pools.values()]
        providers = (await self.providers(Call(call.caller)))["data"]
        supervisor, reload, sync, sinks = await asyncio.gather(
            self._ask("supervisor", messages.Supervision(), {}),
            self._ask("config", messages.LastReload(), None),
            self._ask("state", messages.GetSyncStatus(), {}),
            self._ask("telemetry", messages.TelemetryStatus(), []),
        )
        return {
            "version": __version__,
            "pid": supervisor.get("pid", 0),
            "uptime": now - core.started,
            "instance": core.server.instance,
            "sockets": core.server.addresses,
            "config": {
                "source": generation.source if generation else "",
                "generation": generation.number if generation else 0,
            },
            "state": sync,
            "actors": supervisor.get("actors", []),
            "in_flight": max(len(core.server.exchanges) - 1, 0),
            "peers": len(core.server.peers),
            "draining": core.draining,
            "providers": providers,
            "pools": [{key: pool[key] for key in ("name", "active", "standby", "current")} for pool in pools],
            "last_reload": None if reload is None else msgspec.to_builtins(reload),
            "spend_today": sync.get("spend_today", 0.0),
            "requests": {"total": core.requests_total, "failed": core.requests_failed},
            "malformed": core.server.malformed,
            "journal": {"error": core.journal.error or "", "waiting": core.journal.waiting},
            "sinks": sinks,
            "notes": list(generation.notes) if generation else [],
        }

    async def stats(self, call: Call) -> dict[str, Any]:
        scope = call.query.get("by", "model")
        if scope not in ("model", "provider", "pool", "app"):
            raise InvalidRequestError(f"by is model, provider, pool or app, not {scope!r}", param="by")
        since = _number(call.query, "since")
        self.core.report_outcomes()
        rows = await self._need("telemetry", messages.QueryStatistics(scope, call.query.get("name"), since))
        data = [{**row, "cost_total": row["cost_total"] / views.NANO} for row in rows]
        return {"by": scope, "since": since, "data": data}

    async def config(self, call: Call) -> dict[str, Any]:
        generation = self.core.generation
        if generation is None:
            return {"source": "", "generation": 0, "config": {}}
        return {
            "source": generation.source,
            "generation": generation.number,
            "config": generation.stored.redacted(),
        }

    # -- events ---------------------------------------------------------------------------------------

    async def events(self, call: Call) -> dict[str, Any]:
        limit = int(_number(call.query, "limit") or 50)
        recent = await self._need("telemetry", messages.RecentEvents())
        wanted = call.query.get("type")
        # Of what is only worth a look when somebody looks for it, such as clients coming and going, nothing by default.
        kept = [event for event in recent if (event.severity != "debug" if wanted is None else event.type == wanted)]
        return {"data": [msgspec.to_builtins(event) for event in kept[-limit:]]}

    async def follow_events(self, call: Call) -> AsyncIterator[Any]:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[messages.Event] = asyncio.Queue(_EVENT_BACKLOG)

        def put(event: messages.Event) -> None:
            if not queue.full():
                queue.put_nowait(event)

        def listener(event: messages.Event) -> None:  # called in telemetry's thread
            loop.call_soon_threadsafe(put, event)

        wanted = call.query.get("type")
        types = frozenset(wanted.split(",")) if wanted else frozenset()
        self.core.tell("telemetry", messages.Subscribe(listener, types))
        try:
            while True:
                yield msgspec.to_builtins(await queue.get())
        finally:
            self.core.tell("telemetry", messages.Unsubscribe(listener))

    # -- deciding without sending ---------------------------------------------------------------------

    async def explain(self, call: Call) -> dict[str, Any]:
        body = dict(call.body)
        path = str(body.pop("path", "") or _path_for(body))
        operation = inference.OPERATIONS.get(path)
        if operation is None:
            raise InvalidRequestError(f"path is one of {', '.join(inference.OPERATIONS)}", param="path")
        mesh = self.core.mesh
        try:
            asked, needs = reading.read(operation, msgspec.json.encode(body))
        except reading.MalformedBody as error:
            raise InvalidRequestError(str(error), param="model") from None
        target = self._resolve(asked)
        question = Question(mesh.table, mesh.state, target.pool, needs, time.time())
        explained = views.explanation_map(asked, target, question, mesh.pipeline.explain(question))
        if explained["chosen"] is None:
            refusal = nobody(question, mesh.pipeline.decide(question))
            explained["error"] = {"message": refusal.message, "code": refusal.code, "status": refusal.status_code}
        return explained

    # -- commands -------------------------------------------------------------------------------------

    async def rotate(self, call: Call) -> dict[str, Any]:
        """Move a pool's current model on to the next that can be asked; kept over restarts."""
        mesh = self.core.mesh
        pool = self._resolve(_text(call.body, "pool")).pool
        if not isinstance(STRATEGIES[pool.strategy], StickUntilFailure):
            raise ConflictError(
                f"{pool.name} chooses anew for each request ({pool.strategy}); to keep a model out of it: "
                "meshctl model deactivate ID",
                code="nothing_to_rotate",
            )
        state, now = mesh.state.pool(pool.name), time.time()
        before = state.current or (pool.members[0] if pool.members else None)
        start = pool.members.index(before) + 1 if before in pool.members else 0
        for model_id in pool.members[start:] + pool.members[:start]:
            model = mesh.table.models[model_id]
            status = views.availability_of(mesh.table, mesh.state, pool.name, model, now)[0]
            if model_id != before and status == recovery.ACTIVE:
                state.current = model_id
                self.core.tell("state", messages.StateChanged("pool", pool.name, {"current": model_id}, True))
                self.core.event(
                    "model_rotated",
                    ids={"pool": pool.name, "model": model_id},
                    reason="by hand",
                    changed={"from": before, "to": model_id},
                )
                return {"pool": pool.name, "from": before, "to": model_id}
        raise ConflictError(f"{pool.name} has no other active model to rotate to", code="nothing_to_rotate")

    async def activate(self, call: Call) -> dict[str, Any]:
        """Undo a deactivation by hand, and end every cooldown of the model and of its provider."""
        model_id = self._model(call)
        mesh, now = self.core.mesh, time.time()
        known = mesh.state.model(model_id)
        known.deactivated = None
        recovery.reset(known.availability, now)
        for (pool, member_model), member in mesh.state.members.items():
            if member_model == model_id:
                member.failures = 0
                if recovery.reset(member.availability, now):
                    self.core.tell("state", messages.StateChanged("member", f"{pool}\x00{model_id}", None))
        provider = mesh.table.models[model_id].provider
        if recovery.reset(mesh.state.provider(provider).availability, now):
            self.core.changed([Change("provider", True, "by hand", provider=provider)])
        self.core.save_model(model_id, durable=True)
        self.core.event("model_activated", ids={"model": model_id}, reason="by hand")
        return {"id": model_id, "status": "active", "reason": ""}

    async def deactivate(self, call: Call) -> dict[str, Any]:
        """Take a model out of all pools until somebody activates it, also over restarts."""
        model_id = self._model(call)
        reason = str(call.body.get("reason") or "no reason given")
        self.core.mesh.state.model(model_id).deactivated = reason
        self.core.save_model(model_id, durable=True)
        self.core.event("model_deactivated", "warning", {"model": model_id}, f"by hand: {reason}")
        return {"id": model_id, "status": "standby", "reason": reason}

    async def reload(self, call: Call) -> dict[str, Any]:
        dry_run = bool(call.body.get("dry_run"))
        report = await self._need("config", messages.Reload(dry_run=dry_run, reason="asked by an operator"), _SLOW)
        return dict(msgspec.to_builtins(report))

    async def probe(self, call: Call) -> dict[str, Any]:
        provider = _text(call.body, "provider") if call.body.get("provider") is not None else None
        if provider is not None and provider not in self.core.mesh.table.providers:
            raise NotFoundError(f"no provider is called {provider!r}")
        rows = await self._need("health", messages.ProbeNow(provider), _SLOW)
        return {"data": [{**row, "ok": not row["error"]} for row in rows]}

    async def discover(self, call: Call) -> dict[str, Any]:
        return {"data": await self._need("discovery", messages.DiscoverNow(), _SLOW)}

    async def drain(self, call: Call) -> dict[str, Any]:
        left = await self.core.drain(_number(call.body, "timeout") or 30.0)
        return {"drained": left == 0, "left": left}

    # -- inside ---------------------------------------------------------------------------------------

    def _resolve(self, name: str) -> Target:
        try:
            return self.core.mesh.table.resolve(name)
        except UnknownModel as unknown:
            raise inference.unknown_model(unknown, self.core.mesh.table) from None

    def _model(self, call: Call) -> str:
        """The one model that `id` names. Raises NotFoundError for a pool or an unknown name."""
        name = _text(call.body, "id")
        target = self._resolve(name)
        if target.kind != "model":
            raise NotFoundError(f"{name} is a {target.kind}, not a model", code="model_not_found")
        return target.pool.members[0]

    async def _need(self, actor: str, message: messages.Message, timeout: float = 10.0) -> Any:
        try:
            return await self.core.ask(actor, message, timeout)
        except ActorUnavailable as error:
            raise MeshError(f"{error}; try again in a moment", status_code=503, retryable=True) from None

    async def _ask(self, actor: str, message: messages.Message, otherwise: Any) -> Any:
        """For the status, which has to come whatever is broken."""
        try:
            return await self.core.ask(actor, message, 2.0)
        except (ActorUnavailable, MeshError):
            return otherwise


def _openai_model(id: str, owner: str) -> dict[str, Any]:
    return {"id": id, "object": "model", "created": 0, "owned_by": owner}


def _caller_map(call: Call) -> dict[str, Any]:
    caller = call.caller
    return {
        "uid": caller.uid,
        "user": caller.user,
        "gid": caller.gid,
        "pid": caller.pid,
        "exe": caller.exe,
        "unit": caller.unit,
        "app": caller.app,
    }


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidRequestError(f"`{key}` is missing", param=key)
    return value


def _number(given: Mapping[str, Any], key: str) -> float | None:
    """A number of zero or more, None where there is none. Raises InvalidRequestError."""
    value = given.get(key)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise InvalidRequestError(f"{key} is a number of zero or more, not {value!r}", param=key)
    return number


def _path_for(body: dict[str, Any]) -> str:
    """The endpoint that a request of this shape goes to."""
    wanted = Operation.CHAT
    if "input" in body:
        wanted = Operation.EMBEDDINGS
    elif "prompt" in body:
        wanted = Operation.COMPLETION
    return next(path for path, operation in inference.OPERATIONS.items() if operation is wanted)
