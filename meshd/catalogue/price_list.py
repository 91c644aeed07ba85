"""Prices from a public list in the catalogue's form: `genai-prices`, a package that is kept up to date.

Owns: finding a model in the list, and translating its prices: units, long prompts, service tiers, dates.
Must never: guess. What the catalogue has no key for is left out, and if a price depends on the hour, the highest
counts. Raises ImportError if the package is not installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import ROUND_UP, Decimal
from importlib.metadata import version
from typing import Any

import msgspec
from msgspec.structs import replace

from meshd.catalogue.overrides import Listed
from meshd.core.prices import BATCH, TOKENS

PACKAGE = "genai-prices"
_KEYS = {
    "input_mtok": ("input_per_1m", 1),
    "output_mtok": ("output_per_1m", 1),
    "cache_read_mtok": ("cached_input_per_1m", 1),
    "cache_write_mtok": ("cache_write_per_1m", 1),
    "cache_write_5m_mtok": ("cache_write_per_1m", 1),
    "cache_write_1h_mtok": ("cache_write_1h_per_1m", 1),
    "input_audio_mtok": ("audio_input_per_1m", 1),
    "output_audio_mtok": ("audio_output_per_1m", 1),
    "cache_audio_read_mtok": ("cached_audio_input_per_1m", 1),
    "input_mchars": ("per_1k_chars", 1000),
    "audio_hours": ("per_minute", 60),
    "input_audio_hours": ("per_minute", 60),
    "requests_kcount": ("per_request", 1000),
    "web_searches_kcount": ("per_search", 1000),
    "input_document_kpages": ("per_page", 1000),
}
"""The list's key → ours, and what to divide the list's price by."""
_TIERS = {("service_tier", "flex"): "flex", ("service_tier", "priority"): "priority", ("processing", "batch"): BATCH}
_NANO = Decimal("0.000000001")


class PriceList(msgspec.Struct, frozen=True):
    """providers: by their ids in the list. day: whose prices count."""

    providers: dict[str, Any]
    day: date
    source: str

    @classmethod
    def installed(cls, now: datetime | None = None) -> PriceList:
        """The list that came with the package."""
        from genai_prices.data import providers

        return cls.of(providers, now)

    @classmethod
    def fetched(cls, url: str = "", now: datetime | None = None) -> PriceList:
        """The newest version of the list. url: where it is; "": the package's own address. Raises OSError if it cannot
        be read."""
        from genai_prices import UpdatePrices

        try:
            snapshot = (UpdatePrices(url=url) if url else UpdatePrices()).fetch()
        except Exception as error:  # from the HTTP client, which the package chooses
            raise OSError(f"the price list cannot be fetched: {error}") from error
        if snapshot is None:
            raise OSError("the price list cannot be fetched")
        made = cls.of(snapshot.providers, now)
        return replace(made, source=f"{PACKAGE} as of {made.day}")

    @classmethod
    def of(cls, providers: Iterable[Any], now: datetime | None = None) -> PriceList:
        day = (now or datetime.now(UTC)).date()
        return cls({provider.id: provider for provider in providers}, day, f"{PACKAGE} {version(PACKAGE)}")

    def models(self, provider: str) -> list[str]:
        """The ids of a provider's models that are still sold."""
        found = self.providers.get(provider)
        return [model.id for model in found.models if not model.deprecated] if found is not None else []

    def find(self, provider: str, model: str) -> Listed | None:
        """None: it is not in the list, or has no price that the catalogue has a key for."""
        found = self.providers.get(provider)
        info = found.find_model(model) if found is not None else None
        return None if info is None else self._listed(found, info)

    def _listed(self, provider: Any, info: Any) -> Listed | None:
        base = self._current(info.prices)
        prices, long = _translated(base)
        if not prices:
            return None
        tiers = {}
        for variant in info.price_variants or ():
            names = [name for wanted, name in _TIERS.items() if list(variant.when.items()) == [wanted]]
            if names and self._holds(variant.constraint):
                told, tier_long = _translated(variant.prices)
                tier: dict[str, Any] = {key: price for key, price in told.items() if price != prices.get(key)}
                if tier_long:
                    tier["long_prompts"] = tier_long
                if tier:
                    tiers[names[0]] = tier
        pages = (provider.pricing_urls or [""])[0]
        return Listed(
            prices=prices,
            long_prompts=long,
            tiers=tiers,
            source=f"{pages}, by {self.source}".removeprefix(", by "),
            date=self.day.isoformat(),
        )

    def _current(self, prices: Any) -> Any:
        """Today's prices: those that began last or, if entries after them depend on the hour, the most expensive."""
        if not isinstance(prices, list):
            return prices
        possible = []
        for each in reversed(prices):
            if _is_of_hours(each.constraint):
                possible.append(each.prices)
            elif self._holds(each.constraint):
                possible.append(each.prices)
                break
        return max(possible, key=lambda each: Decimal(_base(each.output_mtok) or _base(each.input_mtok) or 0))

    def _holds(self, constraint: Any) -> bool:
        return _start(constraint) <= self.day


def _start(constraint: Any) -> date:
    """The day from which it applies; long ago for one without a date."""
    found: date = getattr(constraint, "start_date", None) or date.min
    return found


def _is_of_hours(constraint: Any) -> bool:
    return hasattr(constraint, "start_time")


def _translated(prices: Any) -> tuple[dict[str, str], tuple[dict[str, str | int], ...]]:
    """By the catalogue's keys, and those of long prompts."""
    made: dict[str, str] = {}
    steps: dict[str, dict[int, str]] = {}  # prices of tokens, by the prompt length from which they apply
    for theirs, price in _given(prices):
        ours, divisor = _KEYS[theirs]
        made.setdefault(ours, _text(Decimal(_base(price)) / divisor))
        if ours in TOKENS and (tiers := getattr(price, "tiers", None)):
            steps[ours] = {tier.start: _text(tier.price / divisor) for tier in tiers}
    if "input_per_1m" in made:
        made.setdefault("output_per_1m", "0")  # for what has no output, such as embeddings
    if not {"input_per_1m", "output_per_1m"} <= made.keys():
        made = {key: price for key, price in made.items() if not key.endswith("_per_1m")}
    lengths = sorted({each for prices in steps.values() for each in prices}) if "input_per_1m" in steps else []
    return made, tuple(_step(above, made, steps) for above in lengths)


def _step(above: int, made: dict[str, str], steps: dict[str, dict[int, str]]) -> dict[str, str | int]:
    """The prices above this number of tokens: each is that of the last step that has one."""
    found: dict[str, str | int] = {"above": above}
    for key in TOKENS:
        begun = [each for each in steps.get(key, ()) if each <= above]
        price = steps[key][max(begun)] if begun else made.get(key)
        if price is not None:
            found[key] = price
    return found


def _given(prices: Any) -> Iterator[tuple[str, Any]]:
    for key in _KEYS:
        price = getattr(prices, key, None)
        if price is not None:
            yield key, price


def _base(price: Any) -> Any:
    return getattr(price, "base", price)


def _text(price: Decimal) -> str:
    """Dollars, rounded up to 10⁻⁹, without an exponent."""
    return f"{price.quantize(_NANO, ROUND_UP).normalize():f}"
