"""`modelmesh.json-log.v1`: JSON lines on standard output or standard error, as collectors of containers read them.

Must never: write half of a line before another one; a pipe that is full makes this sink wait, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from meshd.connectors.observability.lines import as_json
from meshd.sdk.observability import Entry, Sink

_DESCRIPTORS = {"stdout": 1, "stderr": 2}


class JsonLogSink(Sink):
    """Settings: `to`."""

    quiet: ClassVar[bool] = False

    def __init__(self, settings: Mapping[str, Any]) -> None:
        # Not Python's own stream: a thread that waits in it at the end of the process would hold its lock.
        self._descriptor = _DESCRIPTORS[str(settings.get("to") or "stdout")]

    def write(self, entry: Entry) -> None:
        view = memoryview(as_json(entry) + b"\n")
        while view:
            view = view[os.write(self._descriptor, view) :]
