"""A server of weights: ranges, cuts, redirects, hashes in headers."""

from __future__ import annotations

import contextlib
import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BODY = b"GGUF" + bytes(range(256)) * 4096  # a megabyte
SHA = hashlib.sha256(BODY).hexdigest()


class WeightsServer(ThreadingHTTPServer):
    """Serves BODY. ranges, etag: what it offers. cuts: after how many bytes each answer is cut."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.ranges = True
        self.etag: str | None = '"v1"'
        self.cuts: list[int] = []
        self.statuses: list[int] = []
        self.asked: list[str | None] = []
        self.linked: str | None = None
        self.linked_on_file: str | None = None
        self.coding: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/model.gguf"


class Handler(BaseHTTPRequestHandler):
    server: WeightsServer
    announced = True

    def do_GET(self) -> None:
        upstream = self.server
        asked = self.headers.get("Range")
        upstream.asked.append(asked)
        if upstream.statuses:
            self._head(upstream.statuses.pop(0), 0)
            return
        if self.path in ("/moved", "/round"):
            self.send_response(302)
            self.send_header("X-Linked-Etag", f'"{upstream.linked}"')
            self.send_header("Location", "/model.gguf" if self.path == "/moved" else self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and upstream.ranges else 0
        if self.headers.get("If-Range") not in (None, upstream.etag):
            start = 0
        if start >= len(upstream.body):
            self._head(416, 0, f"bytes */{len(upstream.body)}")
            return
        rest = upstream.body[start:]
        where = f"bytes {start}-{len(upstream.body) - 1}/{len(upstream.body)}" if start else None
        self._head(206 if start else 200, len(rest), where)
        if upstream.cuts:
            rest = rest[: upstream.cuts.pop(0)]
        with contextlib.suppress(ConnectionError):
            self.wfile.write(rest)

    def _head(self, status: int, length: int, content_range: str | None = None) -> None:
        self.send_response(status)
        if self.announced:
            self.send_header("Content-Length", str(length))
        if self.server.coding:
            self.send_header("Content-Encoding", self.server.coding)
        if content_range:
            self.send_header("Content-Range", content_range)
        if self.server.linked_on_file:
            self.send_header("X-Linked-Etag", f'"{self.server.linked_on_file}"')
        if self.server.etag:
            self.send_header("ETag", self.server.etag)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass
