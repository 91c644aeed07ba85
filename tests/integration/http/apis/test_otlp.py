"""A real daemon as OTLP's receiver: OpenTelemetry's own exporters send to it, and others' figures stay beside ours."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest
from opentelemetry._logs import LogRecord, SeverityNumber  # noqa: PLC2701
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # noqa: PLC2701
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider  # noqa: PLC2701
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor  # noqa: PLC2701
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.support.processes.meshctl import run
from tests.support.providers.credentials.keyed_provider import KeyedProvider
from tests.support.telemetry.otlp import claude_event, codex_event, logs
from tests.support.waiting import WAIT, until

HERE = Resource({"service.name": "claude-code", "mesh.project": "web"})


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, keyed: KeyedProvider) -> Any:
    return module_meshd(
        {
            "providers": {"keyed": keyed.provider(api_keys=["key-number-one"])},
            "models": {
                "keyed.m": {
                    "provider": "keyed",
                    "model": "m",
                    "capabilities": ["chat-completion"],
                    "pricing": {"input_per_1m": 0.0, "output_per_1m": 0.0},
                }
            },
            "pools": {"chat": {"models": ["keyed.m"]}},
            "apps": {"default": {"budget": {"daily_limit": 0.01}}},
            "proxy": {"enabled": True, "port": "auto"},
            "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}},
        }
    )


@pytest.fixture(scope="module")
def url(daemon: Any) -> str:
    address: str = daemon.status()["http"]["addresses"][0]
    return address


def rows(daemon: Any, by: str, *more: str) -> dict[str, dict[str, Any]]:
    found = json.loads(run("stats", "--by", by, "--json", *more, MESH_SOCKET=str(daemon.socket)).stdout)
    return {row["name"]: row for row in found["data"]}


def send(url: str, signal: str, told: Any, **headers: str) -> httpx.Response:
    headers = {"content-type": "application/json", **headers}
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    return httpx.post(f"{url}/v1/{signal}", content=body, headers=headers, timeout=WAIT)


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip], ids=lambda each: each.value)
def test_opentelemetrys_exporter_of_logs(daemon: Any, url: str, compression: Compression) -> None:
    provider, session = LoggerProvider(resource=HERE), f"logs-{compression.value}"
    exporter = OTLPLogExporter(f"{url}/v1/logs", compression=compression, timeout=WAIT)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    told = LogRecord(
        timestamp=1,
        severity_number=SeverityNumber.INFO,
        body="claude_code.api_request",
        attributes=claude_event(session),
    )
    provider.get_logger("com.anthropic.claude_code.events").emit(told)
    provider.shutdown()
    row = rows(daemon, "session", "--where", "project=web")[session]
    assert (row["outside_cost"], row["outside_requests"], row["outside_tokens_in"]) == (0.25, 1, 130)
    assert (row["cost_total"], row["requests_total"]) == (0.0, 0)


@pytest.mark.parametrize("temporality", [AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE])
def test_opentelemetrys_exporter_of_metrics(daemon: Any, url: str, temporality: AggregationTemporality) -> None:
    session = f"metrics-{temporality.name}"
    exporter = OTLPMetricExporter(f"{url}/v1/metrics", preferred_temporality={Counter: temporality}, timeout=WAIT)
    provider = MeterProvider([PeriodicExportingMetricReader(exporter, 1e9)], resource=HERE)
    counter = provider.get_meter("com.anthropic.claude_code").create_counter("claude_code.cost.usage", unit="USD")
    for cost in (0.5, 0.25):
        counter.add(cost, {"session.id": session, "model": "claude-opus-4-5"})
        provider.force_flush()
    provider.shutdown()
    assert rows(daemon, "session", "--where", "project=web")[session]["outside_cost"] == 0.75


def test_opentelemetrys_exporter_of_spans(daemon: Any, url: str) -> None:
    provider = TracerProvider(resource=HERE)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces", timeout=WAIT)))
    tracer = provider.get_tracer("com.anthropic.claude_code")
    tracer.start_span("claude_code.llm_request", attributes=claude_event("spans")).end()
    tracer.start_span("claude_code.interaction", attributes={"session.id": "spans"}).end()
    provider.shutdown()
    assert rows(daemon, "session")["spans"]["outside_tokens_out"] == 7


def test_what_the_mesh_served_stays_its_own_and_no_budget_counts_the_rest(daemon: Any, url: str) -> None:
    body = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
    told = {"session_id": "through-the-mesh", "user-agent": "codex_cli_rs/1.0"}
    assert httpx.post(f"{url}/v1/chat/completions", json=body, headers=told, timeout=WAIT).status_code == 200
    rows(daemon, "session")  # the request has been counted
    events = [codex_event("through-the-mesh"), codex_event("by-subscription"), claude_event("dear", cost_usd=500.0)]
    events[2]["event.name"] = "claude_code.api_request"
    answer = send(url, "logs", logs(*events))
    assert (answer.status_code, answer.json()) == (200, {})
    found = rows(daemon, "session")
    assert (found["through-the-mesh"]["requests_total"], found["through-the-mesh"]["outside_requests"]) == (1, 0)
    assert (found["by-subscription"]["requests_total"], found["by-subscription"]["outside_requests"]) == (0, 1)
    assert found["dear"]["outside_cost"] == 500.0
    assert rows(daemon, "agent")["codex"]["outside_tokens_in"] == 120
    limits = json.loads(run("budget", "--json", MESH_SOCKET=str(daemon.socket)).stdout)["data"]
    assert [row["spent"] for row in limits] == [0.0]


def test_what_is_refused(url: str) -> None:
    protobuf = {"content-type": "application/x-protobuf"}
    assert send(url, "logs", b"", **protobuf).content == b""
    for told, headers, status in (
        (b"{", {}, 400),
        (b"\x0a\xff", protobuf, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {"content-encoding": "br"}, 415),
        (b"not gzip", {"content-encoding": "gzip"}, 400),
        (gzip.compress(b" " * 5_000_000), {"content-encoding": "gzip"}, 413),
    ):
        answer = send(url, "logs", told, **headers)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["message"]
    chat = send(url, "chat/completions", gzip.compress(b"{}"), **{"content-encoding": "gzip"})
    assert chat.status_code == 415


def test_spend_outlives_the_daemon(meshd: Any) -> None:
    daemon = meshd({"proxy": {"enabled": True, "port": "auto"}, "discovery": {"local": {"enabled": False}}})
    event = claude_event("kept", cost_usd=0.5) | {"event.name": "claude_code.api_request"}
    told = send(daemon.status()["http"]["addresses"][0], "logs", logs(event, **{"mesh.project": "web"}))
    assert told.status_code == 200, told.text
    assert rows(daemon, "project")["web"]["outside_cost"] == 0.5
    daemon.stop()
    daemon.start()
    assert until(lambda: rows(daemon, "project").get("web"))["outside_cost"] == 0.5
