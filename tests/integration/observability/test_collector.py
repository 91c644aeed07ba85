"""A real daemon, a real collector (Rotel, from PyPI), and behind that a receiver that decodes with OpenTelemetry's own
messages: what the collector understands comes out of it again."""

from __future__ import annotations

import socket
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.network.ports import free_port
from tests.support.telemetry.otlp_receiver import Receiver, attributes, exporting
from tests.support.waiting import until

AGENT = Path(sysconfig.get_path("purelib"), "rotel", "rotel-agent")
pytestmark = pytest.mark.skipif(not AGENT.exists(), reason="needs the package rotel")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def behind() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def collector(behind: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    port, log = free_port(), tmp_path_factory.mktemp("collector") / "log"
    options = {
        "otlp-http-endpoint": f"127.0.0.1:{port}",
        "otlp-grpc-endpoint": f"127.0.0.1:{free_port()}",
        "exporter": "otlp",
        "otlp-exporter-protocol": "http",
        "otlp-exporter-endpoint": behind.url,
        "batch-timeout": "20ms",
    }
    command = [str(AGENT), "start", *(f"--{name}={value}" for name, value in options.items())]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            until(lambda: listens(port) or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="module", params=["protobuf", "json"])
def daemon(module_meshd: Any, collector: str, behind: Receiver, request: pytest.FixtureRequest) -> Any:
    behind.forget()
    otlp = {"connector": "opentelemetry.otlp.v1", "endpoint": collector, "encoding": request.param}
    otlp["resource"] = {"deployment.environment.name": "test"}
    daemon = module_meshd(exporting(otlp))
    daemon.say("hi", "one.chat", extra_headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    return daemon


def test_traces(daemon: Any, behind: Receiver) -> None:
    request, attempt = until(lambda: len(found := behind.spans()) >= 2 and found[:2])
    assert (request.trace_id.hex(), request.parent_span_id.hex(), request.kind) == ("a" * 32, "b" * 16, 2)
    assert (attempt.parent_span_id, attempt.kind) == (request.span_id, 1)
    assert attributes(request)["meshd.model"] == "one.chat"
    assert request.end_time_unix_nano >= request.start_time_unix_nano > 10**18
    resource = attributes(behind.of("/v1/traces")[0].resource_spans[0].resource)
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("meshd", "test")


def test_logs(daemon: Any, behind: Receiver) -> None:
    record = until(lambda: next((log for log in behind.logs() if log.event_name == "meshd.request"), None))
    assert record.trace_id.hex() == "a" * 32
    assert attributes(record)["meshd.status"] == 200
    assert [each.kvlist_value.values[0].key for each in attributes(record)["meshd.attempts"].values] == ["model"]


@pytest.mark.parametrize(
    "daemon", ["protobuf"], indirect=True
)  # Rotel drops the 64-bit numbers of JSON, which are texts
def test_metrics(daemon: Any, behind: Receiver) -> None:
    def found(name: str) -> Any:
        return until(lambda: behind.metrics().get(name))

    assert found("gen_ai.client.operation.duration").histogram.data_points[0].count == 1
    requests = found("meshd.requests").sum
    assert (requests.is_monotonic, requests.aggregation_temporality, requests.data_points[0].as_int) == (True, 2, 1)
    assert found("meshd.info").gauge.data_points[0].as_int == 1


def test_what_it_refuses_is_counted(daemon: Any, behind: Receiver) -> None:
    (sink,) = (each for each in daemon.status()["sinks"] if each["sink"] == "opentelemetry.otlp")
    assert (sink["dropped"], sink["error"]) == (0, "")
