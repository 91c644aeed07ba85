"""The spans of an ended request: itself, its attempts, and their HTTP calls.

Owns: their names and attributes, by OpenTelemetry's conventions for generative AI where there are some
(https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-spans.md).
Must never: hold a prompt or an answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshd.core.events.records import Attempt, Outcome
from meshd.core.money import dollars
from meshd.core.tracing import Trace
from meshd.host import clock
from meshd.sdk.calls.tracing import HttpCall, new_span_id
from meshd.sdk.observability import Entry
from meshd.sdk.tracing import CLIENT, INTERNAL, SERVER, Attribute, Span
from meshd.telemetry.metrics.names import Names
from meshd.telemetry.redaction import Redactor

_NS = 1_000_000_000
_BYTES = 1500
"""Of memory that a span takes, about."""


def severity_of(outcome: Outcome) -> str:
    return "error" if outcome.status >= 500 else "warning" if outcome.status >= 400 else "info"


def trace_entry(outcome: Outcome, trace: Trace, names: Names, redactor: Redactor) -> tuple[Entry, int]:
    """The entry, and how many bytes it takes."""
    spans = tuple(spans_of(outcome, trace, names, redactor))
    at = int(outcome.at * _NS)
    return Entry("trace", at, severity_of(outcome), spans[0].name, {"spans": spans}), _BYTES * len(spans)


def spans_of(outcome: Outcome, trace: Trace, names: Names, redactor: Redactor) -> Iterator[Span]:
    """The request's first. They are timed by one clock, whose distance from UTC is looked at now."""
    ahead = clock.ahead()
    start = int((outcome.arrived + ahead) * _NS)
    operation = names.operation(outcome.operation)
    attributes: dict[str, Attribute] = {
        "gen_ai.operation.name": operation,
        "http.response.status_code": outcome.status,
        "meshd.request": outcome.request_id,
        "meshd.app": outcome.app,
        "meshd.routing.time": outcome.routing_time,
    }
    told: tuple[tuple[str, Attribute], ...] = (
        ("gen_ai.request.model", outcome.asked),
        ("gen_ai.response.model", names.model(outcome.model)),
        ("meshd.pool", outcome.pool),
        ("meshd.model", outcome.model),
        ("meshd.user", outcome.user),
        ("meshd.label", outcome.label),
        ("gen_ai.usage.input_tokens", outcome.tokens_in),
        ("gen_ai.usage.output_tokens", outcome.tokens_out),
        ("meshd.cost", dollars(outcome.cost)),
        ("meshd.queue.time", outcome.queue_time),
    )
    for name, value in told:
        if value:
            attributes[name] = value
    if outcome.first_token_time is not None:
        attributes["meshd.first_token.time"] = outcome.first_token_time
    if outcome.cached:
        attributes["meshd.cached"] = True
    failed = outcome.status >= 400
    if failed:
        attributes["error.type"] = str(outcome.status)
    yield Span(
        trace.trace_id,
        trace.span_id,
        trace.parent_id,
        f"{operation} {outcome.asked or outcome.pool}",
        SERVER,
        start,
        start + int(outcome.total_time * _NS),
        attributes,
        outcome.status >= 500,  # a 4xx of a server is the caller's
        redactor.text(outcome.error) if failed and outcome.error else "",
        trace.state,
        bool(trace.parent_id),
    )
    for attempt in outcome.attempts:
        if attempt.began:
            yield from _spans_of_attempt(attempt, operation, ahead, trace, names, redactor)


def _spans_of_attempt(
    attempt: Attempt, operation: str, ahead: float, trace: Trace, names: Names, redactor: Redactor
) -> Iterator[Span]:
    model, start = names.model(attempt.model), int((attempt.began + ahead) * _NS)
    attributes: dict[str, Attribute] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": names.provider(attempt.provider),
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": attempt.tokens_in,
        "gen_ai.usage.output_tokens": attempt.tokens_out,
        "meshd.provider": attempt.provider,
        "meshd.model": attempt.model,
        "meshd.cost": dollars(attempt.cost),
    }
    if attempt.hedge:
        attributes["meshd.hedge"] = True
    if not attempt.ok:
        attributes["error.type"] = attempt.reason or "_OTHER"
    span_id = attempt.span or new_span_id()
    message = redactor.text(attempt.message) if not attempt.ok and attempt.message else ""
    yield Span(
        trace.trace_id,
        span_id,
        trace.span_id,
        f"{operation} {model}",
        INTERNAL,
        start,
        start + int(attempt.duration * _NS),
        attributes,
        not attempt.ok,
        message,
        trace.state,
    )
    for call in attempt.calls:
        yield _span_of_call(call, span_id, ahead, trace)


def _span_of_call(call: HttpCall, parent: str, ahead: float, trace: Trace) -> Span:
    attributes: dict[str, Attribute] = {"http.request.method": call.method, "server.address": call.host}
    if call.port:
        attributes["server.port"] = call.port
    if call.status:
        attributes["http.response.status_code"] = call.status
    failed = bool(call.error) or call.status >= 400
    if failed:
        attributes["error.type"] = call.error or str(call.status)
    return Span(
        trace.trace_id,
        call.span_id,
        parent,
        call.method,
        CLIENT,
        int((call.began + ahead) * _NS),
        int((max(call.ended, call.began) + ahead) * _NS),
        attributes,
        failed,
        state=trace.state,
    )
