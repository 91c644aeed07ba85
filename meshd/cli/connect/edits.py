"""Changes to a settings file that keep everything else in it: comments, order, spelling.

Owns: what a change means, and the check that the changed file has the intended meaning, whatever its format.
Must never: read or write a file.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import msgspec

LONGEST = 4 * 1024 * 1024
"""Characters of a settings file."""


class CannotEdit(Exception):
    """The file cannot be changed without changing more than what was meant. The message says why."""


class Item(NamedTuple):
    """A place in a list: the map in which `key` is `value`, or the end of the list if there is no such map yet."""

    key: str
    value: str


class Edit(msgspec.Struct, frozen=True):
    """A value to set at a path of keys and list items. only_new: keep a value that is already there."""

    path: tuple[str | Item, ...]
    value: Any
    only_new: bool = False


class Writer(Protocol):
    """A file format. All raise CannotEdit."""

    def read(self, text: str) -> Any:
        """The file's data; None if it is empty."""

    def put(self, text: str, edit: Edit) -> str:
        """The text with one change."""

    def drop(self, text: str, path: tuple[str, ...]) -> str:
        """The text without a key; the same if it has none."""


_WRITERS = {"json": "jsonc:Jsonc", "toml": "toml_file:Toml", "yaml": "yaml_file:Yaml"}


def writer_of(format: str) -> Writer:
    module, _, name = _WRITERS[format].partition(":")
    made: Callable[[], Writer] = getattr(importlib.import_module(f"meshd.cli.connect.{module}"), name)
    return made()


def edited(text: str, format: str, edits: Iterable[Edit]) -> str:
    """The text with the changes. Raises CannotEdit."""
    if len(text) > LONGEST:
        raise CannotEdit("it is too long")
    writer = writer_of(format)
    data = writer.read(text)
    for edit in edits:
        if edit.only_new and _has(data, edit.path):
            continue
        data = _with(data, edit.path, edit.value)
        text = writer.put(text, edit)
        if writer.read(text) != data:
            raise CannotEdit(f"{_shown(edit.path)} cannot be set because of the way the file is written")
    return text


def undone(text: str, format: str, paths: Iterable[tuple[str, ...]], before: str) -> str:
    """The text with the values that `before` had at these paths; the rest is unchanged. Raises CannotEdit."""
    writer = writer_of(format)
    old, data = writer.read(before), writer.read(text)
    for path in paths:
        if _has(old, path):
            text = edited(text, format, [Edit(path, _at(old, path))])
            data = writer.read(text)
            continue
        kept = max((depth for depth in range(len(path)) if _has(old, path[:depth])), default=0)
        for depth in range(len(path), kept, -1):  # also the maps that were made for it, if they are empty now
            if depth == len(path) or _at(data, path[:depth]) == {}:
                text, data = writer.drop(text, path[:depth]), _without(data, path[:depth])
        if writer.read(text) != data:
            raise CannotEdit(f"{_shown(path)} cannot be removed")
    return text


def _at(data: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _without(data: Any, path: tuple[str, ...]) -> Any:
    if not isinstance(data, dict) or path[0] not in data:
        return data
    found = dict(data)
    if len(path) == 1:
        del found[path[0]]
    else:
        found[path[0]] = _without(found[path[0]], path[1:])
    return found


def _has(data: Any, path: tuple[str | Item, ...]) -> bool:
    for part in path:
        if isinstance(part, Item) or not isinstance(data, dict) or part not in data:
            return False
        data = data[part]
    return True


def _with(data: Any, path: tuple[str | Item, ...], value: Any) -> Any:
    if not path:
        return copy.deepcopy(value)
    part, rest = path[0], path[1:]
    if data is not None and not isinstance(data, list if isinstance(part, Item) else dict):
        raise CannotEdit(f"{_shown(path)} already has another value")
    if isinstance(part, Item):
        items = list(data or ())
        at = position(items, part)
        old = items[at] if at < len(items) else None
        items[at : at + 1] = [_with(old, rest, value)]
        return items
    found = dict(data or {})
    found[part] = _with(found.get(part), rest, value)
    return found


def position(items: list[Any], part: Item) -> int:
    """The place of the item, or the end."""
    found = (at for at, item in enumerate(items) if isinstance(item, dict) and item.get(part.key) == part.value)
    return next(found, len(items))


def nested(path: tuple[str | Item, ...], value: Any) -> Any:
    """The value in new maps and lists along the path."""
    return _with(None, path, value)


def _shown(path: tuple[str | Item, ...]) -> str:
    return ".".join(part if isinstance(part, str) else f"[{part.key}={part.value}]" for part in path)
