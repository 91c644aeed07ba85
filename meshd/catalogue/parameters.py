"""Which parameters of a request a model refuses: the rows of `parameters.toml`.

Owns: reading them, and which of them apply to a model.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

import msgspec

from meshd.catalogue.known import read_data

_MOST_KEPT = 4096  # models


class RefusedRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """models: a pattern that matches whole upstream ids. connectors: of the provider; none: any. unless_effort:
    reasoning efforts at which the model accepts them; "": the request asks for none."""

    models: str
    drop: tuple[str, ...]
    connectors: tuple[str, ...] = ()
    unless_effort: tuple[str, ...] = ()
    source: str
    date: str


@functools.cache
def load_refused_rows() -> tuple[RefusedRow, ...]:
    return msgspec.convert(read_data("parameters.toml")["refused"], tuple[RefusedRow, ...])


@functools.lru_cache(_MOST_KEPT)
def refused_by(connector: str, model: str) -> tuple[RefusedRow, ...]:
    """The rows for this model; none for most."""
    return tuple(
        row
        for row in load_refused_rows()
        if (not row.connectors or connector in row.connectors) and _pattern(row.models).fullmatch(model)
    )


def refused_of(rows: tuple[RefusedRow, ...], given: Mapping[str, object], effort: str) -> frozenset[str]:
    """The fields of a request that the model refuses. effort: the reasoning effort that the request asks for."""
    return frozenset(name for row in rows if effort not in row.unless_effort for name in row.drop if name in given)


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)
