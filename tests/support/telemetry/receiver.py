"""A server that takes webhooks, hangs, refuses, dies and comes back."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver(ThreadingHTTPServer):
    """Answers with the next of `statuses`, the last one again and again, but 413 to more than `most` bytes. got:
    headers and body of each request that was not too large."""

    daemon_threads = True

    def __init__(self, *statuses: int, port: int = 0) -> None:
        self.statuses = list(statuses) or [204]
        self.most = 2**30
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.gate = threading.Event()
        self.gate.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if len(body) <= receiver.most:
                    receiver.got.append((dict(self.headers), body))
                    receiver.gate.wait(20)
                    status = receiver.statuses.pop(0) if len(receiver.statuses) > 1 else receiver.statuses[0]
                else:
                    status = 413
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        super().__init__(("127.0.0.1", port), Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    def entries(self) -> list[str]:
        return [each["message"] for _, body in list(self.got) for each in json.loads(body)["data"]]

    def stop(self) -> None:
        self.gate.set()
        self.shutdown()
        self.server_close()
