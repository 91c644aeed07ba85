"""What `limits.toml` says about models, read once."""

from __future__ import annotations

import functools
import re
from typing import Any

import msgspec

from meshd.catalogue.known import read_data


class LimitRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """models: a pattern that matches whole upstream ids. connectors: of the provider; none: any. output_limit: the
    parameter for the output limit, "" if the model has none. thinks_unheard: it bills thinking that it does not send.
    cache_write_percent: the price of a token written to a 5-minute cache, in percent of the input price.
    caches_unasked: it writes to a cache without being asked. files_cost_more: files cost more than their tokens."""

    models: str
    connectors: tuple[str, ...] = ()
    output_limit: str | None = None
    thinks_unheard: bool | None = None
    cache_write_percent: int | None = None
    caches_unasked: bool | None = None
    files_cost_more: bool | None = None
    source: str
    date: str

    def fits(self, connector: str, model: str) -> bool:
        return (not self.connectors or connector in self.connectors) and bool(_pattern(self.models).fullmatch(model))


_SAYS = ("output_limit", "thinks_unheard", "cache_write_percent", "caches_unasked", "files_cost_more")


@functools.cache
def load_limit_rows() -> tuple[LimitRow, ...]:
    return msgspec.convert(read_data("limits.toml")["limit"], tuple[LimitRow, ...])


def limit_of(connector: str, model: str) -> dict[str, Any]:
    """The facts about a model: each from the first row that states it; those that no row states are left out."""
    found: dict[str, Any] = {}
    for row in load_limit_rows():
        if row.fits(connector, model):
            for name in _SAYS:
                value = getattr(row, name)
                if value is not None:
                    found.setdefault(name, value)
    return found


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)
