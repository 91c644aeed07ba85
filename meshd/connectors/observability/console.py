"""`modelmesh.console.v1`: lines for people, on standard error.

Colour only on a terminal, and not with NO_COLOR. Under systemd, where standard error is the journal, a line
begins with its priority, and the journal's own time is enough.
"""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Mapping
from typing import Any, ClassVar, TextIO

from meshd.connectors.observability.priorities import priority_of
from meshd.core.seconds import NANOS
from meshd.host.plain_text import harmless
from meshd.sdk.observability import Entry, Sink

_COLOURS = {"debug": "2", "info": "", "warning": "33", "error": "31", "critical": "1;31"}
_INDENT = "    "
"""Before each line of a traceback, so that no exception's text looks like an entry."""


class ConsoleSink(Sink):
    people: ClassVar[bool] = True

    def __init__(self, settings: Mapping[str, Any] | None = None, *, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._colour = self._stream.isatty() and not os.environ.get("NO_COLOR")
        self._to_journal = stream is None and bool(os.environ.get("JOURNAL_STREAM")) and not self._stream.isatty()

    def write(self, entry: Entry) -> None:
        text = entry.message
        traceback = entry.fields.get("traceback")
        if traceback:
            text += "\n" + textwrap.indent(harmless(str(traceback)).rstrip(), _INDENT)
        if self._to_journal:
            lines = "\n".join(f"<{priority_of(entry)}>{line}" for line in text.split("\n"))
        else:
            lines = f"{_clock(entry.at_ns)} {entry.severity:<8} {text}"
            colour = _COLOURS.get(entry.severity, "") if self._colour else ""
            if colour:
                lines = f"\x1b[{colour}m{lines}\x1b[0m"
        self._stream.write(lines + "\n")

    def flush(self) -> None:
        self._stream.flush()


def _clock(at_ns: int) -> str:
    seconds, rest = divmod(at_ns, NANOS)
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{rest // 1_000_000:03d}"
