"""With which key a call goes out, and that no key comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from meshd.connectors.providers.openai import OpenAIProvider
from meshd.operations.chat import CHAT
from meshd.sdk import FailureKind, ProviderCall, ProviderFailure, ProviderSettings
from tests.support.formats.http_requests import requests_of

KEYS = {"f1": "sk-first-key", "f2": "sk-second-key"}


def made(**settings: Any) -> OpenAIProvider:
    given = {"base_url": "https://h/v1", "api_key": "sk-first-key", "api_keys": KEYS} | settings
    return OpenAIProvider(ProviderSettings("p", "c", **given))


def sent(key: str = "", stream: bool = False, **settings: Any) -> Any:
    requests = requests_of(made(**settings).settings)
    return requests.headers_for(key, stream=stream)


@pytest.mark.parametrize(
    ("key", "carried"),
    [("", "sk-first-key"), ("f1", "sk-first-key"), ("f2", "sk-second-key"), ("gone", "sk-first-key")],
)
@pytest.mark.parametrize(("stream", "accept"), [(False, "application/json"), (True, "text/event-stream")])
def test_the_call_names_the_key(key, carried, stream, accept):
    headers = sent(key, stream)
    assert headers["Authorization"] == f"Bearer {carried}"
    assert headers["Accept"] == accept


def test_the_key_travels_as_the_provider_wants_it():
    headers = sent("f2", quirks={"api_key_header": "api-key"})
    assert headers["api-key"] == "sk-second-key"
    assert "Authorization" not in headers
    assert "Authorization" not in sent("f2", auth_method="none")
    headers = sent("f2", auth_method="bearer", quirks={"api_key_header": "api-key"})
    assert headers["Authorization"] == "Bearer sk-second-key"
    assert "api-key" not in headers


def test_no_key_is_repeated_in_a_failure():
    failure = ProviderFailure(FailureKind.AUTHENTICATION, "sk-second-key is wrong", body=b"sk-second-key, sk-first-key")
    made().credentials.clean(failure)
    assert failure.message == "••• is wrong"
    assert failure.body == "•••, •••".encode()


@pytest.mark.parametrize("arrives", [False, True])
async def test_what_an_earlier_try_may_have_cost_is_not_forgotten(monkeypatch, arrives):
    """Only if no try of them all arrived was nothing sent."""
    arrived = []

    async def serve_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await reader.readuntil(b"\r\n\r\n"))
        server.close()
        writer.transport.abort()

    server = await asyncio.start_server(serve_once, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if not arrives:
        server.close()
    monkeypatch.setattr("meshd.connectors.providers.http_exchanges.RETRY_DELAY", 0.0)
    provider = made(base_url=f"http://127.0.0.1:{port}/v1", max_retries=1)
    with pytest.raises(ProviderFailure) as caught:
        await provider.execute(ProviderCall(CHAT, "m", {"messages": msgspec.Raw(b"[]")}))
    await provider.aclose()
    assert caught.value.kind is FailureKind.CONNECTION
    assert (len(arrived), caught.value.unsent) == (int(arrives), not arrives)
