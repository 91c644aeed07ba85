"""Exports of agents, in OTLP's JSON and by OpenTelemetry's own messages."""

from __future__ import annotations

from typing import Any


def claude_event(session: str = "s1", **changed: Any) -> dict[str, Any]:
    """The attributes of an `api_request` of Claude Code."""
    return {
        "event.name": "api_request",
        "session.id": session,
        "model": "claude-opus-4-5",
        "cost_usd": 0.25,
        "input_tokens": 10,
        "output_tokens": 7,
        "cache_read_tokens": 100,
        "cache_creation_tokens": 20,
        "user.email": "ann@example.com",
    } | changed


def codex_event(session: str = "c1", **changed: Any) -> dict[str, Any]:
    return {
        "event.name": "codex.sse_event",
        "event.kind": "response.completed",
        "conversation.id": session,
        "model": "gpt-5-codex",
        "input_token_count": "120",
        "output_token_count": "8",
        "cached_token_count": "100",
    } | changed


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def logs(*events: dict[str, Any], body: str = "", **resource: str) -> dict[str, Any]:
    """A request of `/v1/logs`, as JSON."""
    records = [
        {"timeUnixNano": "1790000000000000000", "body": {"stringValue": body}, "attributes": attributes(event)}
        for event in events
    ]
    resources = {"attributes": attributes({"service.name": "agent", **resource})}
    scopes = [{"scope": {"name": "com.example.events"}, "logRecords": records}]
    return {"resourceLogs": [{"resource": resources, "scopeLogs": scopes}]}


def sums(name: str, points: list[tuple[Any, dict[str, Any]]], temporality: int = 1, began: int = 0) -> dict[str, Any]:
    """A request of `/v1/metrics`, as JSON. temporality: 1, delta; 2, cumulative. began: ns."""
    found = [
        {"asDouble": value, "startTimeUnixNano": str(began), "attributes": attributes(given)} for value, given in points
    ]
    metric = {"name": name, "sum": {"dataPoints": found, "aggregationTemporality": temporality, "isMonotonic": True}}
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
