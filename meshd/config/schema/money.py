"""Prices and spending limits of providers, models, pools and apps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BeforeValidator, Field, create_model, model_validator
from pydantic_core import PydanticCustomError

from meshd.config.schema.base import Fraction, Money, Section
from meshd.core.prices import PRICED
from meshd.routing.table.specs import Allowance

ALLOWANCE = Allowance("", "", "cost", "day", 0)
"""What a limit of a budget becomes, from which its keys have their defaults."""
_LONGEST_KIND = 64  # characters


def _kind(value: object) -> str | None:
    if value is None:
        return None
    text = value.strip().lower() if isinstance(value, str) else ""
    if not 0 < len(text) <= _LONGEST_KIND:
        raise PydanticCustomError("meshd", "expected {expected}", {"expected": "a text like high or 1024x1024"})
    return text


Kind = Annotated[str | None, BeforeValidator(_kind)]
"""As requests name it, in lower case."""


class ImagePriceConfig(Section):
    """The price of an image with this quality and size. If several rows match, the one that names both counts."""

    quality: Kind = Field(default=None, description="As requests name it, such as `high`; none: any.")
    size: Kind = Field(default=None, description="As requests name it, such as `1024x1024`; none: any.")
    price: Money = Field(description="USD for each such image.")

    @property
    def of(self) -> dict[str, str]:
        """What it is the price of."""
        named = {"quality": self.quality, "size": self.size}
        return {name: value for name, value in named.items() if value is not None}

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.quality is None and self.size is None:
            raise PydanticCustomError("meshd", "expected {expected}", {"expected": "a quality, a size, or both"})
        return self


class _PricesOfTokens(Section):
    """Prices in nano-dollars. None: the next source decides."""

    input_per_1m: Money | None = Field(default=None, description="USD per million input tokens.")
    output_per_1m: Money | None = Field(default=None, description="USD per million output tokens.")
    cached_input_per_1m: Money | None = Field(default=None, description="USD per million cached input tokens.")
    cache_write_per_1m: Money | None = Field(
        default=None, description="USD per million input tokens that are written to a cache for 5 minutes."
    )
    cache_write_1h_per_1m: Money | None = Field(
        default=None, description="USD per million input tokens that are written to a cache for an hour."
    )
    per_request: Money | None = Field(default=None, description="USD per request.")
    images: tuple[ImagePriceConfig, ...] = Field(
        default=(),
        description="Prices of images by quality and size, such as `{quality: high, size: 1024x1024, price: 0.167}`. "
        "If a request leaves quality or size open, the highest price is reserved.",
    )


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
    daily_limit: Money | None = Field(default=None, description="USD per day.")
    monthly_limit: Money | None = Field(default=None, description="USD per month.")
    alert_threshold: Fraction = Field(
        default=ALLOWANCE.alert_threshold, description="Fraction of a limit at which an event is emitted."
    )
    enforce: bool = Field(default=ALLOWANCE.enforce, description="Refuse a request that may exceed a limit.")
