"""A provider that repeats everything it was sent gives none of its secrets away: not in errors, states, logs, nor on
disk."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.waiting import until

SECRETS = {
    "USER_PART": "ursula-4711",
    "LUGGAGE": "hunter2-hunter2",
    "SIGNED": "qk-81f3a9c2d7",
    "SPOKEN": "plainly spoken words",
    "WORD_TOKEN": "correct-horse-battery",
    "API_KEY": "my-own-key-0815",
}


class Repeats(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        said = f"cannot serve {self.path} for {dict(self.headers.items())}"
        length = int(self.headers.get("content-length") or 0)
        self.rfile.read(length)
        body = json.dumps({"error": {"message": said, "code": 500, "param": self.path}}).encode()
        self.send_response(500)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-request-id", self.path)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def repeating() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Repeats)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join(20)


def spellings(secret: str) -> set[str]:
    return {secret, base64.b64encode(secret.encode()).decode().rstrip("=")}


@pytest.mark.parametrize("kind", ["secrets", "env"])
def test_no_secret_is_shown(kind: str, meshd: Any, repeating: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("USER_PART")
    address = f"http://ursula-4711:${{{kind}:LUGGAGE}}@127.0.0.1:{repeating}/v1?key=${{{kind}:SIGNED}}"
    config = {
        "providers": {
            "p": {
                "connector": "openai-compatible.v1",
                "base_url": address,
                "headers": {"X-Plain": f"${{{kind}:SPOKEN}}", "X-Other": f"${{{kind}:API_KEY}}"},
            }
        },
        "models": {
            "p.m": {
                "provider": "p",
                "capabilities": ["chat-completion"],
                "defaults": {"user": f"${{{kind}:WORD_TOKEN}}"},
            }
        },
        "pools": {"chat": {"models": ["p.m"], "retry": {"max_attempts": 1}}},
        "daemon": {"log_level": "debug"},
    }
    daemon = meshd(config)
    told = []
    for _ in range(4):
        try:
            daemon.say()
        except Exception as error:
            told.append(repr((error, vars(error))))
    assert len(told) == 4
    daemon.ask("POST", "/mesh/v1/probe", {})
    told += [
        json.dumps(daemon.ask("GET", f"/mesh/v1/{path}"))
        for path in ("status", "providers", "models", "pools/chat", "events?limit=1000", "stats", "config")
    ]
    daemon.signal(signal.SIGUSR1)
    until(lambda: "state dump" in daemon.log(), what="the dump")
    shown = subprocess.run(
        [sys.executable, "-m", "meshd.cli", "--socket", str(daemon.socket), "config", "show"],
        capture_output=True, check=True, timeout=60, env={**os.environ, "HOME": str(daemon.directory)},
    )  # fmt: skip
    told.append(shown.stdout.decode())
    daemon.stop()
    files = (path for path in daemon.directory.rglob("*") if path.is_file() and path.name != "mesh.yaml")
    told += [daemon.log(), *(path.read_bytes().decode(errors="replace") for path in files)]
    everything = "\n".join(told)
    assert "cannot serve" in everything, "the provider's words are shown"
    hidden = set(SECRETS.values()) - {SECRETS["USER_PART"]}
    for secret in hidden | {f"ursula-4711:{SECRETS['LUGGAGE']}"}:
        for spelled in spellings(secret):
            assert spelled not in everything, secret
