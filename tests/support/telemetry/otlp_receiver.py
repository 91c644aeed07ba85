"""A receiver of OTLP over HTTP, which decodes with opentelemetry-proto. The SDK's own exporter passes it
(`tests/integration/observability/test_otlp.py`)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

REQUESTS: dict[str, type[Message]] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}


def decoded(path: str, content_type: str, body: bytes) -> Any:
    """Raises ValueError for anything that the schema does not have."""
    message = REQUESTS[path]()
    if content_type == "application/json":
        found = json_format.Parse(_ids_in_base64(body), message)
    else:
        message.ParseFromString(body)
        found = message
    assert not _unknown(found), "fields that the schema does not have"
    return found


def attributes(of: Any) -> dict[str, Any]:
    """Of a span, a log record, a point or a resource."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


def exporting(otlp: dict[str, Any], **reply: Any) -> dict[str, Any]:
    """A configuration of one scripted model, `one.chat`, whose traces, logs and metrics go there. reply: more about the
    model's reply."""
    return {
        "providers": {"one": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "hi", **reply}]}},
        "models": {"one.chat": {"provider": "one", "capabilities": ["chat-completion"]}},
        "discovery": {each: {"enabled": False} for each in ("health", "sync", "local")},
        "observability": {
            "logging": {"connector": [otlp]},
            "tracing": {"connector": [otlp]},
            "statistics": {"connector": [otlp], "metrics_interval": "1s"},
        },
    }


class Receiver:
    """status: what it answers; most: bytes of a body, for more it answers 413; retry_after: with that header, if it is
    not 200; rejects: how many records it says it has not taken; hangs: it answers nothing until `go_on`; slow: seconds
    before an answer. received: (path, message) in order."""

    def __init__(self, port: int = 0) -> None:
        self.status, self.retry_after, self.rejects, self.slow = 200, "", 0, 0.0
        self.most = 2**30
        self.headers: list[dict[str, str]] = []
        self.received: list[tuple[str, Any]] = []
        self.hangs = False
        self._go_on = threading.Event()
        self._server = _Server(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def forget(self) -> None:
        """What came, and what it was told."""
        self.status, self.retry_after, self.rejects, self.most = 200, "", 0, 2**30
        self.headers.clear()
        self.received.clear()

    def of(self, path: str) -> list[Any]:
        return [message for each, message in list(self.received) if each == path]

    def spans(self) -> list[Any]:
        return [span for message in self.of("/v1/traces") for span in _inner(message.resource_spans, "spans")]

    def logs(self) -> list[Any]:
        return [log for message in self.of("/v1/logs") for log in _inner(message.resource_logs, "log_records")]

    def metrics(self) -> dict[str, Any]:
        """Of the last request."""
        messages = self.of("/v1/metrics")
        return {each.name: each for each in _inner(messages[-1].resource_metrics, "metrics")} if messages else {}

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        if self.hangs:
            self._go_on.wait(30)
        threading.Event().wait(self.slow)
        if len(body) > self.most:
            return 413
        if self.status == 200:
            self.headers.append(headers)
            self.received.append((path, decoded(path, headers["content-type"], body)))
        return self.status

    def says(self) -> bytes:
        """Of the answer; the three messages for that have the same numbers."""
        said = ExportTraceServiceResponse()
        said.partial_success.rejected_spans = self.rejects
        return bytes(said.SerializeToString()) if self.rejects and self.status == 200 else b""

    def go_on(self) -> None:
        self.hangs = False
        self._go_on.set()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        self.go_on()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # who asked is gone


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            given = {name.lower(): value for name, value in self.headers.items()}
            if given.get("content-encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            status = receiver.take(self.path, given, body)
            self.send_response(status)
            said = receiver.says()
            if receiver.retry_after and status != 200:
                self.send_header("retry-after", receiver.retry_after)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def _inner(resources: Any, name: str) -> Iterator[Any]:
    for resource in resources:
        for scope in getattr(resource, f"scope_{name if name != 'log_records' else 'logs'}"):
            yield from getattr(scope, name)


def _unknown(message: Any) -> bool:
    copy = type(message)()
    copy.CopyFrom(message)
    copy.DiscardUnknownFields()
    return bool(copy.ByteSize() != message.ByteSize())


def _ids_in_base64(body: bytes) -> str:
    """OTLP's JSON has ids in hexadecimal, where protobuf's own mapping has base64."""
    import base64
    import json

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: base64.b64encode(bytes.fromhex(each)).decode()
                if key in ("traceId", "spanId", "parentSpanId")
                else walk(each)
                for key, each in value.items()
            }
        return [walk(each) for each in value] if isinstance(value, list) else value

    return json.dumps(walk(json.loads(body)))
