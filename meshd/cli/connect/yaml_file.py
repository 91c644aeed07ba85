"""YAML, changed at the position that PyYAML reports for a value; everything around it stays unchanged.

Must never: write a tag or an anchor, or construct anything but plain data.
"""

from __future__ import annotations

import textwrap
from typing import Any

import yaml

from meshd.cli.connect.edits import CannotEdit, Edit, Item, nested


class Yaml:
    def read(self, text: str) -> Any:
        try:
            return yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError, ValueError):
            raise CannotEdit("it is not YAML") from None

    def put(self, text: str, edit: Edit) -> str:
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, RecursionError):
            raise CannotEdit("it is not YAML") from None
        newline = "\r\n" if "\r\n" in text else "\n"
        if node is None:
            start = text if not text or text.endswith("\n") else text + newline
            return start + _dumped(nested(edit.path, edit.value)).replace("\n", newline)
        return _put(text, node, edit.path, edit.value, newline)

    def drop(self, text: str, path: tuple[str, ...]) -> str:
        raise CannotEdit("keys cannot be removed from YAML")


def _put(text: str, node: yaml.Node, path: tuple[str | Item, ...], value: Any, newline: str) -> str:
    """Go down the path as far as it exists, and add what is missing there."""
    indent = node.start_mark.column
    for depth, part in enumerate(path):
        below = _below(node, part)
        if below is None:
            made = nested(path[depth:], value)
            if _is_block(node, yaml.SequenceNode if isinstance(part, Item) else yaml.MappingNode):
                return _appended(text, node, made, newline)
            return _replaced(text, node, made, indent, newline)
        indent = node.start_mark.column
        node = below
    return _replaced(text, node, value, indent, newline)


def _below(node: yaml.Node, part: str | Item) -> yaml.Node | None:
    if isinstance(part, Item):
        items = node.value if isinstance(node, yaml.SequenceNode) else ()
        wanted = (part.key, part.value)
        return next((item for item in items if wanted in _scalars(item)), None)
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    found = [value for key, value in pairs if isinstance(key, yaml.ScalarNode) and key.value == part]
    return found[-1] if found else None


def _scalars(node: yaml.Node) -> list[tuple[str, str]]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return [
        (key.value, value.value)
        for key, value in pairs
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
    ]


def _is_block(node: yaml.Node, kind: type[yaml.CollectionNode]) -> bool:
    return isinstance(node, kind) and not node.flow_style and bool(node.value)


def _appended(text: str, node: yaml.Node, value: Any, newline: str) -> str:
    """At the end of a map or list, after the line of its last value."""
    end = text.find("\n", _end(node))
    end = len(text) if end < 0 else end + 1
    start = text[:end] if text[:end].endswith("\n") else text[:end] + newline
    made = textwrap.indent(_dumped(value), " " * node.start_mark.column).replace("\n", newline)
    return start + made + text[end:]


def _replaced(text: str, node: yaml.Node, value: Any, indent: int, newline: str) -> str:
    """indent: of the map or list that the value is in."""
    start, end = node.start_mark.index, _end(node)
    if not isinstance(value, dict | list):
        made = _dumped(value).removesuffix("\n").removesuffix("\n...")
    else:
        inner = _is_block(node, yaml.MappingNode) or _is_block(node, yaml.SequenceNode)
        column = node.start_mark.column if inner else indent + 2
        made = textwrap.indent(_dumped(value), " " * column).rstrip("\n")
        made = made[column:] if inner else f"\n{made}"
    before = text[:start]
    if made.startswith("\n"):
        before = before.rstrip(" ")
    elif before.endswith(":"):
        before += " "
    return before + made.replace("\n", newline) + text[end:]


def _end(node: yaml.Node) -> int:
    """Where the last value in it ends: PyYAML counts the comments after a block as part of it."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(node, yaml.MappingNode) else last
    return int(node.end_mark.index)


def _dumped(value: Any) -> str:
    made: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False, width=1000)
    return made
