"""A real daemon as a process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps.line import answers
from tests.support.processes.forked import Forked
from tests.support.waiting import WAIT, until


class Daemon:
    """One `meshd` in a directory of its own. `socket` is short enough for any path pytest invents.

    It is forked, which takes a third of the time of a start, unless its interpreter gets options or is another one."""

    forked = True

    def __init__(self, directory: Path, config: Any, arguments: tuple[str, ...] = (), **options: Any) -> None:
        self.directory = directory
        self.config = directory / "mesh.yaml"
        self.socket = directory / "run" / "mesh.sock"
        self.state = directory / "state"
        self.arguments = arguments
        self.environment: dict[str, str] = options.pop("env", {})
        self.python = options.pop("python", sys.executable)
        self.options = options
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.log_path = directory / "meshd.log"
        self._clients: list[Any] = []
        self.write(config)

    def write(self, config: Any, how: str = "in place") -> None:
        """The configuration, as a dict or as text: `in place`, or `replaced` by renaming as editors do."""
        text = config if isinstance(config, str) else json.dumps(config, indent=1)
        if how == "in place":
            self.config.write_text(text)
        else:
            partial = self.config.with_suffix(".swp")
            partial.write_text(text)
            os.replace(partial, self.config)

    def spawn(self) -> subprocess.Popen[bytes] | Forked:
        """Start the process and wait for nothing."""
        kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        environment = {
            **kept,
            "STATE_DIRECTORY": str(self.state),
            "XDG_STATE_HOME": str(self.directory),
            "XDG_DATA_HOME": str(self.directory / "data"),
            "HOME": str(self.directory),
            "PYTHONFAULTHANDLER": "1",
            **self.environment,
        }
        words = ["--config", str(self.config), "--socket", str(self.socket), *self.arguments]
        odd = self.options or self.python != sys.executable or any("PYTHON" in name for name in self.environment)
        with open(os.devnull, "rb") as nothing, open(self.log_path, "ab") as log:
            if self.forked and not odd:
                self.process = Forked("meshd", words, [file.fileno() for file in (nothing, log, log)], environment)
                return self.process
            self.process = subprocess.Popen(
                [self.python, "-m", "meshd", *words],
                stdin=nothing,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                cwd=Path(__file__).parents[3],
                **self.options,
            )
        return self.process

    def start(self) -> Daemon:
        """Start, and return when it answers."""
        process = self.spawn()
        until(lambda: process.poll() is not None or self.answers(), what="the daemon starts")
        assert process.poll() is None, f"meshd ended with {process.returncode}:\n{self.log()}"
        return self

    def answers(self) -> bool:
        return self.socket.exists() and answers(self.socket)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float = WAIT) -> int:
        """Its exit code, when it has ended."""
        assert self.process is not None
        return self.process.wait(seconds)

    def kill(self) -> None:
        """As a crash would."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        for client in self._clients:
            with contextlib.suppress(Exception):
                client.close()
        process = self.process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(WAIT / 2)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGABRT)  # faulthandler writes down what every thread is at
                process.wait(WAIT / 2)
                pytest.fail(f"the daemon did not end:\n{self.log()[-10_000:]}")

    # -- what tests look at ---------------------------------------------------------------------------

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def client(self, **options: Any) -> Any:
        from modelmesh import OpenAIClient

        client = OpenAIClient(self.socket, **{"timeout": WAIT, "max_retries": 0, **options})
        self._clients.append(client)
        return client

    def async_client(self, **options: Any) -> Any:
        """Close it yourself."""
        from modelmesh import AsyncOpenAIClient

        return AsyncOpenAIClient(self.socket, **{"timeout": WAIT, "max_retries": 0, **options})

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer of an operation, as plain JSON. Raises MeshError."""
        if not self._clients:
            self.client()
        answer = self._clients[0].mesh.request(method, path, body)
        return answer.to_dict()

    def status(self) -> Any:
        return self.ask("GET", "/mesh/v1/status")

    def model(self, id: str) -> Any:
        return self.ask("GET", f"/mesh/v1/models?id={id}")["data"][0]

    def say(self, text: str = "hi", model: str = "chat-completion", **options: Any) -> Any:
        """A chat completion by the first client."""
        if not self._clients:
            self.client()
        return self._clients[0].chat.completions.create(
            model=model, messages=[{"role": "user", "content": text}], **options
        )

    def leftovers(self) -> list[str]:
        """Files of a running daemon that are still there."""
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.glob("run/**/*"))
