"""What is known about providers, models and local weights before any of them is asked: data in TOML files.

Owns: reading `providers.toml`, `models/` (a file for each provider), `local_models.toml` and `answers.toml`.
Must never: hold a fact in code, or touch the network. Each file is read at its first use and kept.

Models: the well-known ones of each provider, so that it has models before its list is read. The best comes first and is
the default. Providers whose connector does not exist yet have rows too. Prices are text (money is never a float), each
with its source and date. If two sources disagree, the newer one counts if it is the more expensive one, since no budget
can be exceeded because of it; otherwise the price is left out. An unknown price does not mean free of charge.
"""

from __future__ import annotations

import functools
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from meshd.core.money import NANO
from meshd.core.prices import PRICES, TIERS, TOKENS, LongPrompt, PriceRow
from meshd.sdk.provider import ModelListing


class ProviderRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One provider that the HTTP connector serves.

    name: what zero configuration calls it. base_url may contain `${env:NAME}`, which the connector fills in. key_env:
    variables that may contain the key; the first one that is set counts. needs_env: variables that zero configuration
    needs besides the key. host_env: the variable that says where a local server is. auth: its `auth.method`, without a
    key. quirks: see `meshd/connectors/providers/http_provider.py`. price_list: what a public list of prices calls it
    (`price_list.py`). settings: the class of its own keys (`meshd/config/schema/connectors/settings.py`).
    """

    id: str
    name: str
    description: str
    base_url: str | None = None
    aliases: tuple[str, ...] = ()
    key_env: tuple[str, ...] = ()
    needs_env: tuple[str, ...] = ()
    host_env: str | None = None
    port: int | None = None
    capabilities: tuple[str, ...] = ()
    quirks: dict[str, Any] = {}
    price_list: str = ""
    auth: str | None = None
    local: bool = False
    zero_config: bool = True
    settings: str = "HttpSettings"
    source: str = ""
    date: str = ""


class ModelRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A well-known model. `provider` is the connector's id. No prices: not verified, not free. vocabulary: the name of
    its tokenizer. tokens_per_image: at most, for an image in its input.
    prices: USD by their keys (`meshd/core/prices.py`), as decimal strings: money is never a float; what has no price
    is not charged separately. long_prompts: prices of a request whose input is more than `above` tokens. images: the
    `price` of an image by its `quality` and `size`, as its provider names them. tiers: by service tier, the prices
    that differ there, with `long_prompts` of their own. parameters: for requests that do not give them. features: what
    it can do; lacks: what it cannot; about all others, nothing is known."""

    provider: str
    id: str
    capabilities: tuple[str, ...]
    context_window: int | None = None
    max_output_tokens: int | None = None
    features: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    prices: dict[str, str] | None = None
    long_prompts: tuple[dict[str, str | int], ...] = ()
    images: tuple[dict[str, str], ...] = ()
    tiers: dict[str, dict[str, Any]] = {}
    vocabulary: str = ""
    tokens_per_image: int = 0
    parameters: dict[str, Any] = {}
    source: str
    date: str

    def __post_init__(self) -> None:
        unknown = {*(self.prices or ())} - {*PRICES} | _unknown_of_long(self.long_prompts)
        unknown |= {*self.tiers} - {*TIERS}
        for tier in self.tiers.values():
            unknown |= {*tier} - {*PRICES, "long_prompts"} | _unknown_of_long(tier.get("long_prompts", ()))
        if unknown:
            raise ValueError(f"{self.id}: no price is called {', '.join(sorted(unknown))}")
        if any({*row} - {"price"} == set() or {*row} - {"price", "quality", "size"} for row in self.images):
            raise ValueError(f"{self.id}: a row of images must have a price, and a quality or a size")

    @property
    def pricing(self) -> dict[str, int] | None:
        """None: unknown, which does not mean free of charge."""
        return None if self.prices is None else {key: _nano(price) for key, price in self.prices.items()}

    @property
    def pricing_of_long_prompts(self) -> tuple[LongPrompt, ...]:
        return _long_prompts(self.long_prompts)

    @property
    def pricing_of_images(self) -> tuple[PriceRow, ...]:
        return tuple(
            PriceRow({name: value for name, value in row.items() if name != "price"}, _nano(row["price"]))
            for row in self.images
        )

    @property
    def pricing_of_tiers(self) -> dict[str, tuple[dict[str, int], tuple[LongPrompt, ...]]]:
        return {
            name: (
                {key: _nano(price) for key, price in tier.items() if key != "long_prompts"},
                _long_prompts(tier.get("long_prompts", ())),
            )
            for name, tier in self.tiers.items()
        }

    def listing(self) -> ModelListing:
        return ModelListing(
            id=self.id,
            capabilities=self.capabilities,
            context_window=self.context_window,
            max_output_tokens=self.max_output_tokens,
            features=self.features,
        )


class LocalModelRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Weights that `meshctl pull NAME` fetches. `source` is a pull source (`meshd/pull/sources.py`)."""

    name: str
    source: str
    licence: str
    description: str
    context_window: int
    sha256: str | None = None
    size: int | None = None
    features: tuple[str, ...] = ()
    reference: str = ""
    date: str = ""


_HERE = Path(__file__).parent
_PROVIDER = re.compile(r"[a-z0-9.-]+")  # an id, not a path


def _unknown_of_long(told: Iterable[Mapping[str, Any]]) -> set[str]:
    return {key for each in told for key in each} - {*TOKENS, "above"}


def _nano(dollars: str) -> int:
    return math.ceil(Decimal(dollars) * NANO)


def _long_prompts(told: Iterable[Mapping[str, str | int]]) -> tuple[LongPrompt, ...]:
    found = [
        LongPrompt(**{key: price if isinstance(price, int) else _nano(price) for key, price in each.items()})
        for each in told
    ]
    return tuple(sorted(found, key=lambda each: each.above))


def read_data(file: str) -> dict[str, Any]:
    return tomllib.loads(_HERE.joinpath(file).read_text(encoding="utf-8"))


@functools.cache
def load_provider_rows() -> tuple[ProviderRow, ...]:
    return msgspec.convert(read_data("providers.toml")["provider"], tuple[ProviderRow, ...])


@functools.cache
def provider_row(connector: str) -> ProviderRow | None:
    """The row of a connector id or one of its old spellings."""
    return next((row for row in load_provider_rows() if connector == row.id or connector in row.aliases), None)


@functools.cache
def _models(provider: str) -> tuple[ModelRow, ...]:
    file = _HERE.joinpath("models", f"{provider}.toml")
    if not _PROVIDER.fullmatch(provider) or not file.is_file():
        return ()
    read = tomllib.loads(file.read_text(encoding="utf-8"))
    rows = [{"provider": read["provider"], **row} for row in read["model"]]
    return msgspec.convert(rows, tuple[ModelRow, ...])


def load_models(connector: str) -> tuple[ModelRow, ...]:
    """The well-known models of a provider connector, best first; empty where none are known."""
    row = provider_row(connector)
    return _models(row.id if row else connector)


@functools.cache
def load_local_models() -> tuple[LocalModelRow, ...]:
    return msgspec.convert(read_data("local_models.toml")["model"], tuple[LocalModelRow, ...])


@functools.cache
def retired_connectors() -> dict[tuple[str, str], str]:
    """(type, id) of connectors whose service has ended → the reason."""
    rows = read_data("retired.toml")["retired"]
    return {(row["type"], id): row["why"] for row in rows for id in row["ids"]}


@functools.cache
def broken_off_reasons() -> frozenset[str]:
    """Finish reasons that mean an incomplete answer."""
    return frozenset(row["finish_reason"] for row in read_data("answers.toml")["broken_off"])


class RefusalRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What some providers say when they refuse a request. kind: of `FailureKind`. codes: complete codes, in any letter
    case. words: regular expressions without unbounded repetition. own_failure: the model failed at something it can do.
    never_fits: a 429 with these words is about the request's size. of_reasoning: the refusal is about the reasoning in
    the conversation, and the provider may answer without it."""

    kind: str
    provider: str
    source: str
    codes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    own_failure: bool = False
    never_fits: bool = False
    of_reasoning: bool = False


class FeatureRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The names that refusals use for a feature of `meshd/routing/request/features.py`. says: words that are enough by
    themselves. unlike: words that look like a feature's name, but are not."""

    feature: str
    names: tuple[str, ...]
    source: str
    says: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()


@functools.cache
def load_refusals() -> tuple[RefusalRow, ...]:
    return msgspec.convert(read_data("refusals.toml")["refusal"], tuple[RefusalRow, ...])


@functools.cache
def load_refused_features() -> tuple[FeatureRow, ...]:
    return msgspec.convert(read_data("refusals.toml")["refused_feature"], tuple[FeatureRow, ...])


@functools.cache
def load_refusing_words() -> tuple[str, ...]:
    """Words with which a sentence refuses a feature."""
    return msgspec.convert(read_data("refusals.toml")["feature_refused"]["words"], tuple[str, ...])
