"""What the benchmarks run against: an upstream that answers at once, a paced one, and a daemon in between.

Owns: processes and temporary directories; everything started here is stopped on the way out.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.network.ports import free_port

ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "m1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello! How can I help you today? " * 5},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21},
    },
    separators=(",", ":"),
)


def _event(delta: str, finish: str) -> str:
    """One event as nginx's configuration writes it: line ends as escapes."""
    choice = f'{{"index":0,"delta":{delta},"finish_reason":{finish}}}'
    head = '"id":"c","object":"chat.completion.chunk","created":1,"model":"m1"'
    return f'data: {{{head},"choices":[{choice}]}}\\n\\n'


STREAM = (
    _event('{"role":"assistant","content":"Hello"}', "null")
    + _event('{"content":" there"}', "null")
    + _event("{}", '"stop"')
    + "data: [DONE]\\n\\n"
)

LONG = 1000
"""Events with content in the long stream."""

_NGINX = """
daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; default_type application/json;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ return 200 '{answer}'; }}
    location /stream/ {{ default_type text/event-stream; return 200 "{stream}"; }}
    location /long/ {{ error_page 405 =200 /long.sse; return 405; }}
    location = /long.sse {{ root {dir}; default_type text/event-stream; }}
  }}
}}
"""


@dataclass(frozen=True)
class Upstream:
    url: str
    stream_url: str
    long_url: str


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """Short, because a UNIX socket's path may have 107 bytes."""
    place = tempfile.mkdtemp(prefix="mb")
    try:
        yield Path(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def process(
    *command: str, env: dict[str, str] | None = None, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A child that is terminated, and if need be killed, at the end."""
    out = log.open("wb") if log else subprocess.DEVNULL
    child = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **(env or {})})
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if log:
            out.close()


def wait_for(condition: object, what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {seconds:g} s")
        time.sleep(0.005)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def nginx() -> Iterator[Upstream]:
    """An upstream that costs next to nothing. Raises FileNotFoundError where nginx is not installed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise FileNotFoundError("the benchmarks need nginx: apt-get install nginx-light")
    with directory() as place:
        port = free_port()
        # In nginx's own strings "$" begins a variable, and the quotes of JSON end the string.
        config = _NGINX.format(dir=place, port=port, answer=ANSWER.replace("'", ""), stream=STREAM.replace('"', '\\"'))
        (place / "nginx.conf").write_text(config)
        first, rest = _event('{"role":"assistant","content":"Hello"}', "null"), _event('{"content":" there"}', "null")
        events = first + (LONG - 1) * rest + _event("{}", '"stop"') + "data: [DONE]\\n\\n"
        place.chmod(0o755)  # nginx reads files as another user, if it was started by root
        (place / "long.sse").write_text(events.replace("\\n", "\n"))
        with process(program, "-c", str(place / "nginx.conf"), "-p", str(place)):
            wait_for(lambda: answers(port), "nginx")
            base = f"http://127.0.0.1:{port}"
            yield Upstream(f"{base}/v1", f"{base}/stream/v1", f"{base}/long/v1")


@dataclass(frozen=True)
class Daemon:
    socket: str
    pid: int
    config: Path
    started_in: float  # s, from the start of the process until its socket answered


def configuration(providers: dict[str, str]) -> str:
    """One chat pool a provider, named like it; and all of them in `chat`."""
    return json.dumps(
        {
            "providers": {
                name: {"connector": "openai-compatible.v1", "base_url": url, "auth": {"method": "none"}}
                for name, url in providers.items()
            },
            "models": {
                f"{name}.m1": {"provider": name, "model": "m1", "capabilities": ["chat-completion"]}
                for name in providers
            },
            "pools": {name: {"models": [f"{name}.m1"]} for name in providers},
            "discovery": {"local": {"enabled": False}, "sync": {"enabled": False}},
        }
    )


@contextlib.contextmanager
def daemon(config: str, module: str = "meshd", env: dict[str, str] | None = None) -> Iterator[Daemon]:
    """module: the program that it is."""
    with directory() as place:
        file = place / "mesh.json"
        file.write_text(config)
        path = place / "s"
        env = {"NOTIFY_SOCKET": str(place / "n"), "XDG_STATE_HOME": str(place / "state"), **(env or {})}
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as notify:
            notify.bind(str(place / "n"))
            notify.settimeout(0.1)
            began = time.monotonic()
            command = (sys.executable, "-m", module, "--config", str(file), "--socket", str(path))
            with process(*command, env=env, log=place / "log") as child:
                while not _says_ready(notify):
                    if child.poll() is not None or time.monotonic() > began + 20:
                        raise RuntimeError(f"the daemon did not start: {(place / 'log').read_text()}")
                yield Daemon(str(path), child.pid, file, time.monotonic() - began)


def _says_ready(notify: socket.socket) -> bool:
    try:
        return b"READY=1" in notify.recv(4096)
    except TimeoutError:
        return False
