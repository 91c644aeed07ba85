"""A scripted upstream on a real socket, and the connector pointed at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from meshd.connectors.providers.openai import OpenAIProvider
from meshd.connectors.providers.scripted.server import ScriptedServer
from meshd.sdk import ProviderSettings

Start = Callable[..., Awaitable[tuple[ScriptedServer, OpenAIProvider]]]


@pytest.fixture
async def upstream() -> AsyncIterator[Start]:
    servers: list[ScriptedServer] = []
    providers: list[OpenAIProvider] = []

    async def start(script: Any = None, **settings: Any) -> tuple[ScriptedServer, OpenAIProvider]:
        server = ScriptedServer({"script": script} if script else None)
        url = await server.start()
        defaults = {"base_url": f"{url}/v1", "api_key": "sk-secret-of-the-test"}
        provider = OpenAIProvider(ProviderSettings("up", "openai-compatible.v1", **(defaults | settings)))
        servers.append(server)
        providers.append(provider)
        return server, provider

    yield start
    for provider in providers:
        await provider.aclose()
    for server in servers:
        await server.stop()


Say = Callable[..., Awaitable[OpenAIProvider]]


@pytest.fixture
async def say() -> AsyncIterator[Say]:
    """`say(body)`: a provider that answers with these bytes; `pieces` with a pause after each; `reset` at the end."""
    servers, providers = [], []

    async def start(
        *pieces: bytes, pause: float = 0.0, kind: str = "text/event-stream", reset: bool = False, stay: bool = False
    ) -> OpenAIProvider:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            framing = "Transfer-Encoding: chunked" if reset or stay else "Connection: close"
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n".encode())
            for piece in pieces:
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if reset or stay else piece)
                await writer.drain()
                await asyncio.sleep(pause)
            if stay:
                await reader.read()
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        servers.append(server)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        providers.append(OpenAIProvider(ProviderSettings("p", "openai-compatible.v1", base_url=url)))
        return providers[-1]

    yield start
    for provider in providers:
        await provider.aclose()
    for server in servers:
        server.close()
