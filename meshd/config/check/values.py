"""Values of a configuration, which may have any type; a type that was not expected is reported elsewhere.

Owns: how the checks read maps, and lists of names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshd.config.schema_walk import Report
from meshd.core.text.key_path import Path
from modelmesh.wording import likeliest


def as_map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def report_unknown(
    report: Report, path: Path, value: Any, known: Callable[[str], bool], what: str, names: list[str]
) -> None:
    """Report each name in a list that is not known. what: the list's things have these names. names: all known ones."""
    for index, name in enumerate(value if isinstance(value, list | tuple) else ()):
        if isinstance(name, str) and not known(name):
            report((*path, index), f"there is no {what} {name!r}", likeliest(name, names))
