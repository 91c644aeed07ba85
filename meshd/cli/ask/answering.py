"""What commands that ask a model show besides its answer: a spinner while they wait, and which model answered.

Owns: the spinner, and the line on stderr after an answer.
Must never: write to stdout, or ask anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from meshd.cli.screen import output as out
from meshd.host.plain_text import one_line
from modelmesh.wording import counted

_DIM, _RESET = "\x1b[2m", "\x1b[0m"
_PATIENCE = 0.3  # s before a spinner is worth showing


def footer(mesh: Mapping[str, Any], model: str | None, notes: Iterable[str], total: float) -> None:
    """One dim line on stderr: which model answered, and how long it took. notes: about the answer; empty ones are left
    out."""
    attempts = mesh.get("attempts") or ()
    tries = len(attempts) if isinstance(attempts, list | tuple) else int(attempts)
    parts = [
        mesh.get("model") or model,
        mesh.get("provider"),
        *notes,
        f"total {out.seconds(total)}",
        counted(tries, "attempt") if tries else None,
        out.usd(mesh["cost"]) if isinstance(mesh.get("cost"), int | float) and mesh["cost"] else None,
    ]
    line = one_line(" · ".join(str(part) for part in parts if part))
    sys.stderr.write(f"{_DIM}{line}{_RESET}\n" if _coloured() else f"{line}\n")
    sys.stderr.flush()


def _coloured() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


@contextmanager
def spinner(waits_for: str) -> Iterator[Any]:
    """Show a spinner on a terminal until the returned event is set. A thread loads rich and draws it, so that neither
    delays the answer."""
    import threading

    come = threading.Event()
    if not (sys.stderr.isatty() and sys.stdout.isatty()):
        yield come
        return
    gone = threading.Event()

    def draw() -> None:
        if not come.wait(_PATIENCE):
            with out.console(stderr=True).status(waits_for):
                come.wait()
        gone.set()

    class Come:
        def set(self) -> None:
            come.set()
            gone.wait(1.0)  # the spinner must be cleared before the answer is written

    threading.Thread(target=draw, daemon=True).start()
    handle = Come()
    try:
        yield handle
    finally:
        handle.set()
