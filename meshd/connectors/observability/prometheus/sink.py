"""`modelmesh.prometheus.v1`: metrics in a file for node_exporter, or at a port of this machine.

Owns: the file or the port. Must never: show metrics at a port to a program without the token.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from meshd.connectors.observability.prometheus.endpoint import Endpoint
from meshd.connectors.observability.prometheus.exposition import text_of
from meshd.host.replaced_file import replace_file
from meshd.sdk.observability import Entry, Sink


class PrometheusSink(Sink):
    """Settings: `path` and `mode`, or `port` and `token`."""

    quiet: ClassVar[bool] = False
    metrics: ClassVar[bool] = True
    only_metrics: ClassVar[bool] = True

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._path = Path(os.path.expanduser(settings["path"])) if settings.get("path") else None
        self._mode = int(settings.get("mode") or 0o600)
        self._endpoint: Endpoint | None = None
        if self._path is None:
            self._endpoint = Endpoint(int(settings["port"]), str(settings["token"]))

    def write(self, entry: Entry) -> None:
        text = text_of(entry.fields["reading"].families).encode()
        if self._endpoint is not None:
            self._endpoint.text = text
        elif self._path is not None:
            replace_file(self._path, text, self._mode)

    def close(self) -> None:
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None
