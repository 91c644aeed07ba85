"""Spans of an ended request: their shape, and that nothing secret is in them."""

from __future__ import annotations

from typing import Any

from meshd.core.events.records import Attempt, Outcome
from meshd.core.tracing import Trace
from meshd.host import clock
from meshd.sdk.calls.tracing import HttpCall
from meshd.sdk.tracing import CLIENT, INTERNAL, SERVER, Span
from meshd.telemetry.metrics.names import Names
from meshd.telemetry.spans import severity_of, spans_of, trace_entry
from meshd.telemetry.text.cleaning import clean_outcome
from meshd.telemetry.text.redaction import Redactor

KEY = "sk-of-the-house-1234567890"
TRACE = Trace("a" * 32, "b" * 16, "c" * 16)
NAMES = Names({"p": "gcp.gemini"}, {"p.m": "gemini-3"})


def outcome(**changes: Any) -> Outcome:
    facts: dict[str, Any] = {
        "request_id": "ab", "at": 1.0, "operation": "chat.completions", "asked": "chat", "status": 200,
        "pool": "chat", "model": "p.m", "provider": "p", "arrived": clock.now(), "total_time": 0.5, "trace": TRACE,
    }  # fmt: skip
    return Outcome(**facts | changes)


def spans(of: Outcome) -> list[Span]:
    return list(spans_of(clean_outcome(of, Redactor([KEY])), TRACE, NAMES, 0.0))


def attempt(**changes: Any) -> Attempt:
    began = clock.now()
    call = HttpCall("e" * 16, "POST", "api.example", 443, began, began + 0.1, 200)
    return Attempt(
        **{"model": "p.m", "provider": "p", "ok": True, "duration": 0.2, "began": began,
           "calls": (call,)} | changes
    )  # fmt: skip


def test_the_three_kinds() -> None:
    request, tried, call = spans(outcome(attempts=(attempt(),)))
    assert [request.kind, tried.kind, call.kind] == [SERVER, INTERNAL, CLIENT]
    assert [request.name, tried.name, call.name] == ["chat chat", "chat gemini-3", "POST"]
    assert tried.all_attributes()["gen_ai.provider.name"] == "gcp.gemini"
    assert request.remote
    assert not tried.remote
    assert round((tried.end_ns - tried.start_ns) / 1e9, 3) == 0.2


def test_an_attempt_that_was_never_sent_has_no_span() -> None:
    assert len(spans(outcome(attempts=(attempt(began=0.0, calls=()),)))) == 1


def test_failures_are_told_without_keys() -> None:
    failed = attempt(ok=False, reason="server", message=f"bad key {KEY}", status=500)
    request, tried, _ = spans(
        outcome(status=502, asked=KEY, app=KEY, label=KEY, error=f"it failed with {KEY}", attempts=(failed,))
    )
    assert (request.failed, tried.failed) == (True, True)
    assert (request.all_attributes()["error.type"], tried.all_attributes()["error.type"]) == ("502", "server")
    assert "it failed with" in request.message
    assert KEY not in repr((request, tried))


def test_an_apps_own_error_is_no_failure_of_the_mesh() -> None:
    (request,) = spans(outcome(status=404, error="no such model"))
    assert not request.failed
    assert request.all_attributes()["error.type"] == "404"


def test_severities() -> None:
    assert [severity_of(status) for status in (200, 499, 503)] == ["info", "warning", "error"]
    entry, size = trace_entry(outcome(status=503), TRACE, NAMES, 0.0)
    assert (entry.stream, entry.severity) == ("trace", "error")
    assert size > 1000


def test_ids_are_the_same_where_spans_are_made_twice() -> None:
    untold = HttpCall("", "POST", "api.example", 443, 1.0, 2.0, 200)
    of = outcome(attempts=(attempt(calls=(untold, untold)), attempt()))
    first, again = ([span.span_id for span in spans(of)] for _ in range(2))
    assert first == again
    assert len(set(first)) == len(first) == 6
    assert first[-1] == "e" * 16, "the provider was told this one"
    parents = [span.parent_id for span in spans(of)]
    assert parents == [TRACE.parent_id, TRACE.span_id, first[1], first[1], TRACE.span_id, first[4]]
