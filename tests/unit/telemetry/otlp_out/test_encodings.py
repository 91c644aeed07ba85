"""OTLP in both encodings, as opentelemetry-proto decodes it."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from meshd.sdk.metrics import Distribution, Family, Reading
from meshd.sdk.observability import Entry
from meshd.sdk.tracing import CLIENT, Shared, Span
from meshd.telemetry.otlp_out import as_json, protobuf
from meshd.telemetry.otlp_out.records import log_of
from tests.support.telemetry.otlp_receiver import attributes, decoded

BOTH = pytest.mark.parametrize("encoding", [protobuf, as_json], ids=["protobuf", "json"])
SPAN = Span(
    "0123456789abcdef0123456789abcdef", "0123456789abcdef", "fedcba9876543210", "chat é", CLIENT, 10**18, 10**18 + 5,
    {"text": "x" * 300, "short": "é", "count": 2**40, "less": -3, "part": 0.25, "yes": True, "zero": 0},
    True, "it failed", "vendor=1", True, Shared({"meshd.pool": "chat", "none": ""}),
)  # fmt: skip


def read(encoding: ModuleType, kind: str, *records: bytes) -> Any:
    body = encoding.request(kind, {"service.name": "meshd"}, records)
    return decoded(f"/v1/{kind}", encoding.CONTENT_TYPE, body)


@BOTH
def test_a_span(encoding: ModuleType) -> None:
    message = read(encoding, "traces", encoding.span(SPAN), encoding.span(SPAN))
    (resource,) = message.resource_spans
    assert attributes(resource.resource) == {"service.name": "meshd"}
    (scope,) = resource.scope_spans
    assert scope.scope.name == "meshd"
    assert len(scope.spans) == 2
    span = scope.spans[0]
    assert (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()) == (
        SPAN.trace_id, SPAN.span_id, SPAN.parent_id,
    )  # fmt: skip
    assert (span.name, span.kind, span.trace_state) == ("chat é", 3, "vendor=1")
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (10**18, 10**18 + 5)
    assert attributes(span) == {**SPAN.attributes, "meshd.pool": "chat"}
    assert (span.status.code, span.status.message, span.flags) == (2, "it failed", 0x301)


@BOTH
def test_the_first_span_of_a_trace_that_went_well(encoding: ModuleType) -> None:
    first = Span(SPAN.trace_id, SPAN.span_id, "", "chat", CLIENT, 1, 2, {})
    (span,) = read(encoding, "traces", encoding.span(first)).resource_spans[0].scope_spans[0].spans
    assert (span.parent_span_id, span.status.code, span.flags) == (b"", 0, 0x101)


@BOTH
def test_a_log_record(encoding: ModuleType) -> None:
    fields = {"type": "model_rotated", "pool": "chat", "changed": {"until": 1.5, "names": ["a", 2]}, "none": None}
    fields |= {"trace_id": SPAN.trace_id, "span_id": SPAN.span_id}
    entry = Entry("event", 10**18, "warning", "it was rotated", fields)
    (log,) = read(encoding, "logs", encoding.log(log_of(entry))).resource_logs[0].scope_logs[0].log_records
    assert (log.time_unix_nano, log.severity_number, log.severity_text) == (10**18, 13, "warning")
    assert (log.body.string_value, log.event_name) == ("it was rotated", "meshd.model_rotated")
    assert (log.trace_id.hex(), log.span_id.hex()) == (SPAN.trace_id, SPAN.span_id)
    found = attributes(log)
    assert found["meshd.pool"] == "chat"
    assert "meshd.none" not in found
    assert [each.key for each in found["meshd.changed"].values] == ["until", "names"]


@BOTH
def test_metrics(encoding: ModuleType) -> None:
    families = (
        Family("c", "counter", "{request}", "C.", ("a", "b"), ((("x", ""), 3), (("y", "z"), 2**70))),
        Family("g", "gauge", "1", "G.", (), (((), 0.5),)),
        Family("n", "gauge", "1", "N.", (), (((), math.inf),)),
        Family("h", "histogram", "s", "H.", ("a",), ((("x",), Distribution((1, 0, 2), 9.5)),), (0.5, 1.0)),
    )
    reading = Reading(5, 10, families)
    message = read(encoding, "metrics", *(encoding.metric(family, reading) for family in families))
    found = {each.name: each for each in message.resource_metrics[0].scope_metrics[0].metrics}
    counter = found["c"].sum
    assert (counter.is_monotonic, counter.aggregation_temporality) == (True, 2)
    first, second = counter.data_points
    assert (attributes(first), first.as_int, first.start_time_unix_nano, first.time_unix_nano) == ({"a": "x"}, 3, 5, 10)
    assert second.as_double == 2.0**70
    assert found["g"].gauge.data_points[0].as_double == 0.5
    assert found["n"].gauge.data_points[0].as_double == math.inf
    (point,) = found["h"].histogram.data_points
    assert (list(point.bucket_counts), list(point.explicit_bounds)) == ([1, 0, 2], [0.5, 1.0])
    assert (point.count, point.sum, found["h"].unit) == (3, 9.5, "s")


def test_rejected_records_are_read_from_an_answer() -> None:
    answer = ExportTraceServiceResponse()
    assert protobuf.rejected(answer.SerializeToString()) == 0
    answer.partial_success.rejected_spans = 300
    answer.partial_success.error_message = "too many"
    assert protobuf.rejected(answer.SerializeToString()) == 300
    assert as_json.rejected(b'{"partialSuccess":{"rejectedSpans":"300","errorMessage":"too many"}}') == 300
    for odd in (b"", b"{}", b"\x0a", b"\x0a\xff\xff\xff", b"[1]", b'{"partialSuccess":{"rejectedSpans":"x"}}'):
        assert protobuf.rejected(odd) == as_json.rejected(odd) == 0
