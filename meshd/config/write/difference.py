"""The changes between two configurations, one line each.

Owns: those lines.
Must never: show a secret's value, on either side.
"""

from __future__ import annotations

import re
from typing import Any

from meshd.config.check.error_messages import shown
from meshd.core.text.key_path import Path, dotted
from meshd.core.text.redaction import is_secret_path, redact
from meshd.sdk.http.credentials import MASK

_OWN_ID = re.compile(r"modelmesh\.([a-z0-9-]+)\.v1")
_MISSING: Any = object()


def describe_difference(old: Any, new: Any, old_resolved: Any, new_resolved: Any, path: Path = ()) -> list[str]:
    """The changes from `old` to `new`, as written. The resolved forms show changes that only the environment causes."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for key in dict.fromkeys([*old, *new]):
            before, after, *resolved = (
                tree.get(key, _MISSING) for tree in (old, new, *_maps(old_resolved, new_resolved))
            )
            lines += describe_difference(before, after, resolved[0], resolved[1], (*path, key))
        return lines
    where = dotted(path)
    if old is _MISSING or new is _MISSING:
        return _whole(old, new, where, path)
    if old != new:
        before, after = _value(old, path), _value(new, path)
        return [f"{where} changed"] if before == after else [f"{where}: {before} → {after}"]
    if old_resolved != new_resolved:
        return [f"{where} changed (by the environment)"]
    return []


def _whole(old: Any, new: Any, where: str, path: Path) -> list[str]:
    verb, value = ("added", new) if old is _MISSING else ("removed", old)
    if isinstance(value, dict) and value and len(path) == 1:
        # A section is described by its entries.
        return [f"{where}.{key} {verb}" for key in value]
    return [f"{where} {verb}" if isinstance(value, dict) else f"{where} {verb}: {_value(value, path)}"]


def _maps(*trees: Any) -> tuple[dict[str, Any], ...]:
    return tuple(tree if isinstance(tree, dict) else {} for tree in trees)


def _value(value: Any, path: Path) -> str:
    masked = redact(value, path, secret=is_secret_path(path))
    if isinstance(masked, str):
        own = _OWN_ID.fullmatch(masked)
        return own[1] if own else masked if len(masked) <= 60 else masked[:59] + "…"
    if isinstance(masked, list) and all(isinstance(item, str | int | float) for item in masked) and len(masked) <= 12:
        return "[" + ", ".join(str(item) for item in masked) + "]"
    if isinstance(masked, int | float) and not isinstance(masked, bool):
        return str(masked)
    return MASK if is_secret_path(path) else shown(masked)
