"""Makes entries from events, outcomes, log records and statistics: one line for people, and all fields.

Owns: what a request record holds (who, what, how it went; `content.py` has prompts and answers), and the wording.
Must never: make an unredacted entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from meshd.core.events.records import Event, Outcome
from meshd.core.money import dollars
from meshd.core.seconds import from_nanos, to_nanos
from meshd.core.text.durations import format_duration
from meshd.core.tracing import with_ids
from meshd.messages import LogWritten
from meshd.sdk.observability import Entry
from meshd.telemetry.statistics.measures import USAGE, Measure, in_usd
from meshd.telemetry.text.redaction import Redactor
from modelmesh.wording import counted


def event_entry(event: Event) -> Entry:
    """For an event that was redacted already."""
    fields: dict[str, Any] = {"type": event.type, **event.ids}
    if event.reason:
        fields["reason"] = event.reason
    if event.cause is not None:
        fields["cause"] = str(event.cause)
    if event.changed:
        fields["changed"] = event.changed
    until = event.changed.get("until")
    rests = f" (for {format_duration(until - from_nanos(event.at_ns))})" if isinstance(until, int | float) else ""
    concerned = " ".join(f"{key}={value}" for key, value in event.ids.items())
    message = (
        event.type + (f" {concerned}" if concerned else "") + (f": {event.reason}" if event.reason else "") + rests
    )
    return Entry("event", event.at_ns, event.severity, message, fields)


def severity_of_request(status: int) -> str:
    """Of its record: an answered request is routine; a failed one belongs in the system's journal."""
    return "warning" if status >= 500 else "debug"


def request_entry(outcome: Outcome, content: Mapping[str, Any] = MappingProxyType({})) -> Entry:
    """Of an outcome that was redacted. content: fields of the request's content, redacted."""
    fields: dict[str, Any] = {
        "request": outcome.request_id,
        "operation": outcome.operation,
        "asked": outcome.asked,
        "status": outcome.status,
        "delivery": "streaming" if outcome.stream else "synchronous",
        "app": outcome.app,
        "uid": outcome.uid,
        "pid": outcome.pid,
        **{each.of_request: _shown(each, getattr(outcome, each.of_request)) for each in USAGE},
        "queue_time": outcome.queue_time,
        "routing_time": outcome.routing_time,
        "first_token_time": outcome.first_token_time,
        "total_time": outcome.total_time,
    }
    if outcome.units:
        fields["units"] = outcome.units
    if outcome.bytes_in or outcome.bytes_out:
        fields |= {"bytes_in": outcome.bytes_in, "bytes_out": outcome.bytes_out}
    if outcome.trace is not None and outcome.trace.sampled:
        trace = with_ids(outcome.trace, outcome.request_id, outcome.at)
        fields |= {"trace_id": trace.trace_id, "span_id": trace.span_id}
    if outcome.hedges:
        fields["hedges"] = outcome.hedges
    if outcome.cached:
        fields["cached"] = True
    for name in ("pool", "model", "provider", "account", "unit", "exe", "label", "error"):
        value = getattr(outcome, name)
        if value:
            fields[name] = value
    if outcome.attempts:
        fields["attempts"] = [
            {
                "model": each.model,
                "provider": each.provider,
                "ok": each.ok,
                "reason": each.reason,
                "message": each.message,
                "status": each.status,
                "duration": each.duration,
                **({"cost": dollars(each.cost)} if each.cost else {}),
                **({"units": each.units} if each.units else {}),
                **({"hedge": True} if each.hedge else {}),
            }
            for each in outcome.attempts
        ]
    fields |= content
    who = outcome.app or f"uid {outcome.uid}"
    to = f" → {outcome.model}" if outcome.model else ""
    message = f"{outcome.status} {outcome.operation} {fields['asked']}{to} for {who}, {amounts(outcome)}"
    if "error" in fields:
        message += f": {fields['error']}"
    return Entry("request", to_nanos(outcome.at), severity_of_request(outcome.status), message, fields)


def amounts(outcome: Outcome) -> str:
    """What a request took, as the end of its line."""
    return f"{outcome.tokens_in}+{outcome.tokens_out} tokens, {outcome.total_time * 1e3:.0f} ms"


def _shown(measure: Measure, count: int) -> float | int:
    return dollars(count) if measure.unit == "nano_usd" else count


def log_entry(record: LogWritten, redactor: Redactor) -> Entry:
    fields: dict[str, Any] = {"logger": record.logger}
    if record.traceback:
        fields["traceback"] = redactor.text(record.traceback)
    return Entry("log", record.at_ns, record.severity, redactor.text(record.text), fields)


def statistics_entry(row: dict[str, Any], at_ns: int) -> Entry:
    requests = counted(row["requests_total"], "request")
    message = f"{row['scope']} {row['name']}: {requests}, {row['requests_failed']} failed"
    return Entry("statistics", at_ns, "debug", message, in_usd(row))
