"""What an app can rely on when it asks for a pool, whichever of its models answers.

Owns: which models count, and the smallest of their limits.
Must never: look at what is set aside now: limits would change from one minute to the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from meshd.routing.table.specs import AppSpec, ModelSpec, PoolSpec, RoutingTable


class Offer(NamedTuple):
    """capabilities: leaf ids that any model has, in the order of the models. context_window, max_output_tokens: the
    smallest known, None if none is. features: what every model declares."""

    capabilities: tuple[str, ...]
    context_window: int | None
    max_output_tokens: int | None
    features: frozenset[str]


def offer_of(pool: PoolSpec, app: AppSpec, table: RoutingTable) -> Offer:
    """Of the pool's own models: a request that needs a larger window than a fallback pool has is not sent there."""
    models = [model for id in pool.members if _may_serve(model := table.models[id], app, table)]
    window = _smallest(model.context_window for model in models)
    output = _smallest(model.max_output_tokens for model in models)
    if window is not None and output is not None:
        output = min(output, window)
    capabilities = dict.fromkeys(capability for model in models for capability in model.capabilities)
    declared = [{name for name, has in (model.features or {}).items() if has} for model in models]
    return Offer(tuple(capabilities), window, output, frozenset(set.intersection(*declared) if declared else ()))


def _may_serve(model: ModelSpec, app: AppSpec, table: RoutingTable) -> bool:
    provider = table.providers.get(model.provider)
    usable = provider is None or not provider.disabled
    return usable and (app.models is None or model.id in app.models)


def _smallest(limits: Iterable[int | None]) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
