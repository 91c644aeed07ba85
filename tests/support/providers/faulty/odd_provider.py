"""A provider over HTTP that says whatever a test wants, byte for byte: an answer's `usage` is the body's `user`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from tests.support.providers.servers.local_server import Handler, LocalServer

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


class OddProvider(LocalServer):
    """bodies: of the requests it had. text: that it answers. refuses: names of parameters."""

    def __init__(self, text: str = "x" * 400) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.text = text
        self.finish = "stop"
        self.refuses: set[str] = set()
        self.hold = threading.Event()  # clear: it does not answer
        self.hold.set()
        odd = self

        class Answering(Handler):
            def do_GET(self) -> None:
                self.send(200, {"object": "list", "data": [{"id": "m"}]})

            def do_POST(self) -> None:
                body = json.loads(self.body())
                odd.bodies.append(body)
                odd.hold.wait(10)
                for name in odd.refuses & body.keys():
                    message = f"Unsupported parameter: '{name}' is not supported with this model."
                    error = {"message": message, "type": "invalid_request_error", "param": name}
                    self.send(400, {"error": {**error, "code": "unsupported_parameter"}})
                    return
                usage = body.get("user") or "null"
                if body.get("stream"):
                    self.send(200, stream(odd.text, usage, odd.finish), {"content-type": "text/event-stream"})
                else:
                    self.send(200, answer(odd.text, usage, odd.finish))

        super().__init__(Answering)

    def close(self) -> None:
        self.hold.set()
        super().close()
