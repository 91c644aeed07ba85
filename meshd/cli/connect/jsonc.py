"""JSON as editors and agents write it: with comments and trailing commas.

Owns: finding each value in the text, and replacing it.
Must never: touch a character outside of the change.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from meshd.cli.connect.edits import CannotEdit, Edit, Item, nested

_BETWEEN = re.compile(r"(?:[\s\ufeff]|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_PLAIN = re.compile(r"[-+.\w]+")
_INDENT = re.compile(r"\n([ \t]+)\S")
_DEEPEST = 100


@dataclass(slots=True)
class _Node:
    """A value from `start` to `end`. key: where its key begins. members: of a map, by key; if a key occurs twice, the
    last one counts. comma: whether a comma follows the last member."""

    start: int
    end: int = 0
    value: Any = None
    members: dict[str, _Node] = field(default_factory=dict)
    comma: bool = False
    key: int = 0


class Jsonc:
    def read(self, text: str) -> Any:
        root = _parsed(text)
        return None if root is None else root.value

    def put(self, text: str, edit: Edit) -> str:
        path: list[str] = []
        for part in edit.path:
            if isinstance(part, Item):
                raise CannotEdit("items of its lists cannot be changed")
            path.append(part)
        newline = "\r\n" if "\r\n" in text else "\n"
        unit = found[1] if (found := _INDENT.search(text)) else "  "
        root = node = _parsed(text)
        if root is None or node is None:
            return text + _dumped(nested(edit.path, edit.value), "", unit).replace("\n", newline) + newline
        depth = 0
        while depth < len(path) and isinstance(node.value, dict) and path[depth] in node.members:
            node, depth = node.members[path[depth]], depth + 1
        value = nested(tuple(path[depth:]), edit.value)
        if depth == len(path) or not isinstance(node.value, dict):
            made = _dumped(value, _indent_at(text, node.start), unit).replace("\n", newline)
            return text[: node.start] + made + text[node.end :]
        return _inserted(text, node, path[depth], value[path[depth]], unit, newline)

    def drop(self, text: str, path: tuple[str, ...]) -> str:
        node = _parsed(text)
        for key in path[:-1]:
            node = None if node is None else node.members.get(key)
        found = None if node is None else node.members.get(path[-1])
        if node is None or found is None:
            return text
        start, end, after = found.key, found.end, _skip(text, found.end)
        if text[after : after + 1] == ",":
            end = after + 1
        else:
            before = max((each.end for each in node.members.values() if each.end < start), default=None)
            if before is not None:
                comma = _skip(text, before)
                text = text[:comma] + text[comma + 1 :]
                start, end = start - 1, end - 1
        line = _line_start(text, start)
        if not text[line:start].strip() and (rest := re.match(r"[ \t]*\r?\n", text[end:])):
            start, end = line, end + rest.end()
        return text[:start] + text[end:]


def _inserted(text: str, node: _Node, key: str, value: Any, unit: str, newline: str) -> str:
    """A new member at the end of a map, after the comments there."""
    close, outer = node.end - 1, _indent_at(text, node.start)
    inner = next((_own_indent(text, each.start) for each in node.members.values()), None) or outer + unit
    made = f"\n{inner}{json.dumps(key, ensure_ascii=False)}: {_dumped(value, inner, unit)}"
    end = len(text[:close].rstrip())
    after = "" if "\n" in text[end:close] else f"\n{outer}"
    made = made.replace("\n", newline)
    between = text[end:close] if after == "" else after.replace("\n", newline)
    if not node.members or node.comma:
        return text[:end] + made + between + text[close:]
    last = max(each.end for each in node.members.values())
    return text[:last] + "," + text[last:end] + made + between + text[close:]


def _dumped(value: Any, indent: str, unit: str) -> str:
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", f"\n{indent}")


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _indent_at(text: str, at: int) -> str:
    """The indentation of the line in which something begins."""
    line = text[_line_start(text, at) : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _own_indent(text: str, at: int) -> str | None:
    """The indentation of a member whose key begins its line; None if another member precedes it on that line."""
    line = text[_line_start(text, at) : at]
    return _indent_at(text, at) if line.lstrip(" \t").startswith('"') else None


# -- reading --------------------------------------------------------------------------------------------


def _parsed(text: str) -> _Node | None:
    """None: there is no value, only space and comments."""
    at = _skip(text, 0)
    if at == len(text):
        return None
    node = _value(text, at, 0)
    if _skip(text, node.end) != len(text):
        raise _broken(text, node.end)
    return node


def _skip(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    assert found is not None, "it matches nothing, too"
    return found.end()


def _value(text: str, at: int, depth: int) -> _Node:
    if depth > _DEEPEST:
        raise CannotEdit("it is nested too deeply")
    first = text[at : at + 1]
    if first == "{":
        return _map(text, at, depth)
    if first == "[":
        return _list(text, at, depth)
    found = _STRING.match(text, at) if first == '"' else _PLAIN.match(text, at)
    if found is None:
        raise _broken(text, at)
    try:
        return _Node(at, found.end(), json.loads(found[0]))
    except ValueError:
        raise _broken(text, at) from None


def _map(text: str, at: int, depth: int) -> _Node:
    node, here = _Node(at), _skip(text, at + 1)
    while text[here : here + 1] != "}":
        key = _STRING.match(text, here)
        colon = -1 if key is None else _skip(text, key.end())
        if key is None or text[colon : colon + 1] != ":":
            raise _broken(text, here)
        value = _value(text, _skip(text, colon + 1), depth + 1)
        value.key = here
        node.members.pop(name := json.loads(key[0]), None)
        node.members[name] = value
        here, node.comma = _next(text, value.end, "}")
    node.value, node.end = {name: each.value for name, each in node.members.items()}, here + 1
    return node


def _list(text: str, at: int, depth: int) -> _Node:
    node, here, items = _Node(at), _skip(text, at + 1), []
    while text[here : here + 1] != "]":
        item = _value(text, here, depth + 1)
        items.append(item.value)
        here, _ = _next(text, item.end, "]")
    node.value, node.end = items, here + 1
    return node


def _next(text: str, at: int, close: str) -> tuple[int, bool]:
    """Where the next entry or the end is, and whether there is a comma before it."""
    here = _skip(text, at)
    if text[here : here + 1] == ",":
        return _skip(text, here + 1), True
    if text[here : here + 1] != close:
        raise _broken(text, here)
    return here, False


def _broken(text: str, at: int) -> CannotEdit:
    return CannotEdit(f"it is not JSON: line {text.count(chr(10), 0, at) + 1}")
