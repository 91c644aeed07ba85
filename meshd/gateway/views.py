"""What the router shows of itself: its state as JSON maps for `meshctl` and `client.mesh`.

Owns: the shapes that docs/protocol.md gives for the mesh's own operations.
Must never: change anything.
"""

from __future__ import annotations

from typing import Any

from meshd.config.redaction import redact_url
from meshd.routing import recovery
from meshd.routing.pipeline import Explanation
from meshd.routing.recovery import ACTIVE, PROBATION, STANDBY
from meshd.routing.stages import Question
from meshd.routing.state import MeshState, availabilities
from meshd.routing.table import ModelSpec, PoolSpec, RoutingTable, Target

NANO = 1e9


def availability_of(
    table: RoutingTable, state: MeshState, pool: str, model: ModelSpec, now: float
) -> tuple[str, str, float | None]:
    """(status, why, seconds until it may be tried) of a model within a pool ("" for none in particular)."""
    provider = table.providers.get(model.provider)
    if provider is not None and provider.disabled:
        return STANDBY, provider.disabled, None
    manual = state.model(model.id).deactivated
    if manual is not None:
        return STANDBY, f"deactivated by hand: {manual}", None
    worst, reason, wait = ACTIVE, "", 0.0
    scopes = ("provider", "model", "pool")
    for scope, availability in zip(scopes, availabilities(state, pool, model.id, model.provider), strict=True):
        status = recovery.status(availability, now)
        if status == ACTIVE:
            continue
        about = f"provider {model.provider}: " if scope == "provider" else ""
        recovers = recovery.recovers_in(availability, now)
        if status == STANDBY:
            return STANDBY, about + availability.reason, recovers
        worst, reason, wait = PROBATION, about + availability.reason, recovers or 0.0
    return worst, reason, wait


def pool_map(table: RoutingTable, state: MeshState, pool: PoolSpec, now: float) -> dict[str, Any]:
    members: list[dict[str, Any]] = []
    for model_id in pool.members:
        model = table.models[model_id]
        status, reason, recovers = availability_of(table, state, pool.name, model, now)
        members.append(
            {
                "id": model_id,
                "provider": model.provider,
                "status": status,
                "reason": reason,
                "recovers_in": recovers if status != ACTIVE else None,
                "failures": state.member(pool.name, model_id).failures,
            }
        )
    standby = sum(member["status"] == STANDBY for member in members)
    return {
        "name": pool.name,
        "capability": pool.capability,
        "strategy": pool.strategy,
        "active": len(members) - standby,
        "standby": standby,
        "current": state.pool(pool.name).current,
        "rotations": state.pool(pool.name).rotations,
        "models": members,
    }


def model_map(table: RoutingTable, state: MeshState, model: ModelSpec, now: float) -> dict[str, Any]:
    known = state.model(model.id)
    pools = table.pools_of(model.id)
    statuses = [availability_of(table, state, pool, model, now) for pool in pools or [""]]
    status, reason, _ = next((found for found in statuses if found[0] == ACTIVE), statuses[0])
    return {
        "id": model.id,
        "provider": model.provider,
        "model": model.upstream,
        "capabilities": list(model.capabilities),
        "features": None if model.features is None else sorted(name for name, has in model.features.items() if has),
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "max_images": model.max_images,
        "delivery": [mode for mode, has in (("synchronous", model.synchronous), ("streaming", model.streaming)) if has],
        "pools": pools,
        "status": status,
        "reason": reason,
        "deactivated": known.deactivated,
        "in_flight": known.in_flight,
        "requests": known.requests,
        "failures": known.failures,
        "tokens_in": known.tokens_in,
        "tokens_out": known.tokens_out,
        "cost": known.cost / NANO,
        "latency": known.total.summary(),
        "first_token": known.first_token.summary(),
        "last_request": known.last_request,
        "last_failure": known.last_failure,
        "last_failure_reason": known.last_failure_reason,
    }


def provider_map(
    table: RoutingTable, state: MeshState, name: str, base_url: str | None, details: dict[str, Any], now: float
) -> dict[str, Any]:
    spec, known = table.providers[name], state.provider(name)
    status = recovery.status(known.availability, now)
    return {
        "name": name,
        "connector": spec.connector,
        "base_url": redact_url(base_url) if base_url else base_url,
        "enabled": not spec.disabled,
        "available": not spec.disabled and status != STANDBY,
        "auth_valid": known.auth_valid,
        "reason": spec.disabled or known.availability.reason,
        "score": round(known.score, 3),
        "last_probe": known.last_probe,
        "latency": known.latency,
        "models": sum(model.provider == name for model in table.models.values()),
        "in_flight": known.in_flight,
        "requests": known.requests,
        "cost": known.cost / NANO,
        "details": details,
    }


def explanation_map(asked: str, target: Target, question: Question, explained: Explanation) -> dict[str, Any]:
    return {
        "asked": asked,
        "resolution": {"kind": target.kind, "name": target.pool.name},
        "pool": target.pool.name,
        "strategy": target.pool.strategy,
        "needs": question.needs.describe(),
        "stages": [
            {
                "name": stage.name,
                "kept": stage.kept,
                "dropped": [{"model": drop.model, "reason": drop.reason} for drop in stage.dropped],
            }
            for stage in explained.stages
        ],
        "order": explained.order,
        "chosen": explained.chosen,
        "error": None,
    }
