"""The trace that a request belongs to, by W3C's Trace Context (https://www.w3.org/TR/trace-context)."""

from __future__ import annotations

import msgspec


class Trace(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """span_id: of the request. parent_id: of the app's span; "": it is the first of its trace. state: `tracestate`."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    state: str = ""
    sampled: bool = True
