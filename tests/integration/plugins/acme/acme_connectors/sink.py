"""A sink: it writes events, records of requests, log lines or statistics. It may block, and it may fail."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meshd.sdk.observability import Entry, Sink


class Lines(Sink):
    quiet = False  # everything, whatever the daemon's log level
    buffered = True  # written at `flush`: if that fails, the entries come again

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._path = Path(settings["path"])
        self._lines: list[str] = []

    def write(self, entry: Entry) -> None:
        self._lines.append(f"{entry.stream} {entry.severity} {entry.message}\n")

    def flush(self) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(self._lines)
        self._lines.clear()
