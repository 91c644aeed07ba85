"""Which vocabularies a request to a pool is counted with."""

from __future__ import annotations

from meshd.core.member_key import member_key
from meshd.routing.table.specs import ANY_APP, AppSpec, ModelSpec, PoolSpec, RoutingTable


def vocabularies_wanted(table: RoutingTable, pool: PoolSpec, app: AppSpec = ANY_APP) -> frozenset[str]:
    """The vocabularies to count a request to the pool with before deciding: those of members that cost something, or
    have a limit on tokens. Constant for a table."""
    key = (pool.name, app.name)
    found = table.vocabularies.get(key)
    if found is None:
        found = table.vocabularies[key] = _find_wanted(table, pool, app)
    return found


def _find_wanted(table: RoutingTable, pool: PoolSpec, app: AppSpec) -> frozenset[str]:
    limited = (
        app.rate.tpm is not None
        or _counted(table, "app", app.name)
        or (bool(pool.name) and _counted(table, "pool", pool.name))
    )
    models = (table.models.get(id) for id in pool.members)
    return frozenset(
        model.vocabulary
        for model in models
        if model is not None and model.vocabulary and (limited or _is_charged(model) or _is_limited(table, pool, model))
    )


def _is_charged(model: ModelSpec) -> bool:
    return model.pricing.input_per_1m > 0 or model.pricing.output_per_1m > 0


def _is_limited(table: RoutingTable, pool: PoolSpec, model: ModelSpec) -> bool:
    provider = table.providers.get(model.provider)
    return (
        (provider is not None and provider.rate.tpm is not None)
        or _counted(table, "model", model.id)
        or _counted(table, "provider", model.provider)
        or _counted(table, "member", member_key(pool.name, model.id))
    )


def _counted(table: RoutingTable, scope: str, name: str) -> bool:
    return any(allowance.measure == "tokens" for allowance in table.allowances.get((scope, name), ()))
