"""Sends the daemon's Python `logging` to the same sinks as everything else.

Owns: the handler on the root logger. Before the telemetry actor starts, and after it ends, records go to standard
error, so that a daemon that cannot start says why.
Must never: raise, wait, or pass a library's minor records (only warnings and above, except from `meshd`).
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

from meshd.core.seconds import to_nanos
from meshd.messages import LogWritten
from meshd.sdk.observability import Sink
from meshd.telemetry.records import log_entry
from meshd.telemetry.text.redaction import Redactor

_SEVERITIES = ((50, "critical"), (40, "error"), (30, "warning"), (20, "info"))


class LogBridge(logging.Handler):
    """`install()` first, `connect(tell)` when the telemetry actor runs, `disconnect()` before it stops."""

    def __init__(self, sink: Sink | None = None) -> None:
        super().__init__()
        self._tell: Callable[[LogWritten], None] | None = None
        self._sink = sink
        self._redactor = Redactor()

    def install(self, level: str = "info") -> LogBridge:
        root = logging.getLogger()
        root.handlers[:] = [handler for handler in root.handlers if not isinstance(handler, LogBridge)] + [self]
        root.setLevel(logging.WARNING)
        set_log_level(level)
        logging.captureWarnings(True)
        return self

    def connect(self, tell: Callable[[LogWritten], None]) -> None:
        """tell: called in the thread that logs; it must not wait."""
        self._tell = tell

    def disconnect(self) -> None:
        self._tell = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            written, tell = _written(record), self._tell
            # A sink that logs about its own writing would cause an endless loop.
            if tell is not None and not threading.current_thread().name.startswith("meshd-sink-"):
                tell(written)
            else:
                self._print(written)
        except Exception:
            print(f"meshd: a log record was lost at {time.strftime('%X')}", file=sys.stderr)

    def _print(self, written: LogWritten) -> None:
        if self._sink is None:
            from meshd.connectors.observability.console import ConsoleSink

            self._sink = ConsoleSink()
        self._sink.write(log_entry(written, self._redactor))
        self._sink.flush()


def set_log_level(level: str) -> None:
    logging.getLogger("meshd").setLevel(level.upper())


def _written(record: logging.LogRecord) -> LogWritten:
    trace = ""
    if record.exc_info and record.exc_info[0] is not None:
        trace = "".join(traceback.format_exception(*record.exc_info))
    severity = next((name for least, name in _SEVERITIES if record.levelno >= least), "debug")
    return LogWritten(to_nanos(record.created), severity, record.name, record.getMessage(), trace)
