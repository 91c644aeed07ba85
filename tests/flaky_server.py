"""A provider over real HTTP that answers, or fails in one way, by a seed: the same call fails for every caller."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import threading
import time

from local_server import Handler, LocalServer

LATE = 2.5  # s that a slow answer takes
_LINGER = struct.pack("ii", 1, 0)
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 8, "completion_tokens": 1, "total_tokens": 9},
}
_ERROR = json.dumps({"error": {"message": "it failed", "type": "server_error", "code": None}}).encode()
_BUSY = json.dumps({"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}).encode()
FAULTS = (
    *("500", "502", "503", "503 retry-after", "408", "429", "429 retry-after"),
    *("reset", "closed", "cut", "slow", "empty", "html"),
)


class FlakyServer(LocalServer):
    """fault: one of FAULTS, "mixed" for any. share: of the calls that fail. calls: how many there were."""

    def __init__(self, fault: str, share: float, seed: int = 1, informational: bytes = b"") -> None:
        self.calls = 0
        self._fault, self._share = fault, share
        self._chance = random.Random(seed)
        self._informational = informational
        self._lock = threading.Lock()
        flaky = self

        class Answering(Handler):
            def do_GET(self) -> None:
                flaky._answer(self, 200, b'{"object":"list","data":[{"id":"m","object":"model"}]}')

            def do_POST(self) -> None:
                self.body()
                with contextlib.suppress(OSError):
                    flaky._act(self, flaky._next())

        super().__init__(Answering)

    def _next(self) -> str:
        with self._lock:
            self.calls += 1
            bad, which = self._chance.random() < self._share, self._chance.choice(FAULTS)
        return "" if not bad else which if self._fault == "mixed" else self._fault

    def _act(self, handler: Handler, fault: str) -> None:
        number, _, after = fault.partition(" ")
        body = json.dumps(ANSWER).encode()
        if number.isdigit():
            headers = {"retry-after": "1"} if after else {}
            self._answer(handler, int(number), _BUSY if number == "429" else _ERROR, headers)
        elif fault == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            self._end(handler)
        elif fault == "closed":
            self._end(handler)
        elif fault == "cut":
            self._answer(handler, 200, body[: len(body) // 2], {"content-length": str(len(body))})
            self._end(handler)
        elif fault == "empty":
            self._answer(handler, 200, json.dumps({**ANSWER, "choices": []}).encode())
        elif fault == "html":
            self._answer(handler, 200, b"<html><body>Bad gateway</body></html>", {"content-type": "text/html"})
        else:
            if fault == "slow":
                time.sleep(LATE)
            self._answer(handler, 200, body)

    def _answer(self, handler: Handler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        if self._informational:
            handler.wfile.write(self._informational)
        handler.send(status, body, headers)
        handler.wfile.flush()

    @staticmethod
    def _end(handler: Handler) -> None:
        handler.close_connection = True
        with contextlib.suppress(OSError):
            handler.wfile.flush()
        handler.connection.close()
