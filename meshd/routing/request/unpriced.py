"""Which parts of a request a budget cannot pay for."""

from __future__ import annotations

from meshd.core.needs import SOUND_FIELDS, TIER_FIELD, RequestNeeds
from meshd.core.prices import FREE, HEARD, SPOKEN
from meshd.routing.request.estimate import asks_for_sound, kind_of
from meshd.routing.table.specs import ModelSpec, PoolSpec

_FILES = "messages[].content[].file"
_SOUND = "messages[].content[].input_audio"
_LONGEST = 100  # characters of a field's name in a message


def unpriced(needs: RequestNeeds, model: ModelSpec, pool: PoolSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(fields, parts) of a request that a budget cannot pay for at that model."""
    free = model.pricing == FREE
    names = () if pool.unpriced_fields == "strip" else costly(needs, model) + (() if free else needs.unknown)
    parts = () if free else needs.fixed
    if HEARD in model.pricing.of_units:
        parts = tuple(part for part in parts if part != _SOUND)
    if needs.kind and not model.pricing.knows_images(kind_of(needs, model)):
        parts += tuple(needs.kind)
    return names, (*parts, _FILES) if needs.files and model.files_cost_more else parts


def costly(needs: RequestNeeds, model: ModelSpec) -> tuple[str, ...]:
    """Fields that may raise the price by an unknown amount at that model."""
    known = {TIER_FIELD} if needs.tier in model.pricing.tiers else set()
    if asks_for_sound(needs) and SPOKEN in model.pricing.of_units:
        known |= {*SOUND_FIELDS}
    return tuple(name for name in needs.costly if name not in known) if known else needs.costly


def shown(names: tuple[str, ...]) -> str:
    """Field names as an error lists them."""
    return ", ".join(f"`{name[:_LONGEST]}`" for name in names[:5])
