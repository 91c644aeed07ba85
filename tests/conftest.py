"""Real daemons, real upstreams and bare sockets for tests: the fixtures `short`, `meshd`, `upstream`, `dial`.

Everything that is started here is stopped here, and every wait has an end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# No test is a benchmark: what a machine under load takes for one example says nothing.
settings.register_profile("meshd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("meshd")

# Where it was ignored (a shell's background), every program that is started here would ignore it, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

WAIT = 20.0  # s: until something that has to happen has not


def until(condition: Callable[[], Any], seconds: float = WAIT, what: str = "") -> Any:
    """The condition's value, as soon as it is true. Fails when it does not become so."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what or getattr(condition, '__doc__', '') or condition}")
        time.sleep(0.005)
    return value


class Daemon:
    """One `meshd` in a directory of its own. `socket` is short enough for any path pytest invents."""

    def __init__(self, directory: Path, config: Any, arguments: tuple[str, ...] = (), **options: Any) -> None:
        self.directory = directory
        self.config = directory / "mesh.yaml"
        self.socket = directory / "run" / "mesh.sock"
        self.state = directory / "state"
        self.arguments = arguments
        self.environment: dict[str, str] = options.pop("env", {})
        self.python = options.pop("python", sys.executable)
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None
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

    def spawn(self) -> subprocess.Popen[bytes]:
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
        command = [self.python, "-m", "meshd", "--config", str(self.config), "--socket", str(self.socket)]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                cwd=Path(__file__).parents[1],
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
        from modelmesh.testing._daemon import welcomed

        return self.socket.exists() and welcomed(str(self.socket), 0.5)

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
            cwd=Path(__file__).parents[1],
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


class Line:
    """A bare DEALER: what a client in another language is made of. `options`: of the zmq socket, before it dials."""

    def __init__(self, path: Any, greet: bool = True, **options: Any) -> None:
        import zmq

        from modelmesh import protocol

        self.wire = protocol
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.RCVHWM, 0)
        for name, value in options.items():
            self.socket.set(getattr(zmq, name), value)
        self.socket.connect(str(path) if "://" in str(path) else f"ipc://{path}")
        if greet:
            self.send(protocol.HELLO)
            self.welcome = self.receive(protocol.WELCOME).head

    def send(self, kind: bytes, request_id: bytes = b"", head: Any = None, body: bytes = b"") -> None:
        self.socket.send_multipart(self.wire.encode(kind, request_id, head, body))

    def frames(self, *frames: bytes) -> None:
        self.socket.send_multipart(list(frames))

    def request(
        self, path: str = "/v1/chat/completions", body: Any = None, *, id: bytes | None = None, **head: Any
    ) -> bytes:
        """Send a REQUEST; its id."""
        request_id = self.wire.new_request_id() if id is None else id
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send(self.wire.REQUEST, request_id, self.wire.RequestHead(path=path, **head), content)
        return request_id

    def chat(self, text: str = "hi", model: str = "chat-completion", *, id: bytes | None = None, **head: Any) -> bytes:
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}]}
        if head.get("stream"):
            body["stream"] = True
        return self.request(body=body, id=id, **head)

    def receive(self, kind: bytes | None = None, seconds: float = WAIT) -> Any:
        """The next message, which has to be of that kind."""
        assert self.socket.poll(seconds * 1000), f"nothing came within {seconds:g} s"
        message = self.wire.decode(self.socket.recv_multipart())
        wanted = "" if kind is None else self.wire.KIND_NAMES[kind]
        assert kind in (None, message.kind), f"{message} instead of {wanted}"
        return message

    def quiet(self, seconds: float = 0.2) -> bool:
        """Whether nothing comes for so long."""
        return not self.socket.poll(seconds * 1000)

    def round_trip(self) -> None:
        """Everything sent before has been handled when this returns."""
        self.send(self.wire.PING)
        while self.receive().kind != self.wire.PONG:
            pass

    def close(self) -> None:
        self.socket.close(0)


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name."""
    directory = tempfile.mkdtemp(prefix="mm")
    yield Path(directory)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def module_short() -> Iterator[Path]:
    """The same for all tests of a module."""
    directory = tempfile.mkdtemp(prefix="mm")
    yield Path(directory)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def meshd(short: Path) -> Iterator[Callable[..., Daemon]]:
    """`meshd(config)`: a daemon that answers; with `start=False` one that is not started."""
    made: list[Daemon] = []

    def make(config: Any, *arguments: str, start: bool = True, **options: Any) -> Daemon:
        directory = short / str(len(made))
        directory.mkdir()
        made.append(Daemon(directory, config, arguments, **options))
        return made[-1].start() if start else made[-1]

    yield make
    for daemon in made:
        daemon.close()


@pytest.fixture(scope="module")
def module_meshd(module_short: Path) -> Iterator[Callable[..., Daemon]]:
    """The same for all tests of a module, which must not leave a mark on it."""
    made: list[Daemon] = []

    def make(config: Any, *arguments: str, **options: Any) -> Daemon:
        directory = module_short / str(len(made))
        directory.mkdir()
        made.append(Daemon(directory, config, arguments, **options))
        return made[-1].start()

    yield make
    for daemon in made:
        daemon.close()


@pytest.fixture
def upstream(short: Path) -> Iterator[Callable[..., Upstream]]:
    """`upstream(script)`: a scripted server that listens."""
    made: list[Upstream] = []

    def make(script: Any = None) -> Upstream:
        made.append(Upstream(short, script))
        return made[-1].start()

    yield make
    for server in made:
        server.kill()


@pytest.fixture(scope="module")
def module_upstream(module_short: Path) -> Iterator[Callable[..., Upstream]]:
    """The same for all tests of a module."""
    made: list[Upstream] = []

    def make(script: Any = None) -> Upstream:
        made.append(Upstream(module_short, script))
        return made[-1].start()

    yield make
    for server in made:
        server.kill()


@pytest.fixture
def dial() -> Iterator[Callable[..., Line]]:
    """`dial(path)`: a bare socket that has been welcomed."""
    made: list[Line] = []

    def make(path: Any, **options: Any) -> Line:
        made.append(Line(path, **options))
        return made[-1]

    yield make
    for line in made:
        line.close()


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """`eventually(condition)`: its value, as soon as it is true."""
    return until
