"""The placeholder keys in the documentation of local servers are sent to them unchanged."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.providers.servers.local_server import LocalServer

WORDS = [
    "EMPTY",
    "none",
    "lm-studio",
    "sk-no-key-required",
    "changeme",
    "your_api_key",
    "sk-xxx",
    "<key>",
    "token-abc123",
]


class Keyed(BaseHTTPRequestHandler):
    """Answers with the key that it was given."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        message = {"role": "assistant", "content": self.headers.get("authorization", "no key")}
        body = json.dumps(
            {"id": "1", "object": "chat.completion", "created": 1, "model": "m",
             "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        ).encode()  # fmt: skip
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def test_a_local_server_is_given_its_word(meshd: Callable[..., Any]) -> None:
    server = LocalServer(Keyed)
    try:
        providers: dict[str, Any] = {}
        environ = {}
        for number, word in enumerate(WORDS):
            here = {"connector": "openai-compatible.v1", "base_url": server.url}
            environ[f"KEY{number}"] = word
            providers[f"written-{number}"] = {**here, "api_key": word}
            providers[f"named-{number}"] = {**here, "api_key": f"${{secrets:KEY{number}}}"}
        models = {
            f"{name}.m": {"provider": name, "model": "m", "capabilities": ["chat-completion"]} for name in providers
        }
        off = {"local": {"enabled": False}, "health": {"enabled": False}}
        daemon = meshd({"providers": providers, "models": models, "discovery": off}, env=environ)
        for number, word in enumerate(WORDS):
            for name in (f"written-{number}", f"named-{number}"):
                answer = daemon.say(model=f"{name}.m", cache=False)
                assert answer.choices[0].message.content == f"Bearer {word}"
    finally:
        server.close()
