"""HTTP over TLS on a real daemon: a handshake, a renewed certificate, and clients that do not know of it."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import socket
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.gateway.conftest import CONFIG
from tests.support.network.certificates import certificate
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


def test_a_client_without_tls_is_told_why_and_nothing_else(meshd: Any, short: Path) -> None:
    cert, key = certificate(short, "c")
    daemon = meshd({**CONFIG, "proxy": section(cert, key)})
    (url,) = daemon.status()["http"]["addresses"]
    host, port = url.removeprefix("https://").split(":")

    def said(sent: bytes) -> bytes:
        with socket.create_connection((host, int(port)), timeout=WAIT) as line:
            line.sendall(sent)
            line.shutdown(socket.SHUT_WR)
            found = b""
            with contextlib.suppress(ConnectionError):
                while data := line.recv(65536):
                    found += data
            return found

    for target in ("/health", "/v1/models", "/mesh/v1/status", "/nothing"):
        plain = httpx.get(f"http://{host}:{port}{target}", headers={"authorization": f"Bearer {TOKEN}"})
        assert (plain.status_code, plain.json()["error"]["code"]) == (400, "tls_required")
        assert "https://" in plain.json()["error"]["message"]
        assert plain.headers["connection"] == "close"
    long = httpx.post(f"http://{host}:{port}/v1/chat/completions", content=bytes(3 * 2**20))
    assert long.status_code == 400
    ahead = said(b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
    assert (ahead.count(b"HTTP/1.1"), ahead[:13]) == (1, b"HTTP/1.1 400 ")
    for odd in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"get / http/1.1\r\n\r\n"):
        assert said(odd).startswith(b"HTTP/1.1 4")
    for rubbish in (b"", b"\x80.\x01\x03\x01", b"\0\0\0", b"\x16\x03\x01\0"):
        assert not said(rubbish).startswith(b"HTTP")
    with socket.create_connection((host, int(port)), timeout=WAIT) as line:  # its first byte comes alone
        in_pieces(line, cert)
    assert answer(url, cert).status_code == 200


def in_pieces(line: socket.socket, cert: Path) -> None:
    """A handshake over it, whose first message is sent one byte at a time."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context(cafile=str(cert)).wrap_bio(incoming, outgoing, server_hostname="localhost")
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        try:
            return tls.do_handshake()
        except ssl.SSLWantReadError:
            hello = outgoing.read()
            for at in range(len(hello)):
                line.sendall(hello[at : at + 1])
            incoming.write(line.recv(65536))


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
