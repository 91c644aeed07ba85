"""What use is measured in beside tokens, and what everything costs.

Owns: the units, and the arithmetic from what was used to money. A new unit is a row here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Unit(NamedTuple):
    """name: in a `Usage`. price: the key of its price in the configuration and the catalogue. per: how many units that
    price is for. description: of that key."""

    name: str
    price: str
    per: int
    description: str


UNITS = (
    Unit("images", "per_image", 1, "USD for each image."),
    Unit("seconds", "per_minute", 60, "USD for a minute of audio."),
    Unit("characters", "per_1k_chars", 1000, "USD for a thousand characters of text read aloud or translated."),
    Unit("pages", "per_page", 1, "USD for each page of a document."),
    Unit("searches", "per_search", 1, "USD for each search, as models that rerank are billed."),
)
"""All that is not a token or a request."""

UNIT = {unit.name: unit for unit in UNITS}

TOKENS = ("input_per_1m", "output_per_1m", "cached_input_per_1m")
PRICES = (*TOKENS, "per_request", *(unit.price for unit in UNITS))
"""Their keys."""


@dataclass(frozen=True, slots=True)
class LongPrompt:
    """Prices of a whole request with more than `above` input tokens; 10⁻⁹ USD per 10⁶ tokens."""

    above: int
    input_per_1m: int
    output_per_1m: int
    cached_input_per_1m: int | None = None


@dataclass(frozen=True, slots=True)
class Pricing:
    """10⁻⁹ USD; the per-1M prices are per 10⁶ tokens. of_units: unit → its price, for those that have one."""

    input_per_1m: int = 0
    output_per_1m: int = 0
    cached_input_per_1m: int | None = None  # None: as input
    per_request: int = 0
    of_units: Mapping[str, int] = field(default_factory=dict)
    long_prompt: LongPrompt | None = None

    @classmethod
    def of(cls, prices: Mapping[str, int], long_prompt: LongPrompt | None = None) -> Pricing:
        """prices: by their keys."""
        return cls(
            prices.get("input_per_1m", 0),
            prices.get("output_per_1m", 0),
            prices.get("cached_input_per_1m"),
            prices.get("per_request", 0),
            {unit.name: prices[unit.price] for unit in UNITS if prices.get(unit.price)},
            long_prompt,
        )

    def price(self, key: str) -> int:
        """By its key; cached input without a price costs as much as other input."""
        if key == "cached_input_per_1m" and self.cached_input_per_1m is None:
            return self.input_per_1m
        for unit in UNITS:
            if unit.price == key:
                return self.of_units.get(unit.name, 0)
        value: int = getattr(self, key)
        return value

    def cost(
        self, tokens_in: int, tokens_out: int, tokens_cached: int = 0, tokens_written: int = 0, write_percent: int = 100
    ) -> int:
        """For one request, rounded up, so that sums never undercount. tokens_written: input tokens written to a cache,
        at `write_percent` of the input price."""
        long = self.long_prompt
        prices = self if long is None or tokens_in <= long.above else long
        cached_price = prices.input_per_1m if prices.cached_input_per_1m is None else prices.cached_input_per_1m
        fresh = max(tokens_in - tokens_cached, 0)
        millionths = fresh * prices.input_per_1m + tokens_cached * cached_price + tokens_out * prices.output_per_1m
        if tokens_written and write_percent > 100:
            millionths += -(-tokens_written * prices.input_per_1m * (write_percent - 100) // 100)
        return -(-millionths // 1_000_000) + self.per_request

    def cost_of_units(self, used: Iterable[tuple[str, int]]) -> int:
        """For what was used beside tokens, each rounded up."""
        prices = self.of_units
        return sum(-(-count * prices[name] // UNIT[name].per) for name, count in used if name in prices)


FREE = Pricing()
