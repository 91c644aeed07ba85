"""A list of prices in the types of genai-prices, with figures of our own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice, PriceVariant, Provider, Tier, TieredPrices

from meshd.catalogue.price_list import PriceList

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def price(**figures: Any) -> ModelPrice:
    """In dollars: a number, or (up to a length, the length, above)."""
    return ModelPrice(**{name: _figure(figure) for name, figure in figures.items()})


def _figure(figure: Any) -> Any:
    if not isinstance(figure, tuple):
        return Decimal(str(figure))
    base, above, more = figure
    return TieredPrices(base=Decimal(str(base)), tiers=[Tier(start=above, price=Decimal(str(more)))])


def model(id: str, prices: Any, *variants: PriceVariant, deprecated: bool | None = None) -> ModelInfo:
    return ModelInfo(
        id=id, match=ClauseEquals(equals=id), prices=prices, price_variants=list(variants), deprecated=deprecated
    )


def listing(models: Sequence[ModelInfo], provider: str = "acme") -> PriceList:
    made = Provider(
        id=provider,
        name=provider,
        api_pattern="https://api.acme.example",
        pricing_urls=["https://acme.example/prices"],
        models=list(models),
    )
    return PriceList.of([made], NOW)
