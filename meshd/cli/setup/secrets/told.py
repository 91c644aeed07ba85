"""The running daemon, which is told of a change in its stores, and asks its providers about a new key.

Must never: end a command that has already written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from meshd.cli import daemon
from meshd.cli.screen import output as out
from meshd.cli.setup.secrets.opened import Opened
from meshd.host.plain_text import one_line

_REFUSES = ("authentication", "permission")  # kinds of failure that concern a key
_PATIENCE = 60.0  # s for the daemon to read its stores and ask a provider


def tell(opened: Opened) -> dict[str, Any] | None:
    """Have the daemon read its stores again. None: it did not, and the reason was printed."""
    from modelmesh import DaemonUnavailableError, MeshError

    try:
        source = str(out.get(daemon.ask("status"), "config", "source") or "")
        if source and not _is_same(source, opened.source):
            out.complain(f"the running daemon uses {source}, not {opened.source}, so it was not notified")
            return None
        return daemon.tell("secrets/refresh", {}, _PATIENCE, "the stores")
    except DaemonUnavailableError:
        out.complain("no daemon is running: it will read the secret when it starts")
    except MeshError as error:
        out.complain(f"the daemon could not be notified ({one_line(str(error))}); it reads its stores again by itself")
    return None


def refusals(providers: Iterable[str]) -> dict[str, str]:
    """Provider → why it refuses its key, asked now."""
    from modelmesh import MeshError

    found: dict[str, str] = {}
    for provider in providers:
        try:
            rows = daemon.tell("probe", {"provider": provider}, _PATIENCE, provider).get("data") or ()
        except MeshError as error:
            out.complain(f"{provider} could not be asked about the new value: {one_line(str(error))}")
            continue
        for row in rows:
            if row.get("kind") in _REFUSES:
                found[provider] = str(row.get("error") or "")
    return found


def _is_same(source: str, other: str) -> bool:
    """Whether two names of a configuration's source mean the same file. The daemon's is absolute."""
    try:
        return source == other or os.path.samefile(source, other)
    except (OSError, ValueError):
        return False
