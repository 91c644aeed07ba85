"""Certificates that change under a running daemon."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from yarl import URL

from meshd.config import MeshConfig
from meshd.net.connections.tls import tls_context
from meshd.net.failures import CertificateRefused
from meshd.net.http import Transport, UpstreamBody
from tests.support.network.certificates import certificate


def renewed_certificate(tmp_path: Path) -> tuple[ssl.SSLContext, Path, Path, Path]:
    """A server's context with its new certificate; the old and the new one; a file that vouches for the old."""
    old, _ = certificate(tmp_path, "old")
    new, key = certificate(tmp_path, "new")
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(old.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(new, key)
    return context, old, new, ca_file


async def say_hi(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
    await writer.drain()
    writer.close()


async def test_a_ca_file_is_read_again_after_a_change(tmp_path: Path) -> None:
    context, old, new, ca_file = renewed_certificate(tmp_path)
    async with await asyncio.start_server(say_hi, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        transport = Transport(secure=True, host="127.0.0.1", port=port, ca_file=str(ca_file), environ={})
        request = "GET", URL(f"https://127.0.0.1:{port}/"), {}
        with pytest.raises(CertificateRefused, match="certificate"):
            await transport.send(transport.head(*request))
        ca_file.write_bytes(old.read_bytes() + new.read_bytes())
        answer = await transport.send(transport.head(*request))
        assert await UpstreamBody(answer).read(100) == b"hi"
        ca_file.unlink()  # replaced in two steps: what was trusted is until there is another
        answer = await transport.send(transport.head(*request))
        assert await UpstreamBody(answer).read(100) == b"hi"
        await transport.aclose()


@pytest.mark.parametrize("first", [b"", b"-----BEGIN CERT", None], ids=["emptied", "in pieces", "gone"])
async def test_no_request_fails_while_a_ca_file_is_replaced(tmp_path: Path, first: bytes | None) -> None:
    """The server has its new certificate a moment before the file has who vouches for it."""
    context, old, new, ca_file = renewed_certificate(tmp_path)
    async with await asyncio.start_server(say_hi, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        transport = Transport(secure=True, host="127.0.0.1", port=port, ca_file=str(ca_file), environ={})
        request = "GET", URL(f"https://127.0.0.1:{port}/"), {}
        tls_context(str(ca_file))
        if first is None:
            ca_file.unlink()
        else:
            ca_file.write_bytes(first)
        asyncio.get_running_loop().call_later(0.3, ca_file.write_bytes, old.read_bytes() + new.read_bytes())
        answers = await asyncio.gather(*[transport.send(transport.head(*request)) for _ in range(16)])
        assert {await UpstreamBody(answer).read(100) for answer in answers} == {b"hi"}
        await transport.aclose()


def test_a_wrong_ca_file_is_told_at_validation(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing\n")

    def told(path: Path) -> str:
        provider = {"connector": "openai-compatible.v1", "base_url": "https://h/v1", "ca_file": str(path)}
        (problem,) = MeshConfig({"providers": {"p": provider}}, environ={}).validate()
        return str(problem)

    assert told(tmp_path / "absent.pem").endswith("absent.pem cannot be read: No such file or directory")
    assert told(tmp_path / "empty.pem").endswith("empty.pem holds no certificates in PEM form")
    with pytest.raises(OSError, match="cannot be read"):
        tls_context(str(tmp_path / "absent.pem"))
