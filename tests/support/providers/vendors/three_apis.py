"""A server that has the three APIs, for one process of tests: it answers what a test says, and keeps what it was asked.

Shapes as documented, read on 28 November 2026: https://platform.claude.com/docs/en/api/messages,
https://platform.claude.com/docs/en/build-with-claude/streaming, https://platform.claude.com/docs/en/api/errors,
https://platform.claude.com/docs/en/api/messages-count-tokens, https://platform.claude.com/docs/en/api/models-list;
https://platform.openai.com/docs/api-reference/responses, …/responses-streaming, …/chat, …/chat-streaming.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from tests.support.answers.spoken import written

Json = dict[str, Any]


@dataclass
class Said:
    """What a model says, whichever API it is asked by. calls: name and arguments. cut: the stream breaks off after this
    many events, or a unary answer in its middle. usage: whether it is reported. whole: a stream's calls come without
    pieces, and all of the answer of the Responses API in its last event, as some servers do it. sealed: what the
    provider needs back of its reasoning, beside the text or without one; a chat has none. finish: stop, calls, length
    or filter; "": by what is said. cached, reasoned: of the tokens. written, lasting: of
    those in, written to a cache, and of these for an hour (Messages). cites: pages: URL, title, and the characters
    of the text that cite it, one after the other."""

    text: str = "Hello there"
    thought: str = ""
    calls: tuple[tuple[str, Json], ...] = ()
    cut: int | None = None
    usage: bool = True
    whole: bool = False
    tokens_in: int = 11
    tokens_out: int = 5
    sealed: str = ""
    finish: str = ""
    cached: int = 0
    reasoned: int = 0
    written: int = 0
    lasting: int = 0
    cites: tuple[tuple[str, str, int, int], ...] = ()

    @property
    def ended(self) -> str:
        return self.finish or ("calls" if self.calls else "stop")


@dataclass
class Refused:
    """An error: its status, body and headers."""

    status: int
    body: Json
    headers: Json = field(default_factory=dict)


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


Answer = Said | Refused


class ThreeApis:
    """answer: what a request gets; a function of it, or the same for all. counted: `count_tokens`' answer."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answer: Answer | Callable[[Asked], Answer] = Said()
        self.models: list[Json] = []
        self.counted = 42
        self.headers: Json = {}
        self.url = ""

    def provider(self, speaks: str, **settings: Any) -> Json:
        """A section of a configuration. speaks: openai, anthropic or responses."""
        base = {"base_url": f"{self.url}/v1", "api_key": "sk-test-0123456789abcdef"}
        return {"connector": f"{speaks}-compatible.v1", **base, **settings}

    def bodies(self) -> list[Any]:
        return [each.body for each in self.asked if each.raw]

    def respond(self, asked: Asked) -> tuple[int, Json, list[bytes], bool]:
        """Status, headers, the body in pieces, and whether it breaks off after them."""
        path = asked.path.partition("?")[0]
        if path == "/v1/models":
            return 200, {}, [json.dumps({"data": self.models, "has_more": False}).encode()], False
        if path == "/v1/messages/count_tokens":
            return 200, {}, [json.dumps({"input_tokens": self.counted}).encode()], False
        answer = self.answer(asked) if callable(self.answer) else self.answer
        if isinstance(answer, Refused):
            return answer.status, answer.headers, [json.dumps(answer.body).encode()], False
        pieces = written(path, asked.body, answer)
        stream = bool(asked.body.get("stream"))
        headers = {"content-type": "text/event-stream"} if stream else {}
        if answer.cut is not None:
            pieces = pieces[: answer.cut] if stream else [pieces[0][: len(pieces[0]) // 2]]
        return 200, {**headers, **self.headers}, pieces, answer.cut is not None


Apis = TypeVar("Apis", bound=ThreeApis)


@contextmanager
def serving(apis: Apis) -> Iterator[Apis]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, raw)
            apis.asked.append(asked)
            status, headers, pieces, breaks = apis.respond(asked)
            self.send_response(status)
            for name, value in {"content-type": "application/json", **headers}.items():
                self.send_header(name, str(value))
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for piece in pieces:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if breaks:
                self.close_connection = True
            else:
                self.wfile.write(b"0\r\n\r\n")

        do_GET = do_POST = _serve

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    apis.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield apis
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
