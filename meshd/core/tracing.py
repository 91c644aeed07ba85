"""The trace that a request belongs to, by W3C's Trace Context (https://www.w3.org/TR/trace-context).

Owns: reading `traceparent` and `tracestate`, and the decision which requests are traced.
Must never: trust a header beyond its form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import getrandbits

import msgspec

from meshd.sdk.calls.tracing import CallTrace, new_span_id

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")
_STATE = re.compile(r"[\x20-\x7e]{1,512}\Z")
_NONE = re.compile(r"0+\Z")


class Trace(msgspec.Struct, frozen=True, gc=False):
    """span_id: of the request. parent_id: of the app's span; "": it is the first of its trace. state: `tracestate`."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    state: str = ""
    sampled: bool = True


class Sampling(msgspec.Struct, frozen=True):
    """ratio: of new traces. follow: an app that says whether its trace is recorded decides for the mesh too. sent_on:
    the providers that are told of traces; `*`: all. on: whether any of this is wanted."""

    on: bool = False
    ratio: float = 1.0
    follow: bool = True
    sent_on: frozenset[str] = frozenset()

    def calls(self, trace: Trace, provider: str, began: float) -> CallTrace | None:
        """For an attempt at the provider; None if its calls are not recorded, and it is told of no trace. began: by
        `meshd.host.clock`."""
        told = self.sent_on
        sent_on = bool(told) and (provider in told or "*" in told)
        if not (trace.sampled or sent_on):
            return None
        return CallTrace(trace.trace_id, trace.state, trace.sampled, sent_on, began)

    def begin(self, headers: Mapping[str, str]) -> Trace:
        """headers: the app's, by lower-case name."""
        parent = headers.get("traceparent")
        given = _parent(parent) if parent else None
        if given is None:
            ids = f"{getrandbits(192):048x}"
            trace_id, span_id = ids[:32], ids[32:]
            return Trace(trace_id, span_id, sampled=self.ratio >= 1.0 or self._takes(trace_id))
        trace_id, parent_id, flag = given
        state = headers.get("tracestate", "")
        return Trace(
            trace_id,
            new_span_id(),
            parent_id,
            state if _STATE.match(state) else "",
            flag if self.follow else self._takes(trace_id),
        )

    def _takes(self, trace_id: str) -> bool:
        """The same for every part of a trace."""
        return int(trace_id[16:], 16) < self.ratio * 2**64


def _parent(text: str) -> tuple[str, str, bool] | None:
    """(trace id, span id, sampled); None if it is not valid."""
    found = _PARENT.match(text.strip()) if len(text) <= 256 else None
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or _NONE.match(trace_id) or _NONE.match(span_id):
        return None
    return trace_id, span_id, bool(int(flags, 16) & 1)
