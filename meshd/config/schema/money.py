"""Prices and spending limits, as a provider, a model, a pool or an app has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, create_model

from meshd.config.schema.base import Fraction, Money, Section
from meshd.core.prices import PRICED


class _PricesOfTokens(Section):
    """Prices in nano-dollars. None: the next source decides."""

    input_per_1m: Money | None = Field(default=None, description="USD for a million input tokens.")
    output_per_1m: Money | None = Field(default=None, description="USD for a million output tokens.")
    cached_input_per_1m: Money | None = Field(default=None, description="USD for a million cached input tokens.")
    per_request: Money | None = Field(default=None, description="USD for each request.")


if TYPE_CHECKING:
    PricingConfig = _PricesOfTokens
else:
    PricingConfig = create_model(
        "PricingConfig",
        __base__=_PricesOfTokens,
        __module__=__name__,
        **{unit.price: (Money | None, Field(default=None, description=unit.description)) for unit in PRICED.values()},
    )


class BudgetConfig(Section):
    daily_limit: Money | None = Field(default=None, description="USD a day.")
    monthly_limit: Money | None = Field(default=None, description="USD a month.")
    alert_threshold: Fraction = Field(default=0.8, description="Fraction of a limit at which an event is emitted.")
    enforce: bool = Field(default=True, description="Refuse a request that may exceed a limit.")
