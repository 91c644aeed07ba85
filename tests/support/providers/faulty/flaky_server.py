"""A provider over real HTTP that answers, or fails in one way, by a seed: the same call fails for every caller."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import threading
import time
from typing import Any, NamedTuple

from tests.support.providers.servers.local_server import Handler, LocalServer

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


class Refusal(NamedTuple):
    """status, body and headers of an answer that refuses."""

    status: int
    error: Any
    headers: dict[str, str] = {}

    @property
    def body(self) -> bytes:
        return json.dumps({"error": self.error}).encode()


_QUOTA_WORDS = "You exceeded your current quota, please check your plan and billing details."
_NO_QUOTA = {"message": _QUOTA_WORDS, "type": "insufficient_quota", "code": "insufficient_quota"}
REFUSALS = {
    "401": Refusal(401, {"message": "Incorrect API key provided", "code": "invalid_api_key"}),
    "401 bare": Refusal(401, {"message": "Unauthorized"}),
    "401 no access": Refusal(401, {"message": "You do not have access to this model."}),
    "402": Refusal(402, {"message": "Insufficient credits"}),
    "403": Refusal(403, {"message": "Forbidden", "type": "permission_error"}),
    "403 country": Refusal(403, {"message": "Not here", "code": "unsupported_country_region_territory"}),
    "404 model": Refusal(404, {"message": "The model `m` does not exist", "code": "model_not_found"}),
    "404 path": Refusal(404, {"message": "page not found"}),
    "400 key": Refusal(
        400, {"message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}
    ),
    "400 balance": Refusal(400, {"message": "Your credit balance is too low to access the API."}),
    "429 words": Refusal(429, {"message": _QUOTA_WORDS}),
    "429 quota": Refusal(429, _NO_QUOTA),
    "429 quota in a second": Refusal(429, _NO_QUOTA, {"retry-after": "1"}),
    "429 quota in an hour": Refusal(429, _NO_QUOTA, {"retry-after": "3600"}),
    "429 in an hour": Refusal(429, {"message": "Rate limit reached"}, {"retry-after": "3600"}),
    "501": Refusal(501, {"message": "Not implemented"}),
    "503 in an hour": Refusal(503, {"message": "Overloaded"}, {"retry-after": "3600"}),
    "503 in two minutes": Refusal(503, {"message": "Overloaded"}, {"retry-after": "120"}),
}


class FlakyServer(LocalServer):
    """fault: one of FAULTS or REFUSALS, "mixed" for any fault. share: of the calls that fail, None: every third. calls:
    how many there were."""

    def __init__(self, fault: str, share: float | None, seed: int = 1, informational: bytes = b"") -> None:
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
            bad = self.calls % 3 == 0 if self._share is None else self._chance.random() < self._share
            which = self._chance.choice(FAULTS)
        return "" if not bad else which if self._fault == "mixed" else self._fault

    def _act(self, handler: Handler, fault: str) -> None:
        number, _, after = fault.partition(" ")
        body = json.dumps(ANSWER).encode()
        if fault in REFUSALS:
            refusal = REFUSALS[fault]
            self._answer(handler, refusal.status, refusal.body, refusal.headers)
        elif number.isdigit():
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
