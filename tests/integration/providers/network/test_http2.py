"""HTTP/2 to real servers, through a real daemon: nginx and nghttpx before a scripted provider."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.network.certificates import certificate
from tests.support.network.ports import free_port
from tests.support.providers.servers.upstream import Upstream
from tests.support.waiting import WAIT, until

SERVERS = {"nginx": "/usr/sbin/nginx", "nghttpx": "/usr/sbin/nghttpx"}
WORDS = [f"{number} " for number in range(30)]
NGINX = """
daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/error.log;
events {{}}
http {{
  log_format seen "$server_protocol"; access_log {place}/nginx.log seen;
  client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place}; uwsgi_temp_path {place};
  scgi_temp_path {place};
  ssl_certificate {cert}; ssl_certificate_key {key};
  server {{
    listen 127.0.0.1:{http2} ssl http2; listen 127.0.0.1:{http1} ssl;
    http2_max_concurrent_streams 4; keepalive_requests 20;
    location / {{ proxy_pass {upstream}; proxy_http_version 1.1; proxy_buffering off; client_max_body_size 9m; }}
  }}
}}
"""


def nginx(place: Path, pair: tuple[Path, Path], upstream: str) -> tuple[list[str], dict[str, int]]:
    ports = {"nginx": free_port(), "http1": free_port()}
    text = NGINX.format(
        place=place, cert=pair[0], key=pair[1], http2=ports["nginx"], http1=ports["http1"], upstream=upstream
    )
    (place / "nginx.conf").write_text(text)
    return [SERVERS["nginx"], "-c", str(place / "nginx.conf"), "-p", str(place), "-e", str(place / "error.log")], ports


def nghttpx(place: Path, pair: tuple[Path, Path], upstream: str) -> tuple[list[str], dict[str, int]]:
    port = free_port()
    command = [
        *(SERVERS["nghttpx"], "--conf=/dev/null", f"--frontend=127.0.0.1,{port}"),
        *(f"--backend=127.0.0.1,{urlsplit(upstream).port}", "--workers=1"),
        *(f"--accesslog-file={place}/nghttpx.log", "--accesslog-format=$alpn", f"--errorlog-file={place}/nghttpx.err"),
        *(str(pair[1]), str(pair[0])),
    ]
    return command, {"nghttpx": port}


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


MAKERS = {"nginx": nginx, "nghttpx": nghttpx}


@pytest.fixture(scope="module")
def server(module_upstream: Any) -> Upstream:
    made: Upstream = module_upstream()
    return made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the servers, apart from the daemon's: nginx gives its directories to another user."""
    return tmp_path_factory.mktemp("http2")


@pytest.fixture(scope="module")
def ports(server: Upstream, place: Path) -> Iterator[dict[str, int]]:
    """By name: `nginx` and `nghttpx` as far as they are installed, and `http1`, nginx without HTTP/2."""
    made: dict[str, int] = {}
    processes = []
    pair = certificate(place, "server")
    for name, make in MAKERS.items():
        if shutil.which(SERVERS[name]) is not None:
            command, found = make(place, pair, server.url)
            processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            made |= found
    try:
        for port in made.values():
            until(lambda port=port: listens(port))
        yield made
    finally:
        for process in processes:
            process.kill()
            process.wait(WAIT)


@pytest.fixture(scope="module")
def address(ports: dict[str, int], module_meshd: Any, place: Path) -> tuple[str, int]:
    off = {"enabled": False}
    connection = {"auth": {"method": "none"}, "ca_file": str(place / "server.pem")}
    pool = {"http2": True, "max_connections": 4}
    daemon = module_meshd(
        {
            "providers": {
                name: {
                    "connector": "openai-compatible.v1",
                    "base_url": f"https://127.0.0.1:{port}/v1",
                    "connection_pool": pool,
                    **connection,
                }
                for name, port in ports.items()
            },
            "models": {name: {"provider": name, "model": "m", "capabilities": ["chat-completion"]} for name in ports},
            "pools": {f"to-{name}": {"models": [name]} for name in ports},
            "discovery": {"health": off, "local": off, "sync": off},
            "proxy": {"enabled": True, "port": "auto"},
        }
    )
    place = urlsplit(daemon.status()["http"]["addresses"][0])
    return str(place.hostname), int(place.port or 0)


@pytest.fixture(params=["nginx", "nghttpx", "http1"])
def name(request: pytest.FixtureRequest, ports: dict[str, int]) -> str:
    if request.param not in ports:
        pytest.skip(f"{request.param} is not installed (Debian: nginx-light, nghttp2-proxy)")
    return str(request.param)


@pytest.fixture
def ask(address: tuple[str, int], name: str) -> Callable[..., http.client.HTTPResponse]:
    def send(content: str, *, stream: bool = False) -> http.client.HTTPResponse:
        body = {"model": f"to-{name}", "stream": stream, "messages": [{"role": "user", "content": content}]}
        line = http.client.HTTPConnection(*address, timeout=WAIT)
        line.request("POST", "/v1/chat/completions", json.dumps(body))
        return line.getresponse()

    return send


Ask = Callable[..., http.client.HTTPResponse]


def test_many_requests_at_once(ask: Ask, name: str, server: Upstream, place: Path) -> None:
    """More than fit into a connection, and more than nginx takes over one before it says goodbye."""
    server.play([{"echo": True, "delay": "10ms"}])

    def said(number: int) -> str:
        with ask(f"<{number}>") as answer:
            document = json.load(answer)
            assert answer.status == 200, document
            return str(document["choices"][0]["message"]["content"])

    with ThreadPoolExecutor(40) as threads:
        for number, text in enumerate(threads.map(said, range(120))):
            assert f"<{number}>" in text
    seen = (place / f"{'nghttpx' if name == 'nghttpx' else 'nginx'}.log").read_text().split()
    assert {"nginx": "HTTP/2.0", "nghttpx": "h2", "http1": "HTTP/1.1"}[name] in seen


def test_a_stream_comes_as_it_is_sent(ask: Ask, server: Upstream) -> None:
    server.play([{"tokens": WORDS, "chunk_delay": "10ms"}])
    with ask("hi", stream=True) as answer:
        first = answer.readline()
        assert first.startswith(b"data: ")
        text = first + answer.read()
    events = [json.loads(line[6:]) for line in text.split(b"\n\n") if line.startswith(b"data: {")]
    told = [event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"]]
    assert "".join(told) == "".join(WORDS)


def test_a_large_request_and_answer(ask: Ask, server: Upstream) -> None:
    server.play([{"echo": True}])
    large = "word " * 300_000
    with ask(large) as answer:
        assert large.strip() in json.load(answer)["choices"][0]["message"]["content"]


def test_a_caller_that_leaves_lets_the_provider_go(ask: Ask, server: Upstream) -> None:
    server.play([{"tokens": ["x "] * 5000, "chunk_delay": "5ms"}])
    before = server.served["cancelled"]
    with ask("hi", stream=True) as answer:
        answer.readline()
    until(lambda: server.served["cancelled"] == before + 1)
