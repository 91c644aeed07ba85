"""The schema as a tree of keys: which exist where, and what is below each.

Owns: walking plain data along the schema, to report what pydantic does not report well: the closest key.
Must never: check a value's type; pydantic does.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec
from pydantic import BaseModel

from meshd.config.schema.base import OpenSection
from meshd.core.text.key_path import Path
from modelmesh.wording import likeliest

Report = Callable[[Path, str, str | None], None]
"""A function that takes a path, a message and a suggestion."""


class Key(msgspec.Struct, frozen=True):
    """One key of a section. below: the section under it. many: it contains a map or list of such sections."""

    name: str
    below: type[BaseModel] | None
    many: bool


@cache
def keys_of(section: type[BaseModel]) -> dict[str, Key]:
    """The keys of a section, by name."""
    found = {}
    for name, info in section.model_fields.items():
        below, many = _section_in(info.annotation)
        found[name] = Key(name, below, many)
    return found


def _section_in(annotation: Any, many: bool = False) -> tuple[type[BaseModel] | None, bool]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, many
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated or origin in (typing.Union, types.UnionType):
        inside = many
    elif origin in (dict, tuple, list):
        inside = True
    else:
        return None, False
    for argument in typing.get_args(annotation):
        below, found_many = _section_in(argument, inside)
        if below is not None:
            return below, found_many
    return None, False


def entries_below(key: Key, value: Any, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The maps under a key that its section describes."""
    if key.below is None:
        return
    if not key.many:
        items: list[tuple[Path, Any]] = [(path, value)]
    elif isinstance(value, dict):
        items = [((*path, name), item) for name, item in value.items()]
    elif isinstance(value, list | tuple):
        items = [((*path, index), item) for index, item in enumerate(value)]
    else:
        items = []
    yield from ((at, item) for at, item in items if isinstance(item, dict))


def find_faults(section: type[BaseModel], value: dict[str, Any], path: Path, report: Report) -> None:
    """Unknown keys, here and below."""
    known = keys_of(section)
    for name, item in value.items():
        at = (*path, name)
        key = known.get(name)
        if key is None:
            if not issubclass(section, OpenSection):
                report(at, "unknown key", suggest_key(section, name))
            continue
        for below_path, below in entries_below(key, item, at):
            assert key.below is not None
            find_faults(key.below, below, below_path, report)


def suggest_key(section: type[BaseModel], name: str, more: tuple[str, ...] = ()) -> str | None:
    """The closest key of the section, else one with the same name one level down."""
    known = keys_of(section)
    near = likeliest(name, [*known, *more])
    if near:
        return near
    for key in known.values():
        if key.below is not None and not key.many and name in keys_of(key.below):
            return f"{key.name}.{name}"
    return None


def prune(section: type[BaseModel], value: Any) -> Any:
    """The same without empty known keys (`retry:`), which mean the default.

    Values for a connector or a model stay as they are, because null may have a meaning there.
    """
    if not isinstance(value, dict):
        return value
    known = keys_of(section)
    pruned = {}
    for name, item in value.items():
        key = known.get(name)
        if key is not None and item is None:
            continue
        pruned[name] = _prune_below(key, item) if key is not None and key.below is not None else item
    return pruned


def _prune_below(key: Key, item: Any) -> Any:
    assert key.below is not None
    if not key.many:
        return prune(key.below, item)
    if isinstance(item, dict):
        return {name: prune(key.below, each) for name, each in item.items()}
    if isinstance(item, list | tuple):
        return [prune(key.below, each) for each in item]
    return item
