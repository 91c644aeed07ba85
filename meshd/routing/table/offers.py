"""What an app can rely on when it asks for a pool, whichever of its models answers.

Owns: which models count, and the smallest of their limits.
Must never: look at what is set aside now: limits would change from one minute to the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from meshd.routing.table.specs import AppSpec, ModelSpec, PoolSpec, RoutingTable

LONG, LONG_ANSWER = 64_000, 8_000  # tokens: what a coding agent needs to work


class Limits(NamedTuple):
    """In tokens; None where none is known."""

    context_window: int | None
    max_output_tokens: int | None


class Offer(NamedTuple):
    """capabilities: leaf ids that any model has, in the order of the models. context_window, max_output_tokens: the
    smallest known, None if none is. features: what every model declares. These three leave out models that cannot call
    tools if others can: the clients that read limits are agents, and their requests have tools.

    long: the limits of the models for prompts of `LONG` tokens and answers of `LONG_ANSWER`, None if these are all or
    none. What does not fit a model is not sent there.
    """

    capabilities: tuple[str, ...]
    context_window: int | None
    max_output_tokens: int | None
    features: frozenset[str]
    long: Limits | None = None


def offer_of(pool: PoolSpec, app: AppSpec, table: RoutingTable) -> Offer:
    """Of the pool's own models: a request that needs a larger window than a fallback pool has is not sent there."""
    models = [model for id in pool.members if _may_serve(model := table.models[id], app, table)]
    capabilities = dict.fromkeys(capability for model in models for capability in model.capabilities)
    models = [model for model in models if (model.features or {}).get("tool_calling") is not False] or models
    roomy = [model for model in models if _is_roomy(model)]
    long = _limits(roomy) if 0 < len(roomy) < len(models) else None
    declared = [{name for name, has in (model.features or {}).items() if has} for model in models]
    features = frozenset(set.intersection(*declared) if declared else ())
    return Offer(tuple(capabilities), *_limits(models), features, long)


def _may_serve(model: ModelSpec, app: AppSpec, table: RoutingTable) -> bool:
    provider = table.providers.get(model.provider)
    usable = provider is None or not provider.disabled
    return usable and (app.models is None or model.id in app.models)


def _is_roomy(model: ModelSpec) -> bool:
    window, output = model.context_window, model.max_output_tokens
    return (window is None or window >= LONG) and (output is None or output >= LONG_ANSWER)


def _limits(models: Iterable[ModelSpec]) -> Limits:
    """The smallest of each."""
    models = list(models)
    window = _smallest(model.context_window for model in models)
    output = _smallest(model.max_output_tokens for model in models)
    return Limits(window, output if window is None or output is None else min(output, window))


def _smallest(limits: Iterable[int | None]) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
