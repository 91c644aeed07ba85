"""HTTP over TLS on a real daemon: a handshake, a renewed certificate, and clients that do not know of it."""

from __future__ import annotations

import hashlib
import shutil
import socket
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.gateway.conftest import CONFIG
from tests.support.certificates import certificate
from tests.support.waiting import WAIT, until

TOKEN = "mesh-test-token"
HI = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")


def section(cert: Path, key: Path) -> dict[str, Any]:
    tokens = [{"app": "editor", "hash": hashlib.sha256(TOKEN.encode()).hexdigest()}]
    auth = {"method": "bearer", "tokens": tokens}
    return {"enabled": True, "port": "auto", "tls": {"cert": str(cert), "key": str(key)}, "auth": auth}


def shown(url: str) -> str:
    """The certificate that the listener shows."""
    host, port = url.removeprefix("https://").split(":")
    return ssl.get_server_certificate((host, int(port)), timeout=WAIT).strip()


def answer(url: str, cert: Path) -> httpx.Response:
    trusted = ssl.create_default_context(cafile=str(cert))
    with httpx.Client(verify=trusted, timeout=WAIT, trust_env=False) as client:
        headers = {"authorization": f"Bearer {TOKEN}"}
        return client.post(f"{url}/v1/chat/completions", json=HI, headers=headers)


def test_a_handshake_and_a_renewed_certificate(meshd: Any, short: Path) -> None:
    first, second = certificate(short, "first"), certificate(short, "second")
    daemon = meshd({**CONFIG, "proxy": section(*first)})
    (url,) = daemon.status()["http"]["addresses"]
    assert url.startswith("https://")
    assert answer(url, first[0]).status_code == 200
    with pytest.raises(httpx.ConnectError):
        answer(url, second[0])
    for renewed, old in zip(second, first, strict=True):
        shutil.copy(renewed, old)
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    assert daemon.status()["http"]["addresses"] == [url], "it listens on"
    until(lambda: shown(url) == second[0].read_text().strip(), what="the new certificate is shown")
    assert answer(url, second[0]).status_code == 200


def test_a_client_without_tls_is_not_left_waiting(meshd: Any, short: Path) -> None:
    daemon = meshd({**CONFIG, "proxy": section(*certificate(short, "c"))})
    (url,) = daemon.status()["http"]["addresses"]
    host, port = url.removeprefix("https://").split(":")
    with socket.create_connection((host, int(port)), timeout=WAIT) as line:
        line.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            said = line.recv(1000)
        except ConnectionError:
            said = b""
    assert not said.startswith(b"HTTP/1.1 200")
    with httpx.Client(verify=False, timeout=WAIT) as client:
        assert client.get(f"{url}/health").status_code == 200


@pytest.mark.parametrize("lack", ["tls", "auth"])
def test_another_address_needs_a_token_and_tls(meshd: Any, short: Path, lack: str) -> None:
    proxy = {**section(*certificate(short, "c")), "host": "0.0.0.0"}
    del proxy[lack]
    daemon = meshd({**CONFIG, "proxy": proxy}, start=False)
    process = daemon.spawn()
    assert process.wait(WAIT) != 0
    assert "other machines can reach 0.0.0.0" in daemon.log()


@pytest.mark.parametrize("place", ["tcp", "unix", "tls"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_vanishes_lets_its_upstream_go_within_a_second(
    meshd: Any, upstream: Any, short: Path, place: str, stream: bool
) -> None:
    server = upstream([{"tokens": ["x "] * 5000, "chunk_delay": "5ms"} if stream else {"fault": "timeout"}])
    cert, key = certificate(short, "c")
    proxy = section(cert, key) if place == "tls" else {"enabled": True, "port": "auto", "socket": str(short / "h")}
    daemon = meshd(
        {
            "providers": {"p": server.provider()},
            "models": {"m": {"provider": "p", "model": "m", "capabilities": ["chat-completion"]}},
            "pools": {"chat": {"models": ["m"]}},
            "discovery": {"health": {"enabled": False}, "local": {"enabled": False}, "sync": {"enabled": False}},
            "proxy": proxy,
        }
    )
    address = daemon.status()["http"]["addresses"][0]
    host, port = address.partition("://")[2].split(":")
    if place == "unix":
        line: socket.socket = socket.socket(socket.AF_UNIX)
        line.connect(str(short / "h"))
    else:
        line = socket.create_connection((host, int(port)), timeout=WAIT)
    if place == "tls":
        line = ssl.create_default_context(cafile=str(cert)).wrap_socket(line, server_hostname="localhost")
    body = b'{"model":"chat","stream":%s,"messages":[{"role":"user","content":"hi"}]}' % str(stream).lower().encode()
    head = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\n" + head + body)
    until(lambda: server.served["open"] == 1, what="the upstream is asked")
    line.close()
    until(lambda: server.served["open"] == 0, 1.0, "the upstream is let go")
    assert server.served["cancelled"] == 1
