"""A server of HTTP/2, and a transport that knows its certificate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from meshd.net.answers import Answer
from meshd.net.http import Transport, UpstreamBody
from tests.support.network.certificates import certificate
from tests.support.providers.servers.http2_server import Peer, Serve, http2_server


class Client:
    """peers: the server's connections so far."""

    def __init__(self, transport: Transport, port: int, peers: list[Peer]) -> None:
        self.transport = transport
        self.port = port
        self.peers = peers
        self._origin = f"https://127.0.0.1:{port}"

    def head(self, method: str, path: str = "/", **headers: str) -> bytes:
        return self.transport.head(method, URL(self._origin + path), headers)

    async def send(self, body: bytes | None = None, method: str = "POST", path: str = "/", **headers: str) -> Answer:
        return await self.transport.send(self.head(method, path, **headers), body)

    async def ask(self, body: bytes | None = None, method: str = "POST", path: str = "/") -> bytes:
        return await UpstreamBody(await self.send(body, method, path)).read(10_000_000)


Serving = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("http2"), "server")


@pytest.fixture
def serving(pair: tuple[Path, Path]) -> Serving:
    @asynccontextmanager
    async def start(serve: Serve, settings: bytes = b"", **options: Any) -> AsyncIterator[Client]:
        async with http2_server(serve, pair, settings) as (port, peers):
            given: dict[str, Any] = {"ca_file": str(pair[0]), "environ": {}, "http2": True, **options}
            transport = Transport(secure=True, host="127.0.0.1", port=port, **given)
            try:
                yield Client(transport, port, peers)
            finally:
                await transport.aclose()

    return start
