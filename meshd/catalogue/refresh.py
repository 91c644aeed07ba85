"""What a list of prices would change in the catalogue.

Owns: comparing the list with the current prices, and the prices that are kept besides the package's.
Must never: write a file, or change the prices of a model that the list does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from meshd.catalogue.known import ModelRow, ProviderRow, load_models, load_provider_rows
from meshd.catalogue.overrides import Listed, Overrides
from meshd.catalogue.price_list import PriceList

_TOKENS = "input_per_1m"


class Change(NamedTuple):
    """One price. key: may also be like `flex.input_per_1m` or `long_prompts.32000.input_per_1m`. old, new: None if
    there is none. known: whether the catalogue has the model."""

    provider: str
    model: str
    key: str
    old: str | int | None
    new: str | int | None
    source: str
    known: bool


class Refreshed(NamedTuple):
    overrides: Overrides
    changes: list[Change]


def refreshed(prices: PriceList, before: Overrides, rows: Iterable[ProviderRow] | None = None) -> Refreshed:
    """The prices to keep, and how they differ from the current ones."""
    kept: dict[str, dict[str, Listed]] = {}
    changes: list[Change] = []
    for provider in load_provider_rows() if rows is None else rows:
        if not provider.price_list:
            continue
        known = {row.id: row for row in load_models(provider.id)}
        ours = before.models.get(provider.id, {})
        told = kept.setdefault(provider.id, {})
        for id in dict.fromkeys([*known, *prices.models(provider.price_list), *ours]):
            now, packaged = before.row(known.get(id), provider.id, id), known.get(id)
            listed = prices.find(provider.price_list, id)
            new = ours.get(id) if listed is None else _over(packaged, listed)
            if new is None:
                continue
            if packaged is None or _flat(new) != _flat(packaged):
                told[id] = new
            changes += _between(provider.id, id, now, new, known=packaged is not None)
    return Refreshed(Overrides({id: models for id, models in kept.items() if models}), changes)


def _over(packaged: ModelRow | None, listed: Listed) -> Listed | None:
    """The list's prices, with those that only the package has. None for images, whose prices depend on each other, and
    for what the package measures in another unit: with both prices, it would be charged twice."""
    if packaged is None or not packaged.prices:
        return listed
    if packaged.images:
        return None
    prices = packaged.prices
    if _TOKENS in prices and _TOKENS in listed.prices:
        return replace(listed, prices={**prices, **listed.prices})
    same = {key: listed.prices[key] for key in prices if key in listed.prices}
    return replace(listed, prices={**prices, **same}, long_prompts=(), tiers={}) if same else None


def _between(provider: str, model: str, now: ModelRow | None, new: Listed, *, known: bool) -> Iterator[Change]:
    before, after = _flat(now) if now is not None else {}, _flat(new)
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            yield Change(provider, model, key, before.get(key), after.get(key), new.source, known)


def _flat(told: ModelRow | Listed) -> dict[str, str | int]:
    """Each price by its key, which is preceded by its tier or prompt length and a dot."""
    found: dict[str, str | int] = dict(told.prices or {})
    return found | _under("", {"long_prompts": told.long_prompts}) | _under("", told.tiers)


def _under(name: str, told: Mapping[str, Any]) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for key, value in told.items():
        path = f"{name}.{key}" if name else key
        if isinstance(value, tuple | list):  # of long prompts
            value = {str(each["above"]): {key: each[key] for key in each if key != "above"} for each in value}
        found |= _under(path, value) if isinstance(value, Mapping) else {path: value}
    return found
