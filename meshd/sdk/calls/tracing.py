"""An attempt's part of a trace: its own span, and one for each HTTP call.

Owns: `CallTrace`, which a connector fills in, and the headers of W3C's Trace Context that it sends.
Must never: hold anything of a prompt or an answer.
"""

from __future__ import annotations

from random import getrandbits
from typing import Final

import msgspec


class HttpCall(msgspec.Struct, gc=False, array_like=True):
    """One call. span_id: "" unless it is sent to the provider. began, ended: by `meshd.host.clock`; it ends with the
    head of the answer. status: 0 without an answer. error: the kind of exception."""

    span_id: str
    method: str
    host: str
    port: int
    began: float
    ended: float = 0.0
    status: int = 0
    error: str = ""


class CallTrace(msgspec.Struct, gc=False):
    """trace_id: hexadecimal. state: the app's `tracestate`. sent_on: whether the trace is passed on to the provider.
    began: by `meshd.host.clock`."""

    trace_id: str
    state: str
    sampled: bool
    sent_on: bool
    began: float
    calls: tuple[HttpCall, ...] = ()

    def headers(self, call: HttpCall) -> bytes:
        """Lines of a request's head; empty if the trace is not passed on."""
        if not self.sent_on:
            return b""
        lines = f"traceparent: {traceparent(self.trace_id, call.span_id, sampled=self.sampled)}\r\n"
        return (f"{lines}tracestate: {self.state}\r\n" if self.state else lines).encode()


MOST_CALLS: Final = 32
"""Calls of an attempt that are recorded; a service may be polled for an hour."""


def new_span_id() -> str:
    return f"{getrandbits(64) or 1:016x}"


def traceparent(trace_id: str, span_id: str, *, sampled: bool) -> str:
    return f"00-{trace_id}-{span_id}-0{int(sampled)}"
