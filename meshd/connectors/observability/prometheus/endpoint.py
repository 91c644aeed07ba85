"""A port of this machine at which Prometheus reads the last metrics.

Owns: the socket and its threads. Must never: answer without the token, or hold more than a few connections.
"""

from __future__ import annotations

import hmac
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any

from meshd.connectors.observability.prometheus.exposition import CONTENT_TYPE

MOST_AT_ONCE = 8
_PATIENCE = 5.0  # s for a client to send its request, or to read its answer


class Endpoint:
    """text: what is served; may be replaced. Raises OSError if the port is in use."""

    def __init__(self, port: int, token: str) -> None:
        self.text = b""
        self._server = _Server(("127.0.0.1", port), self, token)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="meshd-prometheus", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(1.0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], endpoint: Endpoint, token: str) -> None:
        self.endpoint = endpoint
        self.token = token.encode()
        self.places = threading.BoundedSemaphore(MOST_AT_ONCE)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """Ignore it: a client that disconnects is not worth an entry in the log."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE
    server: _Server

    def do_GET(self) -> None:
        given = self.headers.get("authorization", "").removeprefix("Bearer ").encode(errors="replace")
        if not hmac.compare_digest(given, self.server.token):
            self._answer(401, b"the token is missing or wrong\n", [("www-authenticate", "Bearer")])
        elif self.path.partition("?")[0] != "/metrics":
            self._answer(404, b"metrics are at /metrics\n", [])
        else:
            self._answer(200, self.server.endpoint.text, [("content-type", CONTENT_TYPE)])

    def _answer(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in [*headers, ("content-length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: anyone could fill the log."""
