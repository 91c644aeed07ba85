"""The days on which providers have announced that models end: data in `retirements.toml`.

Must never: say that a model has ended; its provider does, by how it answers.
"""

from __future__ import annotations

import functools

import msgspec

from meshd.catalogue.known import provider_row, read_data


class RetirementRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """day: the first on which these models are no longer served."""

    provider: str
    day: str
    models: tuple[str, ...]
    source: str
    date: str


@functools.cache
def load_retirements() -> tuple[RetirementRow, ...]:
    return msgspec.convert(read_data("retirements.toml")["retirement"], tuple[RetirementRow, ...])


@functools.cache
def _days() -> dict[tuple[str, str], str]:
    return {(row.provider, model): row.day for row in load_retirements() for model in row.models}


def retirement(connector: str, model: str) -> str:
    """The day, as `2026-12-31`; "" if none is known. connector: its id, or an old spelling."""
    row = provider_row(connector)
    return _days().get((row.id, model), "") if row is not None else ""
