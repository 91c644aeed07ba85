"""A process of another user that listens at a port, answers there as Ollama does, and notes what it is asked."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

WAIT = 20.0

CHILD = """
import encodings.idna, json, os, socket, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
uid, address, port, models = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
os.setgroups([]); os.setgid(uid); os.setuid(uid)
LISTS = {"/v1/models": {"object": "list", "data": [{"id": id, "owned_by": "library"} for id in models]},
         "/api/version": {"version": "0.12.0"}}
ANSWER = {"id": "1", "object": "chat.completion", "created": 1, "model": "m",
          "choices": [{"index": 0, "message": {"role": "assistant", "content": "posed"}, "finish_reason": "stop"}],
          "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.answer(LISTS.get(self.path))
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.answer(ANSWER)
    def answer(self, document):
        print(self.path, flush=True)
        body = json.dumps(document).encode()
        self.send_response(404 if document is None else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): ...

class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
    daemon_threads = True

server = Server((address, port), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


class Posing:
    """asked: the paths so far."""

    def __init__(self, uid: int, port: int = 0, address: str = "127.0.0.1", models: tuple[str, ...] = ("a",)) -> None:
        arguments = map(str, (uid, address, port, json.dumps(models)))
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        self._lines: Any = self._process.stdout
        self.port = int(self._lines.readline())
        self.asked: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self._lines:
            self.asked.append(line.strip())

    def close(self) -> None:
        self._process.kill()
        self._process.wait(WAIT)
        self._reader.join(WAIT)
        self._lines.close()
