"""What use is measured in besides tokens, and what everything costs.

Owns: the units, and the arithmetic from what was used to money. A new unit is a row here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from meshd.sdk.calls.failure import Usage


class Unit(NamedTuple):
    """name: in records and statistics. price: the key of its price in the configuration and the catalogue; "": it is
    part of the tokens that are priced. per: how many units that price is for. description: of that key. heading: its
    column in `meshctl stats`. answer: the answer is made of them, so that they cost nothing where output tokens have
    a price. instead: the key of the token price that theirs replaces, as they are among these tokens."""

    name: str
    price: str = ""
    per: int = 1
    description: str = ""
    heading: str = ""
    answer: bool = False
    instead: str = ""


IMAGES = "images"
PICTURED = "tokens_pictured"
"""Input tokens of images."""
HEARD, HEARD_CACHED, SPOKEN = "tokens_heard", "tokens_heard_cached", "tokens_spoken"
"""Input tokens of audio that were not read from a cache, and those that were; output tokens of audio."""
_WRITTEN, _REASONING, _LASTING = "tokens_written", "tokens_reasoning", "tokens_written_lasting"
_MINUTE = (
    "USD per minute of audio. A recording reserves the length of its frames (WAV, MP3, Ogg, FLAC, WebM), whatever "
    "its header says; in other formats, it reserves the longest time that its bytes allow. What the provider reports "
    "is charged, up to the reservation."
)

UNITS = (
    Unit(IMAGES, "per_image", 1, "USD per image that no row of `images` covers.", "images", answer=True),
    Unit("seconds", "per_minute", 60, _MINUTE, "audio s"),
    Unit("characters", "per_1k_chars", 1000, "USD per thousand characters of text read aloud or translated.", "chars"),
    Unit("pages", "per_page", 1, "USD per page of a document.", "pages"),
    Unit("searches", "per_search", 1, "USD per search, the unit in which reranking models are billed.", "searches"),
    Unit(_WRITTEN, heading="written"),
    Unit(_REASONING, heading="reasoning"),
    Unit(_LASTING, heading="written 1h"),
    Unit("partials", "per_partial_image", 1, "USD per partial image of a stream.", "partials", answer=True),
    Unit(
        PICTURED,
        "image_input_per_1m",
        10**6,
        "USD per million input tokens of images.",
        "pictured",
        instead="input_per_1m",
    ),
    Unit(HEARD, "audio_input_per_1m", 10**6, "USD per million input tokens of audio.", "heard", instead="input_per_1m"),
    Unit(
        SPOKEN,
        "audio_output_per_1m",
        10**6,
        "USD per million output tokens of audio.",
        "spoken",
        instead="output_per_1m",
    ),
    Unit(
        HEARD_CACHED,
        "cached_audio_input_per_1m",
        10**6,
        "USD per million input tokens of audio that were read from a cache.",
        "heard again",
        instead="cached_input_per_1m",
    ),
)
"""All that is counted beside input, output and cached tokens. Statistics are stored in this order, so that a new one
comes last, and none is ever removed."""

PRICED = {unit.name: unit for unit in UNITS if unit.price}

LASTING_WRITE_PERCENT = 200
"""Percent of the input price for what is written to a cache for longer than 5 minutes, where no price is known:
Anthropic's hour costs twice."""

TOKENS = ("input_per_1m", "output_per_1m", "cached_input_per_1m")
CACHE_WRITES = ("cache_write_per_1m", "cache_write_1h_per_1m")
PRICES = (*TOKENS, *CACHE_WRITES, "per_request", *(unit.price for unit in PRICED.values()))
"""Their keys."""

BATCH = "batch"
TIERS = ("flex", "priority", BATCH)
"""Places in a provider's queue with prices of their own."""


def tier_of(told: object) -> str:
    """The one of these that a request or an answer names; "" for the usual one, and any other."""
    return told if isinstance(told, str) and told in TIERS else ""


@dataclass(frozen=True, slots=True)
class LongPrompt:
    """Prices of a whole request with more than `above` input tokens; 10⁻⁹ USD per 10⁶ tokens."""

    above: int
    input_per_1m: int
    output_per_1m: int
    cached_input_per_1m: int | None = None


@dataclass(frozen=True, slots=True)
class PriceRow:
    """The price of one unit (10⁻⁹ USD) of this kind: name → value, such as `size` → `1024x1024`."""

    of: Mapping[str, str]
    price: int

    def may_be(self, kind: Mapping[str, str]) -> bool:
        """Whether nothing in `kind`, which may be incomplete, contradicts it."""
        return all(kind.get(name, value) == value for name, value in self.of.items())


def dearest(rows: Iterable[PriceRow], kind: Mapping[str, str], other: int | None) -> int | None:
    """The most that a unit of this kind can cost. If `kind` is complete enough to decide, the most specific row counts.
    other: the price of what no row covers; None: unknown, and so is the result if no row covers it."""
    possible = [row for row in rows if row.may_be(kind)]
    if possible and all(kind.keys() >= row.of.keys() for row in possible):
        return max((len(row.of), row.price) for row in possible)[1]
    return (
        max((row.price for row in possible), default=None)
        if other is None
        else max(other, *(row.price for row in possible), 0)
    )


@dataclass(frozen=True, slots=True)
class Pricing:
    """10⁻⁹ USD; the per-1M prices are per 10⁶ tokens. of_units: unit → its price, for those that have one. of_images:
    prices of images by their kind, which come before `per_image`. write_percent, lasting_percent: of the input price,
    what is written to a cache for 5 minutes (None: unknown), and for longer. long_prompts: the longest last. tiers:
    other prices, by service tier."""

    input_per_1m: int = 0
    output_per_1m: int = 0
    cached_input_per_1m: int | None = None  # None: as input
    per_request: int = 0
    of_units: Mapping[str, int] = field(default_factory=dict)
    long_prompts: tuple[LongPrompt, ...] = ()
    of_images: tuple[PriceRow, ...] = ()
    write_percent: int | None = None
    lasting_percent: int = LASTING_WRITE_PERCENT
    tiers: Mapping[str, Pricing] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        prices: Mapping[str, int],
        long_prompts: tuple[LongPrompt, ...] = (),
        of_images: tuple[PriceRow, ...] = (),
        tiers: Mapping[str, tuple[Mapping[str, int], tuple[LongPrompt, ...]]] | None = None,
    ) -> Pricing:
        """prices: by their keys. tiers: by name, those prices that are different there, and those of long prompts."""
        write, lasting = (_percent(prices.get(key), prices.get("input_per_1m", 0)) for key in CACHE_WRITES)
        return cls(
            prices.get("input_per_1m", 0),
            prices.get("output_per_1m", 0),
            prices.get("cached_input_per_1m"),
            prices.get("per_request", 0),
            {unit.name: prices[unit.price] for unit in PRICED.values() if prices.get(unit.price)},
            long_prompts,
            of_images,
            write,
            LASTING_WRITE_PERCENT if lasting is None else lasting,
            {name: cls.of({**prices, **told}, long, of_images) for name, (told, long) in (tiers or {}).items()},
        )

    def with_discount(self, tier: str, fraction: float) -> Pricing:
        """The same, plus a tier in which everything costs less by that fraction; the prices of long prompts are not
        known there."""
        kept = 1.0 - fraction

        def less(price: int) -> int:
            return ceil(price * kept)

        cached = None if self.cached_input_per_1m is None else less(self.cached_input_per_1m)
        cheaper = replace(
            self,
            input_per_1m=less(self.input_per_1m),
            output_per_1m=less(self.output_per_1m),
            cached_input_per_1m=cached,
            per_request=less(self.per_request),
            of_units={name: less(price) for name, price in self.of_units.items()},
            tiers={},
        )
        return replace(self, tiers={**self.tiers, tier: cheaper})

    def in_tier(self, name: str) -> Pricing:
        """What it costs in that service tier; the usual prices, where it has none."""
        return self.tiers.get(name, self)

    def price(self, key: str) -> int:
        """By its key; cached input without a price costs as much as other input."""
        if key == "cached_input_per_1m" and self.cached_input_per_1m is None:
            return self.input_per_1m
        if key in CACHE_WRITES:
            percent = self.write_percent if key == CACHE_WRITES[0] else self.lasting_percent
            return -(-self.input_per_1m * (percent or 100) // 100)
        for unit in PRICED.values():
            if unit.price == key:
                return self.of_units.get(unit.name, 0)
        value: int = getattr(self, key)
        return value

    def cost(
        self,
        tokens_in: int,
        tokens_out: int,
        tokens_cached: int = 0,
        tokens_written: int = 0,
        write_percent: int = 100,
        tokens_lasting: int = 0,
    ) -> int:
        """For one request, rounded up, so that sums never undercount. tokens_written: input tokens written to a cache,
        at `write_percent` of the input price. tokens_lasting: those of them at `lasting_percent`."""
        prices: Pricing | LongPrompt = self
        for long in self.long_prompts:
            prices = long if tokens_in > long.above else prices
        cached_price = prices.input_per_1m if prices.cached_input_per_1m is None else prices.cached_input_per_1m
        fresh = max(tokens_in - tokens_cached, 0)
        millionths = fresh * prices.input_per_1m + tokens_cached * cached_price + tokens_out * prices.output_per_1m
        if tokens_written and write_percent > 100:
            surplus = (tokens_written - tokens_lasting) * (write_percent - 100)
            surplus += tokens_lasting * (self.lasting_percent - 100)
            millionths += -(-surplus * prices.input_per_1m // 100)
        return -(-millionths // 1_000_000) + self.per_request

    def cost_of_units(self, used: Iterable[tuple[str, int]], kind: Mapping[str, str]) -> int:
        """For what was used besides tokens, each rounded up. kind: of the images, as far as it is known."""
        return sum(
            self._cost_of_unit(PRICED[name], count, kind)
            for name, count in used
            if name in PRICED and not (PRICED[name].answer and self.output_per_1m)
        )

    def cost_of_answer(self, used: Iterable[tuple[str, int]], kind: Mapping[str, str]) -> int:
        """For the units that the answer is made of, where output tokens have no price."""
        return sum(
            self._cost_of_unit(PRICED[name], count, kind)
            for name, count in used
            if name in PRICED and PRICED[name].answer
        )

    def is_dearer(self, name: str) -> bool:
        """Whether a unit has a price that is higher than that of the tokens it is among."""
        return name in self.of_units and self.of_units[name] > self.price(PRICED[name].instead)

    def knows_images(self, kind: Mapping[str, str]) -> bool:
        """Whether there is a price for images of this kind."""
        return not self.of_images or dearest(self.of_images, kind, self.of_units.get(IMAGES)) is not None

    def _cost_of_unit(self, unit: Unit, count: int, kind: Mapping[str, str]) -> int:
        price = self.of_units.get(unit.name)
        if unit.name == IMAGES and self.of_images:
            found = dearest(self.of_images, kind, price)
            price = max(row.price for row in self.of_images) if found is None else found
        if unit.instead and price is not None:
            price -= self.price(unit.instead)
        return -(-count * price // unit.per) if price is not None else 0


def _percent(price: int | None, of: int) -> int | None:
    """Rounded up, and at least 100: a write is input as well."""
    return None if price is None else max(-(-100 * price // of), 100) if of else 100


FREE = Pricing()


def units_of(usage: Usage) -> dict[str, int]:
    """What is recorded of it beside input, output and cached tokens."""
    if not (usage.units or usage.written_tokens or usage.reasoning_tokens):
        return {}
    counted = dict(usage.units)
    if usage.written_tokens:
        counted[_WRITTEN] = usage.written_tokens
        if usage.lasting_tokens:
            counted[_LASTING] = min(usage.lasting_tokens, usage.written_tokens)
    if usage.reasoning_tokens:
        counted[_REASONING] = min(usage.reasoning_tokens, usage.output_tokens)
    return counted
