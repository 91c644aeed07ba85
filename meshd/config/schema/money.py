"""Prices and spending limits, as a provider, a model, a pool or an app has them."""

from __future__ import annotations

from pydantic import Field

from meshd.config.schema.base import Fraction, Money, Section


class PricingConfig(Section):
    """Prices in nano-dollars. None: the next source decides."""

    input_per_1m: Money | None = Field(default=None, description="USD for a million input tokens.")
    output_per_1m: Money | None = Field(default=None, description="USD for a million output tokens.")
    cached_input_per_1m: Money | None = Field(default=None, description="USD for a million cached input tokens.")
    per_request: Money | None = Field(default=None, description="USD for each request.")
    per_image: Money | None = Field(default=None, description="USD for each image.")
    per_minute: Money | None = Field(default=None, description="USD for a minute of audio.")
    per_1k_chars: Money | None = Field(
        default=None, description="USD for a thousand characters of text read aloud or translated."
    )


class BudgetConfig(Section):
    daily_limit: Money | None = Field(default=None, description="USD a day.")
    monthly_limit: Money | None = Field(default=None, description="USD a month.")
    alert_threshold: Fraction = Field(default=0.8, description="Fraction of a limit at which an event is emitted.")
    enforce: bool = Field(default=True, description="Refuse before the overage.")
