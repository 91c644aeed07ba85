"""`modelmesh.null.v1`: a sink that discards everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.sdk.observability import Entry, Sink


class NullSink(Sink):
    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        pass

    def write(self, entry: Entry) -> None:
        pass
