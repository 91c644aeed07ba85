"""Normalises what can be written in several ways: nested `config:` maps, empty entries, short strategy names.

Owns: the equivalences of the file. The result is what is validated, compared and merged.
Must never: fill in a default, or drop a written key except `x-…`, which has no meaning.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from meshd.config.check.problems import Places, Problem, problem_in
from meshd.core.text.key_path import Path, dotted

_NAMED = ("providers", "models", "pools", "apps")
_NESTED = ("providers", "pools")
_STRATEGY_KEYS = ("strategy", "fallback_strategy")


def canonical(raw: dict[str, Any], places: Places) -> tuple[dict[str, Any], Places, list[Problem]]:
    """The flat form of a raw configuration, its places, and keys given in both forms at once."""
    problems: list[Problem] = []
    flat = {key: value for key, value in raw.items() if not is_remark(key)}
    moved = dict(places)
    for section in _NAMED:
        entries = raw.get(section)
        if isinstance(entries, dict):
            # An empty entry has only defaults.
            flat[section] = {name: {} if entry is None else entry for name, entry in entries.items()}
    for section in _NESTED:
        entries = flat.get(section)
        if isinstance(entries, dict):
            flat[section] = {name: _flatten((section, name), entry, moved, problems) for name, entry in entries.items()}
    return flat, moved, problems


def flat_path(path: Path) -> Path:
    """Where a value's path is in the flat form."""
    nested = len(path) > 3 and path[0] in _NESTED and path[2] == "config"
    return (*path[:2], *path[3:]) if nested else path


def is_remark(key: object) -> bool:
    """Whether a top-level key is the author's own: a place for YAML's anchors, as in compose files."""
    return isinstance(key, str) and key.startswith("x-")


def _flatten(at: Path, entry: Any, places: Places, problems: list[Problem]) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        if isinstance(entry, dict) and "config" in entry and entry["config"] is None:
            return {key: value for key, value in entry.items() if key != "config"}
        return entry
    nested_at = (*at, "config")
    depth = len(nested_at)
    for path in [path for path in places if path[:depth] == nested_at and len(path) > depth]:
        places.setdefault((*at, *path[depth:]), places[path])
    flat = {key: value for key, value in entry.items() if key != "config"}
    clashes: list[Path] = []
    merged = _join(flat, entry["config"], at, clashes)
    for path in clashes:
        nested = problem_in(places, (*nested_at, *path[len(at) :]), "is given twice, directly and under `config`")
        problems.append(replace(nested, path=dotted(path)))
    return merged


def _join(first: dict[str, Any], second: dict[str, Any], at: Path, clashes: list[Path]) -> dict[str, Any]:
    joined = dict(first)
    for key, value in second.items():
        path = (*at, key)
        if key not in joined:
            joined[key] = value
        elif isinstance(joined[key], dict) and isinstance(value, dict):
            joined[key] = _join(joined[key], value, path, clashes)
        else:
            clashes.append(path)
    return joined


def full_strategy(name: str) -> str:
    """`cost-first`, `rotation.modelmesh.cost-first.v1` → `modelmesh.cost-first.v1`; others are unchanged."""
    plain = name.removeprefix("rotation.")
    return plain if "." in plain else f"modelmesh.{plain}.v1"


def with_full_strategies(flat: dict[str, Any]) -> dict[str, Any]:
    """The same, with the full id of every pool's strategy."""
    pools = flat.get("pools")
    if not isinstance(pools, dict):
        return flat
    return {**flat, "pools": {name: _full_strategies(pool) for name, pool in pools.items()}}


def _full_strategies(pool: Any) -> Any:
    if not isinstance(pool, dict):
        return pool
    return {
        key: full_strategy(value) if key in _STRATEGY_KEYS and isinstance(value, str) else value
        for key, value in pool.items()
    }
