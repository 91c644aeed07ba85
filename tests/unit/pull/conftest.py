from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from meshd.pull import fetch
from tests.support.providers.servers.weights_server import WeightsServer


@pytest.fixture
def upstream() -> Iterator[WeightsServer]:
    server = WeightsServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "FIRST_DELAY", 0.0)
