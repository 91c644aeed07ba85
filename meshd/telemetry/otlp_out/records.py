"""What both encodings of OTLP share: log records made of entries, what is made of an ended request, and fixed numbers.

Owns: severities, and which field of an entry is what of a log record.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import msgspec

from meshd.sdk.observability import Entry
from meshd.sdk.tracing import Span
from meshd.telemetry import records
from meshd.telemetry.metrics.names import Names
from meshd.telemetry.otlp_out.batch import Ended
from meshd.telemetry.spans import spans_of
from modelmesh.version import VERSION

SCOPE = ("meshd", VERSION)
CUMULATIVE = 2
_SEVERITIES = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}


class Log(msgspec.Struct, frozen=True, gc=False):
    """event: the name of what happened; "" for a line of the daemon's own log."""

    at_ns: int
    severity: int
    severity_text: str
    body: str
    attributes: dict[str, Any]
    trace_id: str = ""
    span_id: str = ""
    event: str = ""


def log_of(entry: Entry) -> Log:
    fields = {f"meshd.{name}": value for name, value in entry.fields.items() if value is not None and value != ""}
    trace_id, span_id = fields.pop("meshd.trace_id", ""), fields.pop("meshd.span_id", "")
    if traceback := fields.pop("meshd.traceback", ""):
        fields["exception.stacktrace"] = traceback
    event = {"event": f"meshd.{entry.fields.get('type', 'event')}", "request": "meshd.request"}.get(entry.stream, "")
    fields["meshd.stream"] = entry.stream
    number = _SEVERITIES.get(entry.severity, 9)
    return Log(entry.at_ns, number, entry.severity, entry.message, fields, str(trace_id), str(span_id), event)


class Encoded(NamedTuple):
    """Of an ended request, for the encoding's `request`: its spans, how many, and its log record; b"": it has none."""

    spans: bytes
    span_count: int
    log: bytes


def described(ended: Ended, names: Names, ahead: float) -> tuple[list[Span], Log | None]:
    """ahead: see `spans_of`."""
    outcome, trace = ended.outcome, ended.outcome.trace
    spans = list(spans_of(outcome, trace, names, ahead, ended.said)) if ended.traced and trace is not None else []
    return spans, log_of(records.request_entry(outcome, ended.content)) if ended.logged else None


def encoded(encoding: ModuleType, spans: list[Span], log: Log | None) -> Encoded:
    """encoding: a module with `span`, `log`, and what `request` has BETWEEN two of them."""
    joined: bytes = encoding.BETWEEN.join(map(encoding.span, spans))
    return Encoded(joined, len(spans), encoding.log(log) if log is not None else b"")


class EachAlone:
    """Ended requests, each encoded by itself."""

    def __init__(self, encoding: ModuleType) -> None:
        self._encoding = encoding
        self._names = Names()

    def name_by(self, names: Names) -> None:
        """From now on."""
        self._names = names

    def encoded(self, ended: Ended, ahead: float) -> Encoded:
        """ahead: see `spans_of`."""
        return encoded(self._encoding, *described(ended, self._names, ahead))
