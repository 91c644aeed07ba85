"""Traces, metrics and logs of a real daemon at a receiver that the OpenTelemetry SDK's own exporter passes, too."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.support.telemetry.otlp_receiver import Receiver, attributes
from tests.support.waiting import until

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
APPS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}


class Model:
    """A provider's server. heard: the headers of each request, and its model."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, str]]] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["model"]
                model.heard.append((asked, {name.lower(): value for name, value in self.headers.items()}))
                answer = json.dumps(
                    {
                        "id": "1", "object": "chat.completion", "created": 1, "model": asked,
                        "choices": [{"index": 0, "finish_reason": "stop",
                                     "message": {"role": "assistant", "content": "Hi"}}],
                        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
                    }
                ).encode()  # fmt: skip
                self.send_response(500 if asked == "bad" else 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    made = Model()
    yield made
    made.close()


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, receiver: Receiver, model: Model) -> Any:
    otlp = {"connector": "opentelemetry.otlp.v1", "endpoint": receiver.url}
    provider = {"connector": "openai-compatible.v1", "base_url": model.url, "api_key": "sk-of-the-house-1234567890"}
    return module_meshd(
        {
            "providers": {"told": provider, "untold": provider},
            "models": {
                "untold.bad": {"provider": "untold", "model": "bad", "capabilities": ["chat-completion"]},
                "told.good": {"provider": "told", "model": "good", "capabilities": ["chat-completion"]},
            },
            "pools": {"chat": {"models": ["untold.bad", "told.good"], "strategy": "priority-selection",
                               "model_priority": ["untold.bad", "told.good"], "retry": {"max_attempts": 1},
                               "deactivation": {"retry_limit": 1}}},
            "observability": {
                "routing": {"connector": [otlp]},
                "logging": {"connector": [otlp]},
                "statistics": {"connector": [otlp], "metrics_interval": "1s"},
                "tracing": {"connector": [otlp], "propagate": ["told"]},
            },
            "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def spans(daemon: Any, receiver: Receiver) -> list[Any]:
    """Of one request: its own, a failed attempt with its call, an attempt with its call."""
    daemon.say("a secret prompt", model="chat", extra_headers=APPS)
    until(lambda: len(receiver.spans()) >= 5)
    return receiver.spans()[:5]


def test_the_spans_of_a_request(spans: list[Any]) -> None:
    request, failed, refused, attempt, call = spans
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert (request.parent_span_id.hex(), request.trace_state, request.kind) == (PARENT, "vendor=1", 2)
    assert [failed.parent_span_id, attempt.parent_span_id] == [request.span_id] * 2
    assert (refused.parent_span_id, call.parent_span_id) == (failed.span_id, attempt.span_id)
    assert [span.name for span in spans] == ["chat chat", "chat bad", "POST", "chat good", "POST"]
    assert [span.status.code for span in spans] == [0, 2, 2, 0, 0]


def test_their_attributes(spans: list[Any]) -> None:
    request, failed, refused, attempt, call = map(attributes, spans)
    assert request["gen_ai.operation.name"] == "chat"
    assert (request["gen_ai.usage.input_tokens"], request["gen_ai.usage.output_tokens"]) == (5, 7)
    assert (request["meshd.pool"], request["meshd.model"]) == ("chat", "told.good")
    assert (failed["error.type"], failed["meshd.provider"]) == ("server", "untold")
    assert (attempt["gen_ai.request.model"], attempt["meshd.model"]) == ("good", "told.good")
    assert (refused["http.response.status_code"], call["http.response.status_code"]) == (500, 200)
    assert (call["http.request.method"], call["server.address"]) == ("POST", "127.0.0.1")


def test_a_span_lies_within_its_parent(spans: list[Any]) -> None:
    by_id = {span.span_id: span for span in spans}
    tolerance = 5_000_000  # ns: an attempt's end is noted before its request's
    for span in spans:
        parent = by_id.get(span.parent_span_id)
        if parent is not None:
            assert span.start_time_unix_nano >= parent.start_time_unix_nano - tolerance
            assert span.end_time_unix_nano <= parent.end_time_unix_nano + tolerance


def test_only_providers_that_may_know_are_told(spans: list[Any], model: Model) -> None:
    heard = dict(model.heard)
    assert "traceparent" not in heard["bad"]
    assert "tracestate" not in heard["bad"]
    assert heard["good"]["traceparent"] == f"00-{TRACE}-{spans[4].span_id.hex()}-01"
    assert heard["good"]["tracestate"] == "vendor=1"


def test_no_prompt_and_no_key_is_told(spans: list[Any], receiver: Receiver) -> None:
    told = repr(receiver.received)
    assert "a secret prompt" not in told
    assert "sk-of-the-house" not in told


def test_the_request_log_names_its_trace(spans: list[Any], receiver: Receiver) -> None:
    found = until(lambda: [log for log in receiver.logs() if log.event_name == "meshd.request"])
    assert (found[0].trace_id.hex(), found[0].span_id) == (TRACE, spans[0].span_id)


def test_events_and_metrics_come_too(spans: list[Any], receiver: Receiver) -> None:
    until(lambda: any(log.event_name == "meshd.model_deactivated" for log in receiver.logs()))
    duration = until(lambda: receiver.metrics().get("gen_ai.client.operation.duration"))
    assert duration.unit == "s"
    assert {attributes(point)["meshd.model"] for point in duration.histogram.data_points} == {"untold.bad", "told.good"}


def test_an_app_that_does_not_record_its_trace_is_not_traced(daemon: Any, spans: list[Any], receiver: Receiver) -> None:
    other = "1" * 32
    daemon.say(model="chat", extra_headers={"traceparent": f"00-{other}-{PARENT}-00"})
    daemon.say(model="chat", extra_headers={"traceparent": "nonsense"})
    traces = until(lambda: {span.trace_id.hex() for span in receiver.spans()} - {TRACE})
    assert other not in traces


def test_a_receiver_that_hangs_slows_no_request(daemon: Any, spans: list[Any], receiver: Receiver) -> None:
    receiver.hangs = True
    try:
        for _ in range(20):
            assert daemon.say(model="chat").choices[0].message.content == "Hi"
        sinks = daemon.status()["sinks"]
        assert [sink["sink"] for sink in sinks] == ["opentelemetry.otlp"]
    finally:
        before = len(receiver.spans())
        receiver.go_on()
    until(lambda: len(receiver.spans()) >= before + 20 * 3, 40)


def test_prompts_and_answers_where_they_are_wanted(meshd: Any, receiver: Receiver, model: Model) -> None:
    otlp = {"connector": "opentelemetry.otlp.v1", "endpoint": receiver.url}
    daemon = meshd(
        {
            "providers": {"p": {"connector": "openai-compatible.v1", "base_url": model.url, "api_key": "k-1234567890"}},
            "models": {"p.m": {"provider": "p", "model": "good", "capabilities": ["chat-completion"]}},
            "pools": {"said": {"models": ["p.m"]}},
            "observability": {"tracing": {"connector": [otlp], "content": True}},
            "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}},
        }
    )
    daemon.say("I am ada@example.org", model="said")
    request = until(lambda: next((span for span in receiver.spans() if span.name == "chat said"), None))
    told = attributes(request)
    [asked] = json.loads(told["gen_ai.input.messages"])
    assert asked == {"role": "user", "parts": [{"type": "text", "content": "I am [email]"}]}
    [answered] = json.loads(told["gen_ai.output.messages"])
    assert (answered["parts"][0]["content"], answered["finish_reason"]) == ("Hi", "stop")


def test_the_sdks_exporter_passes_the_receiver() -> None:
    receiver = Receiver()
    try:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{receiver.url}/v1/traces")))
        with provider.get_tracer("test").start_as_current_span("a span", attributes={"gen_ai.operation.name": "chat"}):
            pass
        provider.shutdown()
        (span,) = receiver.spans()
        assert (span.name, attributes(span)) == ("a span", {"gen_ai.operation.name": "chat"})
    finally:
        receiver.close()
