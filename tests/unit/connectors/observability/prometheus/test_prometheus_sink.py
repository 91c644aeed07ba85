"""Metrics in a file or at a port: whole, for those who may read them."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from meshd.config.schema.connectors.sink_settings import PrometheusSettings
from meshd.connectors.observability.prometheus.endpoint import MOST_AT_ONCE, Endpoint
from meshd.connectors.observability.prometheus.sink import PrometheusSink
from meshd.sdk.metrics import Family, Reading
from meshd.sdk.observability import Entry
from tests.support.waiting import WAIT, until


def entry(value: int = 1) -> Entry:
    family = Family("meshd.requests", "counter", "1", "Requests.", (), (((), value),))
    return Entry("metrics", 1, "info", "", {"reading": Reading(0, 1, (family,))})


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "meshd.prom"
    sink = PrometheusSink({"path": str(path), "mode": 0o644})
    sink.write(entry(1))
    sink.write(entry(2))
    assert path.read_text().endswith("\nmeshd_requests_total 2\n")
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def endpoint() -> Any:
    served = Endpoint(0, "the token")
    served.text = b"meshd_up 1\n"
    yield served
    served.close()


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/metrics", {"authorization": "Bearer the token"}, 200),
        ("/other", {"authorization": "Bearer the token"}, 404),
        ("/metrics", {"authorization": "Bearer another"}, 401),
        ("/metrics", {}, 401),
    ],
)
def test_a_port_wants_the_token(endpoint: Endpoint, path: str, headers: dict[str, str], status: int) -> None:
    found = httpx.get(f"http://127.0.0.1:{endpoint.port}{path}", headers=headers, timeout=WAIT)
    assert found.status_code == status
    assert (b"meshd_up" in found.content) == (status == 200)


def test_silent_clients_take_only_their_places(endpoint: Endpoint) -> None:
    """More are turned away at once, and their end makes room."""
    address = ("127.0.0.1", endpoint.port)
    silent = [socket.create_connection(address, WAIT) for _ in range(MOST_AT_ONCE + 1)]
    assert silent[-1].recv(1) == b""  # closed, as there are too many
    for each in silent:
        each.close()
    until(lambda: _answers(endpoint))


def _answers(endpoint: Endpoint) -> bool:
    headers = {"authorization": "Bearer the token"}
    try:
        found = httpx.get(f"http://127.0.0.1:{endpoint.port}/metrics", headers=headers, timeout=WAIT)
    except httpx.TransportError:
        return False
    return found.status_code == 200


@pytest.mark.parametrize(
    "settings", [{}, {"path": "/a.prom", "port": 1}, {"port": 9000}, {"port": 9000, "token": "t", "path": "/a"}]
)
def test_settings_that_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PrometheusSettings(**settings)
