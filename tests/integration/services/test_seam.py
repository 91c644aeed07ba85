"""What all services can do: answers in pieces, questions asked again, jobs that are cancelled, named addresses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from meshd.connectors.providers.services.provider import ServiceProvider
from meshd.operations.known import OPERATIONS
from meshd.sdk.provider import FailureKind, ProviderCall, ProviderFailure, ProviderSettings
from meshd.services.known import SERVICES
from tests.support.providers.services.odd import SOUND, OddServer
from tests.support.waiting import until

KEY = "odd-key-0123456789"
QUIRKS = {"service": "odd", "statuses": {"456": "quota"}, "no_models_list": True}


@pytest.fixture(scope="module")
def server() -> Iterator[OddServer]:
    made = OddServer()
    yield made
    made.close()


@pytest.fixture
async def provider(server: OddServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServiceProvider]:
    monkeypatch.setitem(SERVICES, "odd", "tests.support.providers.services.odd:ODD")
    url = f"http://127.0.0.1:{server.port}/v1"
    made = ServiceProvider(ProviderSettings("odd", "odd.odd.v1", base_url=url, api_key=KEY, quirks=QUIRKS))
    yield made
    await made.aclose()


def call(operation: str, stream: bool = False, timeout: float = 10.0, **fields: Any) -> ProviderCall:
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
    return ProviderCall(OPERATIONS[operation], "m", raw, stream, timeout)


async def ask(provider: ServiceProvider, what: str, timeout: float = 10.0) -> str:
    answer = await provider.execute(call("moderations", timeout=timeout, input=what))
    return str(msgspec.json.decode(answer.body)["results"][0]["said"])


async def test_a_file_comes_in_pieces(provider: ServiceProvider) -> None:
    events = [event async for event in provider.stream(call("audio.speech", stream=True, input="Hello"))]
    assert b"".join(event.data for event in events) == SOUND
    assert events[0].content_type == "audio/mpeg"
    assert len(events) > 3
    assert events[-1].hidden
    assert events[-1].usage is not None
    assert events[-1].usage.units == (("characters", 5),)


async def test_a_file_that_is_left_closes_its_connection(provider: ServiceProvider) -> None:
    async with aclosing(provider.stream(call("audio.speech", stream=True, input="Hello"))) as events:
        assert (await anext(events)).data
    whole = await provider.execute(call("audio.speech", input="Hello"))
    assert (whole.body, whole.content_type) == (SOUND, "audio/mpeg")


async def test_a_question_is_asked_again(provider: ServiceProvider) -> None:
    assert await ask(provider, "flaky") == '{"tries": 3}'


async def test_what_is_too_large_is_not_read(provider: ServiceProvider) -> None:
    with pytest.raises(ProviderFailure, match="1000 bytes") as failure:
        await ask(provider, "large")
    assert failure.value.kind is FailureKind.BAD_ANSWER


async def test_a_status_of_its_own(provider: ServiceProvider) -> None:
    with pytest.raises(ProviderFailure, match="Quota Exceeded") as failure:
        await ask(provider, "own")
    assert (failure.value.kind, failure.value.status) == (FailureKind.QUOTA, 456)


@pytest.mark.parametrize("how", ["out of time", "cancelled"])
async def test_a_job_whose_call_ends_is_cancelled(provider: ServiceProvider, server: OddServer, how: str) -> None:
    server.asked.clear()
    running = asyncio.ensure_future(ask(provider, "jobs", timeout=0.2 if how == "out of time" else 10.0))
    polled, deleted = (("GET", "/v1/jobs/1", f"Bearer {KEY}"), ("DELETE", "/v1/jobs/1", f"Bearer {KEY}"))
    await asyncio.to_thread(until, lambda: polled in server.asked, what="the job is asked about")
    if how == "cancelled":
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    else:
        with pytest.raises(ProviderFailure) as failure:
            await running
        assert failure.value.kind is FailureKind.TIMEOUT
    await asyncio.to_thread(until, lambda: deleted in server.asked, what="the job is cancelled")


async def test_an_address_of_its_own_is_asked_with_the_key(provider: ServiceProvider, server: OddServer) -> None:
    assert "running" in await ask(provider, f"http://127.0.0.1:{server.port}/v1/status?of=1")
    assert server.asked[-1] == ("GET", "/v1/status", f"Bearer {KEY}")


@pytest.mark.parametrize(
    "address",
    [
        "https://elsewhere.example/file",
        "http://127.0.0.1:9/v1",
        "http://user@[::1",
        "file:///etc/passwd",
        "//x/y",
        "https://files.example.evil.example/x",
    ],
)
async def test_a_foreign_address_is_not_asked(provider: ServiceProvider, address: str) -> None:
    with pytest.raises(ProviderFailure, match="not its own") as failure:
        await provider.execute(call("moderations", input=address if address.startswith("http") else f"http{address}"))
    assert failure.value.kind is FailureKind.BAD_ANSWER


async def test_a_path_cannot_lead_out_of_the_api(provider: ServiceProvider, server: OddServer) -> None:
    with pytest.raises(ProviderFailure, match="not its own"):
        await ask(provider, "../admin")


async def test_an_operation_that_it_does_not_have(provider: ServiceProvider) -> None:
    with pytest.raises(ProviderFailure, match=r"has no rerank") as failure:
        await provider.execute(call("rerank", query="a", documents=["b"]))
    assert (failure.value.kind, failure.value.unsent) == (FailureKind.UNSUPPORTED, True)


async def test_it_cannot_be_probed_where_that_costs_something(provider: ServiceProvider) -> None:
    with pytest.raises(ProviderFailure):
        await provider.probe(5.0)
