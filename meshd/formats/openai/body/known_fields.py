"""The data of `meshd/catalogue/body_fields.toml`, read once."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from meshd.catalogue.known import read_data
from meshd.formats.openai.body.fields import BodyFields, Does, Rule
from meshd.formats.openai.body.inside import Inside


class FieldRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    names: tuple[str, ...]
    does: Does
    harmless: tuple[Any, ...] = ()
    source: str
    date: str


class InsideRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """of: where these names occur: in a message; in a content part of these kinds; in a tool of these kinds; in an item
    or a tool (`own_tool`) of these kinds in the Responses API; in a part or a tool (`declared`) of the Gemini API; or
    in a cache mark. does: `images`: the part is a picture; `files`: some providers charge for it by the page."""

    of: Literal["message", "part", "tool", "item", "own_tool", "gemini_part", "declared", "mark"]
    kinds: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    does: Literal["pass", "images", "files"] = "pass"
    source: str
    date: str


@functools.cache
def load_body_fields() -> BodyFields:
    return BodyFields(load_rules(), Inside(**known_inside("message", "tool")), carrying_names())


def load_rules() -> dict[str, Rule]:
    rows = msgspec.convert(read_data("body_fields.toml")["field"], tuple[FieldRow, ...])
    return {name: Rule(row.does, row.harmless) for row in rows for name in row.names}


def carrying_names() -> re.Pattern[str]:
    names = "|".join(read_data("body_fields.toml")["carries_names"]["words"])
    return re.compile(rf"(?:{names})$", re.IGNORECASE)


def known_inside(message: str, tool: str) -> dict[str, Any]:
    """The fields of `Inside`. message, tool: the rows for what is in a message and in a tool."""
    rows = inside_rows()

    def of(kind: str, does: str = "") -> list[InsideRow]:
        return [row for row in rows if row.of == kind and does in ("", row.does)]

    def joined(sets: Iterable[tuple[str, ...]]) -> frozenset[str]:
        return frozenset(name for each in sets for name in each)

    marks = joined(row.names for row in of("mark"))
    return {
        "message": joined(row.names for row in of(message)) | marks,
        "parts": {kind: marks | {"type", *row.names} for row in of("part") for kind in row.kinds},
        "files": joined(row.kinds for row in of("part", "files")),
        "images": joined(row.kinds for row in of("part", "images")),
        "tool": joined(row.names for row in of(tool)) | marks,
        "tool_kinds": joined(row.kinds for row in of(tool)),
        "marks": marks,
    }


def inside_rows() -> tuple[InsideRow, ...]:
    return msgspec.convert(read_data("body_fields.toml")["inside"], tuple[InsideRow, ...])
