"""The trace that a request belongs to, by W3C's Trace Context (https://www.w3.org/TR/trace-context)."""

from __future__ import annotations

from typing import Final

import msgspec

from meshd.core.seconds import to_nanos

_IDS: Final = 2**64
_NONE: Final = "0" * 32
"""Not a trace's id."""


class Trace(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """trace_id, span_id: hexadecimal; "": as `with_ids` gives. parent_id: of the app's span; "": it is the first
    of its trace. state: `tracestate`."""

    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    state: str = ""
    sampled: bool = True


def with_ids(trace: Trace, request_id: str, at: float) -> Trace:
    """If it has none, they are made of the request's id (32 hexadecimal digits) and the time at which it arrived (UTC
    seconds), since an app may send an id again."""
    if trace.trace_id:
        return trace
    span = (int(request_id[16:], 16) ^ to_nanos(at)) % _IDS
    trace_id = request_id if request_id != _NONE else f"{1:032x}"
    return Trace(trace_id, f"{span or 1:016x}", trace.parent_id, trace.state, trace.sampled)
