"""What is known of providers, models and local weights before anybody is asked: data in TOML files.

Owns: reading `providers.toml`, `models.toml` and `local_models.toml` into frozen rows.
Must never: hold a fact in code, or touch the network. Each file is read at its first use and kept.
"""

from __future__ import annotations

import functools
import tomllib
from decimal import Decimal
from importlib import resources
from typing import Any

import msgspec

from meshd.cdk.provider import ModelListing


class ProviderRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One provider that the OpenAI connector serves.

    name: what zero configuration calls it. base_url may hold `${env:NAME}`, which the connector fills in.
    key_env: variables that hold the key, the first that is set wins. host_env: the variable that says where a
    local server is. quirks: see `meshd/connectors/providers/openai.py`.
    """

    id: str
    name: str
    description: str
    base_url: str | None = None
    aliases: tuple[str, ...] = ()
    key_env: tuple[str, ...] = ()
    host_env: str | None = None
    port: int | None = None
    capabilities: tuple[str, ...] = ()
    quirks: dict[str, Any] = {}
    local: bool = False
    zero_config: bool = True
    source: str = ""
    date: str = ""


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """USD for a million tokens, as decimal strings: money is never a float."""

    input_per_1m: str
    output_per_1m: str = "0"
    cached_input_per_1m: str | None = None


class NanoPrices(msgspec.Struct, frozen=True):
    """The same in nano-dollars, as the daemon counts."""

    input_per_1m: int
    output_per_1m: int
    cached_input_per_1m: int | None = None


class ModelRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A well-known model. `provider` is the connector's id; no prices: not verified, not free. parameters: of
    requests that do not give them."""

    provider: str
    id: str
    capabilities: tuple[str, ...]
    context_window: int | None = None
    max_output_tokens: int | None = None
    features: tuple[str, ...] = ()
    prices: Prices | None = None
    parameters: dict[str, Any] = {}
    source: str
    date: str

    @property
    def pricing(self) -> NanoPrices | None:
        """None: unknown, which is not free."""
        prices = self.prices
        if prices is None:
            return None
        cached = prices.cached_input_per_1m
        return NanoPrices(
            _nano(prices.input_per_1m), _nano(prices.output_per_1m), None if cached is None else _nano(cached)
        )

    def listing(self) -> ModelListing:
        return ModelListing(
            id=self.id,
            capabilities=self.capabilities,
            context_window=self.context_window,
            max_output_tokens=self.max_output_tokens,
            features=self.features,
        )


class LocalModelRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Weights that `meshctl pull NAME` stands for. `source` is a pull source (`meshd/pull/sources.py`)."""

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


def _nano(dollars: str) -> int:
    return int(Decimal(dollars) * 1_000_000_000)


def _read(file: str) -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath(file).read_text(encoding="utf-8"))


@functools.cache
def load_provider_rows() -> tuple[ProviderRow, ...]:
    return msgspec.convert(_read("providers.toml")["provider"], tuple[ProviderRow, ...])


@functools.cache
def provider_row(connector: str) -> ProviderRow | None:
    """The row of a connector id or one of its old spellings."""
    return next((row for row in load_provider_rows() if connector == row.id or connector in row.aliases), None)


@functools.cache
def _models() -> dict[str, tuple[ModelRow, ...]]:
    by_provider: dict[str, list[ModelRow]] = {}
    for row in msgspec.convert(_read("models.toml")["model"], list[ModelRow]):
        by_provider.setdefault(row.provider, []).append(row)
    return {provider: tuple(rows) for provider, rows in by_provider.items()}


def load_models(connector: str) -> tuple[ModelRow, ...]:
    """The well-known models of a provider connector, best first; empty where none are known."""
    row = provider_row(connector)
    return _models().get(row.id if row else connector, ())


@functools.cache
def load_local_models() -> tuple[LocalModelRow, ...]:
    return msgspec.convert(_read("local_models.toml")["model"], tuple[LocalModelRow, ...])
