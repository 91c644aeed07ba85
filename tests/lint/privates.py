"""Finds tests that replace what is private: `python -m tests.lint.privates FOLDER …`.

Ruff's SLF001 and PLC2701 find private names in code; this finds those in the strings of `setattr` and `patch`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

_REPLACE = {"setattr", "delattr", "patch", "object"}  # `monkeypatch.setattr`, `mock.patch`, `mock.patch.object`


def _is_private(name: str) -> bool:
    """Whether part of a name, which may be a path with dots, begins with an underscore."""
    return any(part.startswith("_") and not part.endswith("__") for part in name.split("."))


def _text(argument: ast.expr) -> str:
    """A string that is written there, with an x for each field of an f-string."""
    if isinstance(argument, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "x" for part in argument.values)
    return argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else ""


def _replaced(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The names that calls replace, with their lines: the first or second argument, or `name=`."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call):
            function = call.func
            called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if called in _REPLACE:
                given = [*call.args[:2], *(each.value for each in call.keywords if each.arg in ("name", "attribute"))]
                yield from ((call.lineno, name) for name in map(_text, given) if name)


def main(folders: list[str]) -> int:
    found = [
        f"{path}:{line}: replaces the private {name}: let what is tested take it as an argument"
        for folder in folders
        for path in sorted(Path(folder).rglob("*.py"))
        for line, name in _replaced(ast.parse(path.read_bytes()))
        if _is_private(name)
    ]
    print("\n".join(found), end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
