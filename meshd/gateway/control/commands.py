"""The commands operators give: rotate, activate, reload, probe, drain.

Owns: what each changes, and who is told about it.
Must never: be open to anyone but an administrator.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from meshd import messages
from meshd.core.events.cause import BY_HAND, Cause, Why
from meshd.core.events.event_type import EventType
from meshd.gateway.actors import Actors
from meshd.gateway.control.base import Group, number, text
from meshd.gateway.control.dispatcher import Call, Dispatcher
from meshd.gateway.reports import views
from meshd.gateway.runtime import Runtime
from meshd.host import clock
from meshd.routing.availability import interventions, recovery
from meshd.routing.decision.strategies.preference import StickUntilFailure
from meshd.routing.words import words
from modelmesh.errors import ConflictError, NotFoundError
from modelmesh.wording import no_such

logger = logging.getLogger(__name__)

LEFT_OUT = "left_out"
"""Stands for a failure's kind if the provider was not asked."""
_SETTLED, _AGAIN = 3.0, 0.05  # s for files of secrets that are being written, and between two reads
_SLOW = 120.0  # s for commands that wait for providers


class Commands(Group):
    def __init__(self, runtime: Runtime, actors: Actors, drain: Callable[[float], Awaitable[int]]) -> None:
        super().__init__(runtime, actors)
        self._drain = drain

    def add_to(self, table: Dispatcher) -> None:
        add = table.add
        add("POST", "/mesh/v1/rotate", self.rotate, admin=True)
        add("POST", "/mesh/v1/models/activate", self.activate, admin=True)
        add("POST", "/mesh/v1/models/deactivate", self.deactivate, admin=True)
        add("POST", "/mesh/v1/reload", self.reload, admin=True)
        add("POST", "/mesh/v1/secrets/refresh", self.refresh_secrets, admin=True)
        add("POST", "/mesh/v1/probe", self.probe, admin=True)
        add("POST", "/mesh/v1/discover", self.discover, admin=True)
        add("POST", "/mesh/v1/drain", self.drain, admin=True)

    async def rotate(self, call: Call) -> dict[str, Any]:
        """Move a pool to the next model that can be asked; kept across restarts."""
        runtime = self.runtime
        pool = self.resolve(text(call.body, "pool")).pool
        if not isinstance(runtime.pipeline.strategy_of(pool), StickUntilFailure):
            raise ConflictError(
                f"{pool.name} selects a model for each request ({pool.strategy}); to keep a model out of it: "
                "meshctl model deactivate ID",
                code="nothing_to_rotate",
            )
        state, view = runtime.state.pool(pool.name), views.View(runtime.table, runtime.pipeline, clock.now())
        before = state.current or (pool.members[0] if pool.members else None)
        start = pool.members.index(before) + 1 if before in pool.members else 0
        for model_id in pool.members[start:] + pool.members[:start]:
            model = runtime.table.models[model_id]
            if model_id != before and view.status(pool, model).status == recovery.ACTIVE:
                state.current = model_id
                self.actors.tell("state", messages.StateChanged("pool", pool.name, {"current": model_id}, True))
                runtime.publisher.event(
                    EventType.MODEL_ROTATED,
                    ids={"pool": pool.name, "model": model_id},
                    reason=words(BY_HAND),
                    changed={"from": before, "to": model_id},
                    cause=BY_HAND.cause,
                )
                return {"pool": pool.name, "from": before, "to": model_id}
        raise ConflictError(
            f"Pool {pool.name} has no other active model; `meshctl pools {pool.name}` says why.",
            code="nothing_to_rotate",
        )

    async def activate(self, call: Call) -> dict[str, Any]:
        """Undo a deactivation by hand, and end every cooldown of the model, its provider and its provider's keys."""
        model_id, runtime = self.model(call), self.runtime
        changes = interventions.activate(runtime.state, runtime.table, model_id, clock.now())
        runtime.state.rates.reset(runtime.table.models[model_id])
        runtime.publisher.changed(changes)
        runtime.publisher.save_model(model_id, durable=True)
        runtime.room.freed()  # even if only a key was set aside
        if not any(change.model == model_id for change in changes):
            runtime.publisher.event(
                EventType.MODEL_ACTIVATED, ids={"model": model_id}, reason=words(BY_HAND), cause=BY_HAND.cause
            )
        return {"id": model_id, "status": "active", "reason": ""}

    async def deactivate(self, call: Call) -> dict[str, Any]:
        """Take a model out of all pools until it is activated, also across restarts."""
        model_id = self.model(call)
        reason = str(call.body.get("reason") or "no reason given")
        self.runtime.state.model(model_id).deactivated = reason
        self.runtime.publisher.save_model(model_id, durable=True)
        why = words(Why(Cause.OPERATOR, said=reason))
        self.runtime.publisher.event(
            EventType.MODEL_DEACTIVATED, "warning", {"model": model_id}, why, cause=Cause.OPERATOR
        )
        return {"id": model_id, "status": "standby", "reason": reason}

    async def reload(self, call: Call) -> dict[str, Any]:
        dry_run = bool(call.body.get("dry_run"))
        report = await self.need("config", messages.Reload(dry_run=dry_run, reason="asked by an operator"), _SLOW)
        return dict(msgspec.to_builtins(report))

    async def refresh_secrets(self, call: Call) -> dict[str, Any]:
        """Read all secrets again, and use what is new before the answer."""
        changed: set[str] = set()
        until = clock.now() + _SETTLED
        while True:
            looked = await self.need("secret", messages.ReadSecretsAgain())
            changed |= {*looked.changed}
            if not looked.unsettled or clock.now() > until:
                break
            await asyncio.sleep(_AGAIN)
        await self.need("config", messages.LastReload())  # it answers after any reload that a changed secret has caused
        return {"changed": sorted(changed), "left_out": self._left_out()}

    async def probe(self, call: Call) -> dict[str, Any]:
        provider = text(call.body, "provider") if call.body.get("provider") is not None else None
        providers = self.runtime.table.providers
        if provider is not None and provider not in providers:
            raise NotFoundError(no_such("provider", provider, providers))
        left_out = self._left_out(provider)
        rows = await self.need("health", messages.ProbeNow(provider), _SLOW)
        found = [
            {**row, "ok": not row["error"], "keyed": providers[row["provider"]].keyed}
            for row in rows
            if row["provider"] in providers and row["provider"] not in left_out
        ]
        for name, why in left_out.items():
            found.append({"provider": name, "ok": False, "available": False, "kind": LEFT_OUT, "error": why})
        return {"data": found}

    def _left_out(self, provider: str | None = None) -> dict[str, str]:
        """Providers that are not used, and why, such as a missing key."""
        specs = self.runtime.table.providers.values()
        return {spec.name: spec.disabled for spec in specs if spec.disabled and provider in (None, spec.name)}

    async def discover(self, call: Call) -> dict[str, Any]:
        left_out = self._left_out()
        found = await self.need("discovery", messages.DiscoverNow(), _SLOW)
        rows: list[dict[str, Any]] = [row for row in found if row.get("provider") not in left_out]
        for name, why in left_out.items():
            rows.append({"provider": name, "kind": "provider", "models": None, "new": [], "gone": [], "error": why})
        return {"data": rows}

    async def drain(self, call: Call) -> dict[str, Any]:
        pid = call.caller.pid
        logger.info("draining, as process %d asked: no new requests until the daemon is started again", pid)
        left = await self._drain(number(call.body, "timeout") or 30.0)
        return {"drained": left == 0, "left": left}
