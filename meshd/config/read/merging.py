"""One configuration on top of another.

Owns: the rule: maps are merged key by key, everything else is replaced.
Must never: know a key's meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from meshd.config.check.problems import Places, Problem
from meshd.core.text.key_path import Path

_V = TypeVar("_V")


@dataclass(slots=True)
class Part:
    """What one file gives, or all of them. written: the text of unquoted values that YAML does not read as text."""

    raw: dict[str, Any] = field(default_factory=dict)
    places: Places = field(default_factory=dict)
    written: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def on_top(base: Part, top: Part) -> Part:
    """Both merged. An empty value (`retry:`) on top of a map leaves the map as it is."""
    replaced: set[Path] = set()
    raw = merged(base.raw, top.raw, replaced, keeps_maps=True)
    return Part(
        raw,
        without(base.places, replaced) | top.places,
        without(base.written, replaced) | top.written,
        [*base.problems, *top.problems],
    )


def merged(base: Any, top: Any, replaced: set[Path], path: Path = (), *, keeps_maps: bool = False) -> Any:
    """The merged value. replaced: collects the paths whose value in `base` was replaced.

    keeps_maps: an empty value on top of a map changes nothing.
    """
    if isinstance(base, dict) and isinstance(top, dict):
        return base | {
            key: merged(base[key], value, replaced, (*path, key), keeps_maps=keeps_maps) if key in base else value
            for key, value in top.items()
        }
    if keeps_maps and top is None and isinstance(base, dict):
        return base
    replaced.add(path)
    return top


def without(values: dict[Path, _V], replaced: set[Path]) -> dict[Path, _V]:
    """Those that belong to no replaced value."""
    if not replaced:
        return dict(values)
    longest = max(map(len, replaced))
    return {
        path: value
        for path, value in values.items()
        if not any(path[:length] in replaced for length in range(1, min(len(path), longest) + 1))
    }
