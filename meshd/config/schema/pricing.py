"""Prices, as a provider, a model or the catalogue gives them."""

from __future__ import annotations

from pydantic import Field

from meshd.config.schema.base import Money, Section


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
