"""OTLP as JSON: the same messages as `protobuf.py` writes. Ids are hexadecimal, 64-bit numbers are texts.

Must never: keep anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from meshd.sdk.metrics import Distribution, Family, Reading
from meshd.sdk.tracing import Span
from meshd.telemetry.otlp_out.records import CUMULATIVE, SCOPE, Log

CONTENT_TYPE = "application/json"
BETWEEN = b","
_encode = msgspec.json.Encoder().encode


def _any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": _double(value)}
    if isinstance(value, Mapping):
        return {"kvlistValue": {"values": _attributes(value)}}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_any_value(each) for each in value]}}
    return {"stringValue": str(value)}


def _double(value: float) -> float | str:
    """JSON has no such numbers; protobuf's mapping has names for them."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": str(key), "value": _any_value(value)} for key, value in attributes.items()]


def span(each: Span) -> bytes:
    found: dict[str, Any] = {
        "traceId": each.trace_id,
        "spanId": each.span_id,
        "name": each.name,
        "kind": each.kind,
        "startTimeUnixNano": str(each.start_ns),
        "endTimeUnixNano": str(each.end_ns),
        "attributes": _attributes(each.all_attributes()),
        "flags": 0x101 | (0x200 if each.remote else 0),
    }
    if each.parent_id:
        found["parentSpanId"] = each.parent_id
    if each.state:
        found["traceState"] = each.state
    status = ({"message": each.message} if each.message else {}) | ({"code": 2} if each.failed else {})
    return _encode(found | ({"status": status} if status else {}))


def log(each: Log) -> bytes:
    found: dict[str, Any] = {
        "timeUnixNano": str(each.at_ns),
        "observedTimeUnixNano": str(each.at_ns),
        "severityNumber": each.severity,
        "severityText": each.severity_text,
        "body": {"stringValue": each.body},
        "attributes": _attributes(each.attributes),
    }
    named = {"traceId": each.trace_id, "spanId": each.span_id, "eventName": each.event}
    return _encode(found | {name: value for name, value in named.items() if value})


def metric(family: Family, reading: Reading) -> bytes:
    points = [_point(family, labels, value, reading) for labels, value in family.rows]
    told: dict[str, Any] = {"dataPoints": points}
    if family.kind != "gauge":
        told["aggregationTemporality"] = CUMULATIVE
    if family.kind == "counter":
        told["isMonotonic"] = True
    kind = {"gauge": "gauge", "counter": "sum", "histogram": "histogram"}[family.kind]
    return _encode({"name": family.name, "description": family.help, "unit": family.unit, kind: told})


def _point(family: Family, labels: tuple[str, ...], value: Any, reading: Reading) -> dict[str, Any]:
    found: dict[str, Any] = {
        "attributes": _attributes({name: text for name, text in zip(family.labels, labels, strict=True) if text}),
        "startTimeUnixNano": str(reading.since_ns),
        "timeUnixNano": str(reading.at_ns),
    }
    if isinstance(value, Distribution):
        found |= {
            "count": str(sum(value.counts)),
            "sum": value.total,
            "bucketCounts": [str(count) for count in value.counts],
            "explicitBounds": family.bounds,
        }
    elif isinstance(value, int) and -(2**63) <= value < 2**63:
        found["asInt"] = str(value)
    else:
        found["asDouble"] = _double(value)
    return found


_NAMES = {
    "traces": ("resourceSpans", "scopeSpans", "spans"),
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
}


def request(kind: str, resource: Mapping[str, Any], records: Sequence[bytes]) -> bytes:
    """records: each of one or more, with BETWEEN."""
    outer, inner, name = _NAMES[kind]
    scope = {"name": SCOPE[0], "version": SCOPE[1]}
    held = {"resource": {"attributes": _attributes(resource)}}
    raw = msgspec.Raw(b"[" + BETWEEN.join(records) + b"]")
    return _encode({outer: [held | {inner: [{"scope": scope, name: raw}]}]})


def rejected(answer: bytes) -> int:
    """How many records a receiver says it has not taken."""
    try:
        told = msgspec.json.decode(answer)["partialSuccess"]
        return max(int(value) for name, value in told.items() if name.startswith("rejected"))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
        return 0
