"""HTTP calls of a traced attempt: each is recorded, and passes the trace on to the provider if that is allowed.

Must never: change anything else that is sent.
"""

from __future__ import annotations

from yarl import URL

from meshd.host import clock
from meshd.net.answers import Answer
from meshd.sdk.calls.tracing import MOST_CALLS, CallTrace, HttpCall, new_span_id


def begun(trace: CallTrace, target: URL, head: bytes, now: float) -> HttpCall:
    """The record of a call that begins now, by `meshd.host.clock`."""
    method = "POST" if head.startswith(b"POST ") else head.partition(b" ")[0].decode()
    span_id = new_span_id() if trace.sent_on else ""
    call = HttpCall(span_id, method, target.host or "", target.port or 0, now)
    calls = trace.calls
    if trace.sampled and len(calls) < MOST_CALLS:
        trace.calls = (*calls, call) if calls else (call,)
    return call


def answered(call: HttpCall, answer: Answer) -> None:
    call.status = answer.status
    call.ended = clock.now()


def failed(call: HttpCall, error: BaseException) -> None:
    call.error = type(error).__name__
    call.ended = clock.now()
