"""`modelmesh.callback.v1`: a Python function, called with each entry.

Owns: which entries are tried again. A function that hangs is ended with its process, and one that ends its process is
tried again in a new one. Must never: run the function in the daemon.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from meshd.connectors.observability.lines import as_json
from meshd.connectors.observability.process.child_process import ChildProcess, Ended, TooLong
from meshd.host.plain_text import one_line
from meshd.sdk.observability import Entry, Sink

_CHILD = "meshd.connectors.observability.callback.child"


class CallbackSink(Sink):
    """Settings: `function`, `timeout`, `restarts`, `environment`."""

    quiet: ClassVar[bool] = False

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._function = str(settings["function"])
        self._timeout = float(settings.get("timeout") or 5.0)
        self._tries = 1 + int(settings.get("restarts", 1))
        self._process = _process(settings)
        self._dropped = 0
        self._error = ""

    @classmethod
    def fault(cls, settings: Mapping[str, Any], within: float) -> str:
        """As a start of its process finds it, which imports the function."""
        process = _process(settings)
        try:
            process.start(within)
        except TimeoutError:  # a slow import; the sink waits longer
            return ""
        except OSError as absent:
            return one_line(f"cannot call {settings['function']}: {absent}")
        process.close()
        return ""

    def write(self, entry: Entry) -> None:
        """Raises OSError if there is no process that has the function."""
        message = as_json(entry)
        for _ in range(self._tries):
            try:
                self._process.start()
            except OSError as absent:
                raise OSError(f"{self._function} cannot be called: {absent}") from None
            try:
                error = one_line(self._process.exchange(message, self._timeout)["error"])
            except Ended as ended:
                self._error = f"{self._function}: {ended}"
                self._process.end()
                if isinstance(ended, TooLong):  # it would hang again
                    break
                continue
            self._error = f"{self._function} failed: {error}" if error else ""
            self._dropped += bool(error)
            return
        self._dropped += 1

    def status(self) -> Mapping[str, Any]:
        return {"dropped": self._dropped, "error": self._error}

    def close(self) -> None:
        self._process.close()


def _process(settings: Mapping[str, Any]) -> ChildProcess:
    return ChildProcess(_CHILD, str(settings["function"]), environment=settings.get("environment") or ())
