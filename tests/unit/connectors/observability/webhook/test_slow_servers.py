"""A server that always sends a little more does not hold a delivery for longer than `timeout`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.observability.webhook.sink import WebhookSink
from meshd.sdk.observability import Entry, NotNow
from meshd.telemetry.otlp_out.sink import OtlpSink
from tests.support.waiting import until

HEAD = b"HTTP/1.1 200 OK\r\nx: "
BODY = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"


class Dripping:
    """Sends `first`, then a byte every 20 ms for as long as the connection lasts. over: connections that have ended."""

    def __init__(self, first: bytes) -> None:
        self.over = 0
        self._first = first
        self._stopped = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._drip, args=self._listening.accept()[:1], daemon=True).start()

    def _drip(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            for data in chain([self._first], repeat(b"x")):
                connection.sendall(data)
                if self._stopped.wait(0.02):
                    break
        self.over += 1

    def stop(self) -> None:
        self._stopped.set()
        self._listening.close()


@pytest.fixture(params=[HEAD, BODY], ids=["head", "body"])
def dripping(request: Any) -> Iterator[Dripping]:
    server = Dripping(request.param)
    yield server
    server.stop()


def test_a_webhook_ends_in_time_and_is_tried_again(dripping: Dripping, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"url": dripping.url, "path": str(tmp_path / "s"), "batch_size": 1, "timeout": 0.2}
    sink = WebhookSink(settings, first_wait=0.01)
    sink.write(Entry("event", 0, "info", "a", {}))
    until(lambda: dripping.over > 1)
    assert sink.status()["error"] == f"{dripping.url} did not answer within 0.2 s"
    assert sink.status()["waiting"] == 1
    sink.close()


def test_otlp_ends_in_time(dripping: Dripping) -> None:
    sink = OtlpSink({"endpoint": dripping.url, "timeout": 0.2})
    sink.write(Entry("log", 0, "info", "a", {}))
    with pytest.raises(NotNow, match=r"did not answer within 0\.2 s"):
        sink.flush()
    sink.close()
