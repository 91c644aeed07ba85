"""Names in commands: their completion by a shell, from the running daemon, and the error for an empty one.

Must never: fail, print, or keep a shell waiting during completion. Without a daemon there are no names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import typer

from meshd.cli import daemon

_PATIENCE = 1.0


def _names(*sources: tuple[str, str]) -> Iterator[str]:
    with daemon.Daemon(_PATIENCE) as line:
        for path, key in sources:
            names = (str(entry[key]) for entry in line.get(path).get("data") or () if entry.get(key))
            yield from (name for name in names if name.isprintable())  # a shell shows them as they are


def everything() -> list[str]:
    """Every name that limits or statistics may belong to. Raises the daemon's error."""
    return list(dict.fromkeys(_names(("providers", "name"), ("pools", "name"), ("apps", "name"), ("models", "id"))))


def _completer(*sources: tuple[str, str]) -> Callable[[Any, str], list[str]]:
    def complete(ctx: Any, incomplete: str) -> list[str]:
        root = ctx.find_root() if ctx is not None else None
        daemon.settings.socket = (root.params.get("socket") if root is not None else None) or daemon.settings.socket
        try:
            found = sorted(set(_names(*sources)))
        except Exception:
            return []
        return [name for name in found if name.startswith(incomplete)]

    return complete


def given(name: str | None) -> str | None:
    """An argument that may be left out, but not be empty: then a script's variable was not set."""
    if name is not None and not name.strip():
        raise typer.BadParameter("it is empty; give a name")
    return name


pools = _completer(("pools", "name"))
models = _completer(("models", "id"))
apps = _completer(("apps", "name"))
providers = _completer(("providers", "name"))
pools_and_models = _completer(("pools", "name"), ("models", "id"))
