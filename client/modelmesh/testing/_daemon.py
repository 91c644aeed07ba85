"""A daemon as a child process, for tests."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, Final

from modelmesh._async.client import AsyncOpenAIClient
from modelmesh._connection.links.dialing import dial
from modelmesh._sync.client import OpenAIClient

READY_SECONDS: Final = 20.0
STOP_SECONDS: Final = 10.0
_LONGEST_SOCKET_PATH: Final = 100

SCRIPTED: Final[dict[str, Any]] = {
    "providers": {"scripted": {"connector": "modelmesh.scripted.v1"}},
    "models": {
        "scripted.one": {"provider": "scripted", "capabilities": ["chat-completion", "text-completion"]},
        "scripted.embeddings": {"provider": "scripted", "capabilities": ["text-embeddings"]},
    },
}
"""Two models of a scripted provider, one per capability."""


class MeshProcess:
    """One `meshd` process with a directory of its own. Its clients are closed when it stops."""

    def __init__(self, directory: str, config: dict[str, Any]) -> None:
        self.directory = directory
        self.config_path = os.path.join(directory, "mesh.json")
        self.log_path = os.path.join(directory, "meshd.log")
        self._short: str | None = None
        self.socket = os.path.join(directory, "mesh.sock")
        if len(self.socket) > _LONGEST_SOCKET_PATH:
            self._short = tempfile.mkdtemp(prefix="mesh-")
            self.socket = os.path.join(self._short, "mesh.sock")
        self.process: subprocess.Popen[bytes] | None = None
        self._clients: list[OpenAIClient] = []
        self.write_config(config)

    def write_config(self, config: dict[str, Any]) -> None:
        """Replace the configuration file; a running daemon notices."""
        partial = self.config_path + ".new"
        with open(partial, "w", encoding="utf-8") as file:
            json.dump(config, file)
        os.replace(partial, self.config_path)

    def start(self) -> None:
        """Start the daemon and wait until it answers. Raises RuntimeError with its log if it does not."""
        state = os.path.join(self.directory, "state")
        os.makedirs(state, exist_ok=True)
        os.makedirs(os.path.dirname(self.socket), exist_ok=True)
        command = [sys.executable, "-P", "-m", "meshd", "--config", self.config_path, "--socket", self.socket]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "STATE_DIRECTORY": state, "XDG_STATE_HOME": state},
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_SECONDS
        while not (os.path.exists(self.socket) and welcomed(self.socket, 0.5)):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"meshd did not start (exit {self.process.poll()}):\n{self.log()}")
            time.sleep(0.01)

    def client(self, **options: Any) -> OpenAIClient:
        """A client of this daemon."""
        client = OpenAIClient(self.socket, **{"timeout": 30.0, **options})
        self._clients.append(client)
        return client

    def async_client(self, **options: Any) -> AsyncOpenAIClient:
        """An asyncio client of this daemon; close it yourself."""
        return AsyncOpenAIClient(self.socket, **{"timeout": 30.0, **options})

    def log(self) -> str:
        """What the daemon has written so far."""
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def stop(self) -> None:
        """End the daemon: SIGTERM, and after ten seconds SIGKILL for its process group. Idempotent."""
        for client in self._clients:
            client.close()
        self._clients = []
        self._end()
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)

    def restart(self) -> None:
        """Stop and start the daemon; its clients stay open."""
        self._end()
        self.start()

    def _end(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(STOP_SECONDS)


def welcomed(socket: str, seconds: float) -> bool:
    """Whether a daemon answers HELLO within that time."""
    link = dial(f"ipc://{socket}")
    until = time.monotonic() + seconds
    readable = select.poll()
    readable.register(link.fd, select.POLLIN)
    try:
        while not link.failed:
            if link.receive() is not None:
                return True
            left = until - time.monotonic()
            if left <= 0 or not readable.poll(left * 1000):
                return False
        return False
    finally:
        link.close()
