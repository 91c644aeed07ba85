"""Which file each value of a configuration comes from.

Must never: show a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshd.config.check.problems import Places, place_of
from meshd.core.text.key_path import Path, dotted

MOST = 20_000


def origins_of(raw: dict[str, Any], places: Places) -> list[dict[str, Any]]:
    """`{"path", "file", "line"}` of each value that a file gives, in the order of the configuration."""
    found = []
    for path in _leaves(raw, ()):
        place = place_of(places, path)
        if place.line is not None:
            found.append({"path": dotted(path), "file": place.file, "line": place.line})
        if len(found) >= MOST:
            break
    return found


def _leaves(value: Any, path: Path) -> Iterator[Path]:
    """A list counts as one value, since it is replaced as a whole."""
    if not isinstance(value, dict) or not value:
        yield path
        return
    for key, item in value.items():
        yield from _leaves(item, (*path, key))
