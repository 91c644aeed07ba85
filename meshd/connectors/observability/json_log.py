"""`modelmesh.json-log.v1`: JSON lines on standard output or standard error, as container log collectors read them.

Must never: write a line into the middle of another. A full pipe makes this sink wait, and nothing else.
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
        # Not Python's own stream: at exit, a thread that waits in it would hold its lock.
        self._descriptor = _DESCRIPTORS[str(settings.get("to") or "stdout")]

    def write(self, entry: Entry) -> None:
        view = memoryview(as_json(entry) + b"\n")
        while view:
            view = view[os.write(self._descriptor, view) :]
