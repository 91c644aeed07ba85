"""Prices with which `meshctl catalogue update` replaced those of the package: one file in the data directory.

Owns: the file's form and place, reading and writing it, and the rows with its prices.
Must never: trust a file that another user may change, or let a broken one keep the daemon from starting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from meshd.catalogue.known import ModelRow
from meshd.core.money import NANO
from meshd.host.replaced_file import replace_file
from meshd.host.trust.paths import untrusted

NAME = "prices.json"
LARGEST = 16 * 1024 * 1024  # bytes


class Listed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model's prices, in the same columns as a `ModelRow`."""

    prices: dict[str, str]
    long_prompts: tuple[dict[str, str | int], ...] = ()
    tiers: dict[str, dict[str, Any]] = {}
    source: str
    date: str


class Overrides(msgspec.Struct, frozen=True):
    """models: by connector and model."""

    models: dict[str, dict[str, Listed]] = {}

    def row(self, known: ModelRow | None, connector: str, model: str) -> ModelRow | None:
        """The catalogue's row with these prices; if it has none, a row with nothing but prices."""
        told = self.models.get(connector, {}).get(model)
        if told is None:
            return known
        base = known or ModelRow(provider=connector, id=model, capabilities=(), source=told.source, date=told.date)
        return replace(
            base,
            prices=told.prices,
            long_prompts=told.long_prompts,
            tiers=told.tiers,
            source=told.source,
            date=told.date,
        )


DEAREST = 10**6 * NANO
NONE = Overrides()
_decode = msgspec.json.Decoder(Overrides).decode


def place(directory: str | Path) -> Path:
    return Path(directory) / NAME


def read(directory: str | Path) -> Overrides:
    """Those of a data directory; none without the file. Raises ValueError if it cannot be used."""
    file = place(directory)
    if not directory or not file.exists():
        return NONE
    if fault := untrusted(file):
        raise ValueError(f"{file} is not used: {fault}")
    try:
        with open(file, "rb") as opened:
            content = opened.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"it is larger than {LARGEST} bytes")
        found = _decode(content)
        for connector, models in found.models.items():
            for model in models:
                _check(found.row(None, connector, model))
        return found
    except (OSError, ValueError, TypeError, ArithmeticError, msgspec.MsgspecError) as error:
        why = "a price is not a number" if isinstance(error, ArithmeticError) else error
        raise ValueError(f"{file} is not used: {why}") from None


def _check(row: ModelRow | None) -> None:
    """Check that its keys are known, and that its prices are possible. Raises ValueError, TypeError,
    ArithmeticError."""
    assert row is not None
    told = [row.pricing or {}, *(prices for prices, _ in row.pricing_of_tiers.values())]
    if any(not 0 <= price <= DEAREST for prices in told for price in prices.values()):
        raise ValueError(f"{row.id} has a price below 0 or above {DEAREST // NANO} USD")
    if any(each.above < 0 for each in row.pricing_of_long_prompts):
        raise ValueError(f"{row.id} has prices for prompts of a negative length")


def write(directory: str | Path, overrides: Overrides) -> Path:
    """Atomically. Raises OSError."""
    file = place(directory)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(file, msgspec.json.format(msgspec.json.encode(overrides), indent=1))
    return file
