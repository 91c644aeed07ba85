"""Finds tests of `tests/unit` that are not where their module is: `python -m tests.lint.mirror`.

The folders of `tests/unit` are those of `meshd`; `client` is `client/modelmesh`, `docs` and `lint` are `docs` and
`tests/lint`. A test that has the name of a module in a folder below belongs there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

_TESTS = Path("tests/unit")
_ROOTS = {"client": ("client/modelmesh", "client/modelmesh/_async"), "docs": ("docs",), "lint": ("tests/lint",)}


def _mirrored(parts: tuple[str, ...]) -> Path | None:
    """The folder that a folder of tests is for. Those of the client may begin with an underscore."""
    if parts and parts[0] in _ROOTS:
        roots, rest = [Path(root) for root in _ROOTS[parts[0]]], parts[1:]
    else:
        roots, rest = [Path("meshd")], parts
    for part in rest:
        roots = [root / name for root in roots for name in (part, f"_{part}") if (root / name).is_dir()]
    return roots[0] if roots else None


def _is_here(folder: Path, module: str) -> bool:
    return any((folder / name).exists() for name in (module, f"{module}.py", f"_{module}.py"))


def _misplaced() -> Iterator[str]:
    for test in sorted(_TESTS.rglob("test_*.py")):
        parts = test.parent.relative_to(_TESTS).parts
        folder, module = _mirrored(parts), test.stem.removeprefix("test_")
        if folder is None:
            yield f"{test}: no folder has this name in meshd or client/modelmesh"
        elif parts and not _is_here(folder, module):
            below = {path.parent for path in folder.rglob(f"{module}.py")}
            if len(below) == 1:
                yield f"{test}: its module is in {below.pop()}"


def main() -> int:
    found = list(_misplaced())
    print("\n".join(found), end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
