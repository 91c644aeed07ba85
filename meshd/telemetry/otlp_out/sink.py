"""The daemon's side of `opentelemetry.otlp.v1`: passes batches to the process that exports.

Owns: that process, and what was dropped. Must never: encode or send anything itself: both would take the interpreter
from requests.

A batch that the receiver cannot take now is sent again by the queue, after 1 to 30 s or as the receiver asks; it may
get a part of it twice. A batch that it refuses is dropped, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from meshd.connectors.observability.process.child_process import ChildProcess, Ended
from meshd.connectors.observability.refusals import Refusals
from meshd.host import clock
from meshd.host.plain_text import one_line
from meshd.sdk.observability import Entry, NotNow, Sink
from meshd.telemetry.metrics.names import Names
from meshd.telemetry.otlp_out.batch import ENDED, MOST_POSTED, Result, Told, encode

_CHILD = "meshd.telemetry.otlp_out.child"
_ENVIRONMENT = [
    name
    for each in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir")
    for name in (each, each.upper())
]
_KINDS = 3  # traces, logs and metrics, each in posts of their own
_GROWS = 4  # times: what is posted has names, and a request's spans and record
_MORE = 5.0  # s that encoding may take


class OtlpSink(Sink):
    """Settings: `endpoint`, `headers`, `encoding`, `timeout`, `ca_file`, `resource`."""

    quiet: ClassVar[bool] = False
    buffered: ClassVar[bool] = True
    metrics: ClassVar[bool] = True
    traces: ClassVar[bool] = True
    whole_requests: ClassVar[bool] = True
    batch: ClassVar[int] = 2000  # each takes the interpreter from requests several times
    linger: ClassVar[float] = 1.0
    lasting: ClassVar[bool] = True

    @classmethod
    def file_name(cls, part: str, settings: Mapping[str, Any]) -> str:
        return ""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Raises OSError if there is no such process."""
        self._timeout = float(settings.get("timeout") or 10.0)  # of a post
        self._process = ChildProcess(_CHILD, environment=_ENVIRONMENT, first=encode(dict(settings)))
        self._process.start()
        self._names = Names()
        self._dropped = 0
        self._error = ""
        self._refusals = Refusals("opentelemetry.otlp")
        self._requests = 0
        self._ended: list[msgspec.Raw] = []
        self._entries: list[msgspec.Raw] = []
        self._reading: msgspec.Raw | None = None

    def write(self, entry: Entry) -> None:
        try:
            if entry.stream == ENDED:
                self._names = entry.fields["names"]
                self._requests += entry.fields["count"]
                self._ended.append(msgspec.Raw(entry.fields["ended"]))
            elif entry.stream == "metrics":
                self._reading = msgspec.Raw(encode(entry.fields["reading"]))
            else:
                self._entries.append(msgspec.Raw(encode(entry)))
        except (TypeError, ValueError, OverflowError) as error:  # it would be the same later
            self._dropped += 1
            self._error = one_line(f"an entry cannot be sent: {error}")

    def flush(self) -> None:
        """Raises NotNow, and OSError or Ended if the process does not do it."""
        if not (self._ended or self._entries or self._reading):
            return
        told = Told(clock.ahead(), self._names, tuple(self._ended), tuple(self._entries), self._reading)
        count = self._requests + len(self._entries)
        self._requests, self._ended, self._entries, self._reading = 0, [], [], None
        self._process.start()
        message = encode(told)
        posts = _KINDS + len(message) * _GROWS // MOST_POSTED
        try:
            said = self._process.exchange(message, posts * self._timeout + _MORE)
            if said["error"]:  # the batch is not as it should be, and would not be later
                result = Result(dropped=count, refused=str(said["error"]))
            else:
                result = msgspec.convert(said.get("found"), Result)
        except (Ended, msgspec.ValidationError):
            self._process.end()
            raise
        if result.failed:
            raise NotNow(one_line(result.failed), result.after)
        self._dropped += max(0, result.dropped)
        self._error = one_line(result.refused)
        if result.dropped > 0:
            self._refusals.told(self._error)

    def status(self) -> Mapping[str, Any]:
        return {"dropped": self._dropped, "error": self._error}

    def close(self) -> None:
        self._process.close()
