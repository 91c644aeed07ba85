"""A scripted upstream on a real socket, and the connector pointed at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from meshd.cdk import ProviderSettings
from meshd.connectors.providers.openai import OpenAIProvider
from meshd.connectors.providers.scripted_server import ScriptedServer

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
