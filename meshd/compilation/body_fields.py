"""The data of `body_fields.toml` and `limits.toml`, read once.

Owns: their form. Must never: say what follows from them (`meshd/routing/request/body_fields.py`).
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable
from importlib import resources
from typing import Any, Literal

import msgspec

from meshd.routing.request.body_fields import BodyFields, Does, Rule
from meshd.routing.request.inside_body import Inside


class FieldRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    names: tuple[str, ...]
    does: Does
    harmless: tuple[Any, ...] = ()
    source: str
    date: str


class InsideRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """of: what has these names: a message; a part of its content, of these kinds; a tool, of these kinds; or a mark for
    a cache. does: `images`: the part is a picture; `files`: some providers charge for it by the page."""

    of: Literal["message", "part", "tool", "mark"]
    kinds: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    does: Literal["pass", "images", "files"] = "pass"
    source: str
    date: str


class LimitRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """models: a pattern of upstream ids, whole. connectors: of its provider; none: any. output_limit: the name of the
    limit that it takes, "" where it takes none. thinks_unheard: it bills thinking that it does not send.
    cache_write_percent: of the price of input, what it writes to a cache for 5 minutes; caches_unasked: it does so by
    itself. files_cost_more: than their tokens."""

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
def load_body_fields() -> BodyFields:
    rows = msgspec.convert(_read("body_fields.toml")["field"], tuple[FieldRow, ...])
    names = "|".join(_read("body_fields.toml")["carries_names"]["words"])
    rules = {name: Rule(row.does, row.harmless) for row in rows for name in row.names}
    return BodyFields(rules, _inside(), re.compile(rf"(?:{names})$", re.IGNORECASE))


def _inside() -> Inside:
    rows = msgspec.convert(_read("body_fields.toml")["inside"], tuple[InsideRow, ...])

    def of(kind: str, does: str = "") -> list[InsideRow]:
        return [row for row in rows if row.of == kind and does in ("", row.does)]

    def joined(sets: Iterable[tuple[str, ...]]) -> frozenset[str]:
        return frozenset(name for each in sets for name in each)

    marks = joined(row.names for row in of("mark"))
    return Inside(
        message=joined(row.names for row in of("message")) | marks,
        parts={kind: marks | {"type", *row.names} for row in of("part") for kind in row.kinds},
        files=joined(row.kinds for row in of("part", "files")),
        images=joined(row.kinds for row in of("part", "images")),
        tool=joined(row.names for row in of("tool")) | marks,
        tool_kinds=joined(row.kinds for row in of("tool")),
        marks=marks,
    )


@functools.cache
def load_limit_rows() -> tuple[LimitRow, ...]:
    return msgspec.convert(_read("limits.toml")["limit"], tuple[LimitRow, ...])


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


def _read(file: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("meshd.catalogue").joinpath(file).read_text(encoding="utf-8"))
