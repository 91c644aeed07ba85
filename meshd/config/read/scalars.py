"""Reads unquoted YAML values as the schema means them: where a text is expected, `no` is the code for Norwegian.

Owns: putting back the written text of a boolean, number or null where the schema has text; decimal numbers with
leading zeros; `1e3`; permissions, which are octal however they are written.
Must never: touch a value of a connector, or one that was written in quotes.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from meshd.core.text.key_path import Path

Written = Mapping[Path, str]

_WHOLE = re.compile(r"[+-]?\d+(?:\.0*)?(?:[eE]\+?\d{1,2})?", re.ASCII)
_LEADING_ZEROS = re.compile(r"[+-]?0+\d+", re.ASCII)


def as_meant(section: type[BaseModel], value: Any, written: Written, path: Path = ()) -> Any:
    """The same data, with a value's original text where the schema expects text."""
    if not isinstance(value, dict):
        return value
    fields = section.model_fields
    return {
        name: _read(fields[name].annotation, fields[name].metadata, item, written, (*path, name))
        if name in fields
        else item
        for name, item in value.items()
    }


def _read(annotation: Any, metadata: Any, value: Any, written: Written, path: Path) -> Any:
    kinds = list(_alternatives(annotation, tuple(metadata)))
    if isinstance(value, dict):
        return _read_map(kinds, value, written, path)
    if isinstance(value, list | tuple):
        item = next((inside for kind, _ in kinds if (inside := _item(kind)) is not None), None)
        if item is None:
            return value
        return [_read(item, (), each, written, (*path, index)) for index, each in enumerate(value)]
    if isinstance(value, str):
        whole = (
            all(kind in (int, types.NoneType) for kind, _ in kinds) and _WHOLE.fullmatch(value) and "e" in value.lower()
        )
        return int(float(value)) if whole else value
    text = _written(written, path)
    if value is None or text is None:
        return value
    if any(_is_mode(about) for _, about in kinds):
        return text if text.isascii() and text.isdigit() else value
    if all(kind in (str, types.NoneType) for kind, _ in kinds):
        return text
    if isinstance(value, int) and not isinstance(value, bool) and _LEADING_ZEROS.fullmatch(text):
        return int(text)
    return value


def _read_map(kinds: list[tuple[Any, Any]], value: dict[str, Any], written: Written, path: Path) -> Any:
    for kind, _ in kinds:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return as_meant(kind, value, written, path)
        if typing.get_origin(kind) is dict:
            item = typing.get_args(kind)[1]
            return {name: _read(item, (), each, written, (*path, name)) for name, each in value.items()}
    return value


def _alternatives(annotation: Any, metadata: tuple[Any, ...]) -> typing.Iterator[tuple[Any, tuple[Any, ...]]]:
    """The types that a field may have, each with the rest of its annotation."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        inside, *about = typing.get_args(annotation)
        yield from _alternatives(inside, (*metadata, *about))
    elif origin in (typing.Union, types.UnionType):
        for each in typing.get_args(annotation):
            yield from _alternatives(each, metadata)
    elif origin is typing.Literal:
        for each in typing.get_args(annotation):
            yield type(each), metadata
    else:
        yield annotation, metadata


def _item(kind: Any) -> Any:
    if typing.get_origin(kind) in (tuple, list):
        return typing.get_args(kind)[0]
    return None


def _is_mode(about: tuple[Any, ...]) -> bool:
    return any(
        getattr(each, "json_schema", {}).get("x-unit") == "mode" for each in about if hasattr(each, "json_schema")
    )


def _written(written: Written, path: Path) -> str | None:
    """The original text at its path, or under the nested `config:` that the canonical form has removed."""
    return written.get(path) or written.get((*path[:2], "config", *path[2:]))
