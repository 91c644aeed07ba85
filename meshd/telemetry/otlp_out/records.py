"""What both encodings of OTLP share: log records made of entries, and fixed numbers.

Owns: severities, and which field of an entry is what of a log record.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.sdk.observability import Entry
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
