"""The HTTP server of a child process that answers with its own functions.

Owns: reading requests from the UNIX socket, the size limit of their bodies, the form of errors.
Must never: open a TCP port, or import the daemon.
"""

from __future__ import annotations

import json
import select
import socketserver
import sys
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

from meshd.connectors.providers.embedded import child

MAX_BODY = 64 * 1024 * 1024


class Refused(ValueError):
    """A 400: the request itself is wrong."""

    def __init__(self, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class Answer(NamedTuple):
    body: bytes
    content_type: str = "application/json"


Gone = Callable[[], bool]
"""Whether the caller has given up."""
Route = Callable[[bytes, Gone], Answer]
"""The answer to a body. Raises Refused."""


def serve(socket: str, routes: Mapping[str, Route], confined: list[str]) -> None:
    """routes: by path. Reports that it is ready, and serves until the process ends."""
    with _Server(socket, routes) as server:
        child.announce(confined)
        server.serve_forever(poll_interval=3600)


def as_json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def read_json(body: bytes) -> dict[str, Any]:
    """Raises Refused."""
    try:
        document = json.loads(body)
    except ValueError:
        raise Refused("the body is not JSON") from None
    if not isinstance(document, dict):
        raise Refused("the body is not a JSON object")
    return document


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self.close_connection = True
            self._send(413, _error("the body is too large"))
            return
        body = self.rfile.read(length)
        route = self.server.routes.get(self.path)
        if route is None:
            self._send(404, _error("no such route"))
            return
        try:
            self._send(200, route(body, self._gone))
        except Refused as exc:
            self._send(400, _error(str(exc), exc.code, exc.param))

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:
        """Does nothing, because the daemon logs requests."""

    def _gone(self) -> bool:
        """The caller sends nothing more before the answer, so if there is something to read, it has disconnected."""
        return bool(select.select([self.connection], [], [], 0)[0])

    def _send(self, status: int, answer: Answer) -> None:
        self.send_response(status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, socket: str, routes: Mapping[str, Route]) -> None:
        self.routes = routes
        super().__init__(socket, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a caller that disconnected; log anything else in one line, without a traceback."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            print(f"request failed: {error!r}", file=sys.stderr, flush=True)


def _error(message: str, code: str | None = None, param: str | None = None) -> Answer:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Answer(as_json({"error": error}))
