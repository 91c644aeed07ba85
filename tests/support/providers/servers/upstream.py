"""A scripted provider as a process."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.waiting import WAIT


class Upstream:
    """`meshd.connectors.providers.scripted.server` as a process; started again it has the same port."""

    def __init__(self, directory: Path, script: Any = None) -> None:
        self.script_path = directory / f"script-{time.monotonic_ns()}.json"
        self.process: subprocess.Popen[str] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.script_path.write_text(json.dumps(script or [{"echo": True}]))

    def start(self) -> Upstream:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "meshd.connectors.providers.scripted.server"),
                *("--port", str(self.port), "--script", str(self.script_path)),
            ],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[4],
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening on"), line
        return self

    def play(self, script: Any) -> None:
        """Another script from now on. Counts start again at 0."""
        self._send("PUT", "/_script", json.dumps(script).encode())

    @property
    def served(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._send("GET", "/_served"))
        return found

    @property
    def bill(self) -> list[dict[str, Any]]:
        """Every request in the order of arrival: what was delivered for it, its output limit, its roles."""
        found: list[dict[str, Any]] = json.loads(self._send("GET", "/_bill"))
        return found

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(WAIT)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def provider(self, **settings: Any) -> dict[str, Any]:
        """The section of a configuration that points at it."""
        return {
            "connector": "openai-compatible.v1",
            "base_url": f"{self.url}/v1",
            "auth": {"method": "none"},
            **settings,
        }

    def _send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, data=body, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=WAIT) as answer:
            content: bytes = answer.read()
            return content
