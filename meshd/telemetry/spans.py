"""The spans of an ended request: itself, its attempts, and their HTTP calls.

Owns: their names and attributes, by OpenTelemetry's conventions for generative AI where there are some
(https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-spans.md).
Must never: get an outcome that is not redacted, or read a prompt or an answer (`content.py` does).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from meshd.core.events.records import Attempt, Outcome
from meshd.core.money import dollars
from meshd.core.seconds import to_nanos
from meshd.core.tracing import Trace, with_ids
from meshd.sdk.calls.tracing import HttpCall
from meshd.sdk.observability import Entry
from meshd.sdk.tracing import CLIENT, INTERNAL, SERVER, Attribute, Shared, Span
from meshd.telemetry.metrics.names import Names

NOTHING_SAID: Mapping[str, str] = {}
_BYTES = 1500
"""Of memory that a span takes, about."""


def severity_of(status: int) -> str:
    """Of the trace of a request that ended with this status."""
    return "error" if status >= 500 else "warning" if status >= 400 else "info"


def trace_entry(
    outcome: Outcome, trace: Trace, names: Names, ahead: float, said: Mapping[str, str] = NOTHING_SAID
) -> tuple[Entry, int]:
    """The entry, and how many bytes it takes. said, ahead: see `spans_of`."""
    spans = tuple(spans_of(outcome, trace, names, ahead, said))
    at, size = to_nanos(outcome.at), _BYTES * len(spans) + sum(map(len, said.values()))
    return Entry("trace", at, severity_of(outcome.status), spans[0].name, {"spans": spans}), size


def spans_of(
    outcome: Outcome, trace: Trace, names: Names, ahead: float, said: Mapping[str, str] = NOTHING_SAID
) -> Iterator[Span]:
    """The request's first. ahead: how far UTC is ahead of the clock by which they are timed. said: attributes with
    what was asked and answered."""
    trace = with_ids(trace, outcome.request_id, outcome.at)
    start, end = times(outcome.arrived, outcome.total_time, ahead)
    operation = names.operation(outcome.operation)
    attributes: dict[str, Attribute] = {
        "meshd.request": outcome.request_id,
        "meshd.routing.time": outcome.routing_time,
        "meshd.cost": dollars(outcome.cost),
    }
    if outcome.tokens_in or outcome.tokens_out:
        attributes["gen_ai.usage.input_tokens"] = outcome.tokens_in
        attributes["gen_ai.usage.output_tokens"] = outcome.tokens_out
    if outcome.queue_time:
        attributes["meshd.queue.time"] = outcome.queue_time
    if outcome.first_token_time is not None:
        attributes["meshd.first_token.time"] = outcome.first_token_time
    if outcome.cached:
        attributes["meshd.cached"] = True
    attributes.update(said)
    model, failed = names.model(outcome.model), outcome.status >= 400
    shared = _of_requests(
        operation,
        outcome.status,
        outcome.app,
        outcome.asked,
        model,
        outcome.pool,
        outcome.model,
        outcome.user,
        outcome.label,
    )
    yield Span(
        trace.trace_id,
        trace.span_id,
        trace.parent_id,
        f"{operation} {outcome.asked or outcome.pool}",
        SERVER,
        start,
        end,
        attributes,
        outcome.status >= 500,  # a 4xx of a server is the caller's
        outcome.error if failed else "",
        trace.state,
        bool(trace.parent_id),
        shared,
    )
    ids = _ids_after(trace.span_id)
    for attempt in outcome.attempts:
        if attempt.began:
            yield from _spans_of_attempt(attempt, operation, ahead, trace, names, ids)


def times(began: float, lasted: float, ahead: float) -> tuple[int, int]:
    """When a span began and ended, in UTC."""
    start = to_nanos(began + ahead)
    return start, start + to_nanos(lasted)


def _ids_after(span_id: str) -> Iterator[str]:
    """Those of the spans below. The same each time, so that what is sent twice has them too."""
    number = int(span_id, 16)
    while True:
        number = (number + 1) % 2**64
        yield f"{number or 1:016x}"


def _spans_of_attempt(
    attempt: Attempt, operation: str, ahead: float, trace: Trace, names: Names, ids: Iterator[str]
) -> Iterator[Span]:
    model = names.model(attempt.model)
    start, end = times(attempt.began, attempt.duration, ahead)
    attributes: dict[str, Attribute] = {
        "gen_ai.usage.input_tokens": attempt.tokens_in,
        "gen_ai.usage.output_tokens": attempt.tokens_out,
        "meshd.cost": dollars(attempt.cost),
    }
    if attempt.hedge:
        attributes["meshd.hedge"] = True
    if not attempt.ok:
        attributes["error.type"] = attempt.reason or "_OTHER"
    span_id = next(ids)
    yield Span(
        trace.trace_id,
        span_id,
        trace.span_id,
        f"{operation} {model}",
        INTERNAL,
        start,
        end,
        attributes,
        not attempt.ok,
        "" if attempt.ok else attempt.message,
        trace.state,
        shared=_of_attempts(operation, names.provider(attempt.provider), model, attempt.provider, attempt.model),
    )
    for call in attempt.calls:
        yield _span_of_call(call, call.span_id or next(ids), span_id, ahead, trace)


def _span_of_call(call: HttpCall, span_id: str, parent: str, ahead: float, trace: Trace) -> Span:
    failed = bool(call.error) or call.status >= 400
    return Span(
        trace.trace_id,
        span_id,
        parent,
        call.method,
        CLIENT,
        to_nanos(call.began + ahead),
        to_nanos(max(call.ended, call.began) + ahead),
        {},
        failed,
        state=trace.state,
        shared=_of_calls(call.method, call.host, call.port, call.status, call.error),
    )


# -- attributes that repeat -----------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _of_requests(
    operation: str, status: int, app: str, asked: str, upstream: str, pool: str, model: str, user: str, label: str
) -> Shared:
    return Shared(
        {
            "gen_ai.operation.name": operation,
            "gen_ai.request.model": asked,
            "gen_ai.response.model": upstream,
            "http.response.status_code": status,
            "error.type": str(status) if status >= 400 else "",
            "meshd.app": app,
            "meshd.user": user,
            "meshd.label": label,
            "meshd.pool": pool,
            "meshd.model": model,
        }
    )


@lru_cache(maxsize=1024)
def _of_attempts(operation: str, known: str, upstream: str, provider: str, model: str) -> Shared:
    return Shared(
        {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": known,
            "gen_ai.request.model": upstream,
            "meshd.provider": provider,
            "meshd.model": model,
        }
    )


@lru_cache(maxsize=1024)
def _of_calls(method: str, host: str, port: int, status: int, error: str) -> Shared:
    return Shared(
        {
            "http.request.method": method,
            "server.address": host,
            "server.port": port or "",
            "http.response.status_code": status or "",
            "error.type": error or (str(status) if status >= 400 else ""),
        }
    )
