"""What of a request a budget cannot pay for."""

from __future__ import annotations

from meshd.core.needs import TIER_FIELD, RequestNeeds
from meshd.core.prices import FREE
from meshd.routing.request.estimate import kind_of
from meshd.routing.table.specs import ModelSpec, PoolSpec

_FILES = "messages[].content[].file"
_LONGEST = 100  # characters of a field's name in a message


def unpriced(needs: RequestNeeds, model: ModelSpec, pool: PoolSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(fields, parts) of a request that a budget cannot pay for at that model."""
    free = model.pricing == FREE
    names = () if pool.unpriced_fields == "strip" else needs.costly + (() if free else needs.unknown)
    if needs.tier in model.pricing.tiers:
        names = tuple(name for name in names if name != TIER_FIELD)
    parts = () if free else needs.fixed
    if needs.kind and not model.pricing.knows_images(kind_of(needs, model)):
        parts += tuple(needs.kind)
    return names, (*parts, _FILES) if needs.files and model.files_cost_more else parts


def shown(names: tuple[str, ...]) -> str:
    """Field names as an error lists them."""
    return ", ".join(f"`{name[:_LONGEST]}`" for name in names[:5])
