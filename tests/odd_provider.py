"""A provider over HTTP that says whatever a test wants, byte for byte: an answer's `usage` is the body's `user`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], bytes]


def answer(text: str, usage: str, finish: str = "stop") -> bytes:
    choices = [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}]
    return _document("chat.completion", choices, usage).encode()


def stream(text: str, usage: str, finish: str = "stop") -> bytes:
    chunks = [
        _document("chat.completion.chunk", choices, counted)
        for choices, counted in (
            ([{"index": 0, "delta": {"content": text}, "finish_reason": None}], ""),
            ([{"index": 0, "delta": {}, "finish_reason": finish}], ""),
            ([], usage),
        )
    ]
    return "".join(f"data: {chunk}\n\n" for chunk in (*chunks, "[DONE]")).encode()


def _document(kind: str, choices: list[Any], usage: str) -> str:
    document = json.dumps({"id": "1", "object": kind, "model": "m", "choices": choices})
    return f'{document[:-1]}, "usage": {usage}}}' if usage else document


class OddProvider:
    """bodies: of the requests it had. text: that it answers."""

    def __init__(self, text: str = "x" * 400) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.text = text
        self.finish = "stop"
        self.hold = threading.Event()  # clear: it does not answer
        self.hold.set()
        odd = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send(b'{"object":"list","data":[{"id":"m"}]}', "application/json")

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                odd.bodies.append(body)
                odd.hold.wait(10)
                usage = body.get("user") or "null"
                if body.get("stream"):
                    self._send(stream(odd.text, usage, odd.finish), "text/event-stream")
                else:
                    self._send(answer(odd.text, usage, odd.finish), "application/json")

            def _send(self, body: bytes, kind: str) -> None:
                try:
                    self.send_response(200)
                    self.send_header("content-type", kind)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # nobody waits for it any more

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
