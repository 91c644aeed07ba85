"""A program like llama-server: it serves one answer at a port, after it has loaded. `small_server.py PORT [--dies]`.

It answers with its process id, and 503 while `loading` exists in the current directory. A text `end` ends it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(503 if Path("loading").exists() else 200, {"data": [{"id": "small"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = asked["messages"][-1]["content"]
        if said == "end":
            os._exit(3)
        text = f"{os.getpid()} {os.environ.get(said, '')}".strip()
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._answer(200, {"id": "a", "object": "chat.completion", "model": "small", "choices": [choice]})

    def _answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


if __name__ == "__main__":
    if "--dies" in sys.argv:
        sys.exit("no such model")
    if "--with-another" in sys.argv:  # as a script that starts more programs
        Path("other.pid").write_text(str(subprocess.Popen(["sleep", "1000"]).pid))
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
