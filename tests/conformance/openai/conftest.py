"""A daemon with scripted providers, and the installed OpenAI SDK over its socket and over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.client.doors import Door, proxy
from tests.support.daemons.scripted import scripted

pytest.importorskip("openai")

CONFIG = scripted({}, capabilities=("chat-completion", "text-completion"))


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path) -> Any:
    return module_meshd({**CONFIG, "proxy": proxy(module_short)})


@pytest.fixture(params=["mesh", "tcp", "unix"])
def door(request: Any, daemon: Any, monkeypatch: pytest.MonkeyPatch) -> Door:
    """A proxy in the environment has no effect on it."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return Door(request.param, daemon)


@pytest.fixture
def client(door: Door) -> Any:
    """`openai.OpenAI`."""
    with door.openai() as client:
        yield client


@pytest.fixture
async def aclient(door: Door) -> Any:
    """`openai.AsyncOpenAI`."""
    async with door.async_openai() as client:
        yield client
