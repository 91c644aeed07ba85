"""The data of `body_fields.toml` and `limits.toml`, read once.

Owns: their form. Must never: say what follows from them (`meshd/routing/body_fields.py`).
"""

from __future__ import annotations

import functools
import re
import tomllib
from importlib import resources
from typing import Any, Literal

import msgspec

from meshd.routing.body_fields import BodyFields, Rule


class FieldRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    names: tuple[str, ...]
    does: Literal["pass", "priced", "needs_budget_free", "names_models"]
    harmless: tuple[Any, ...] = ()
    source: str
    date: str


class LimitRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """models: a pattern of upstream ids, whole. connectors: of its provider; none: any. output_limit: the name of the
    limit that it takes, "" where it takes none. thinks_unheard: it bills thinking that it does not send."""

    models: str
    connectors: tuple[str, ...] = ()
    output_limit: str | None = None
    thinks_unheard: bool | None = None
    source: str
    date: str

    def fits(self, connector: str, model: str) -> bool:
        return (not self.connectors or connector in self.connectors) and bool(_pattern(self.models).fullmatch(model))


@functools.cache
def load_body_fields() -> BodyFields:
    rows = msgspec.convert(_read("body_fields.toml")["field"], tuple[FieldRow, ...])
    return BodyFields({name: Rule(row.does, row.harmless) for row in rows for name in row.names})


@functools.cache
def load_limit_rows() -> tuple[LimitRow, ...]:
    return msgspec.convert(_read("limits.toml")["limit"], tuple[LimitRow, ...])


def limit_of(connector: str, model: str) -> dict[str, Any]:
    """`output_limit` and `thinks_unheard` of a model, by the rows that fit it, the first that says it; without what
    none says."""
    found: dict[str, Any] = {}
    for row in load_limit_rows():
        if row.fits(connector, model):
            for name in ("output_limit", "thinks_unheard"):
                value = getattr(row, name)
                if value is not None:
                    found.setdefault(name, value)
    return found


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


def _read(file: str) -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath(file).read_text(encoding="utf-8"))
