"""Bodies that come compressed without a request for it: read or refused by the name of their coding, at once."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import brotli
import msgspec
import pytest

from meshd.connectors.providers.openai import OpenAIProvider
from meshd.net.encodings import zstd_module
from meshd.operations.chat import CHAT
from meshd.sdk import FailureKind, ProviderCall, ProviderFailure, ProviderSettings
from tests.support.formats.http_requests import requests_of

ANSWER = json.dumps(
    {"id": "a", "object": "chat.completion", "model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 2},
     "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}]}
).encode()  # fmt: skip
STREAM = b"".join(
    b"data: %s\n\n" % chunk
    for chunk in (
        b'{"choices":[{"index":0,"delta":{"content":"hel"},"finish_reason":null}]}',
        b'{"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}',
        b"[DONE]",
    )
)
LIST = b'{"object":"list","data":[{"id":"m1"},{"id":"m2"}]}'
REFUSAL = b'{"error":{"message":"This model\'s maximum context length is 10 tokens","code":"context_length_exceeded"}}'


def bare(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


def brotli_then_gzip(data: bytes) -> bytes:
    return gzip.compress(brotli.compress(data))


def zstd(data: bytes) -> bytes:
    return bytes(zstd_module().compress(data))


CODED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "X-GZIP ": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": bare,
    "br": brotli.compress,
    "zstd": zstd,
    "br, gzip": brotli_then_gzip,
    "br , identity,GZIP": brotli_then_gzip,
    "identity": bytes,
    "utf-8": bytes,
}
PARTS = [pytest.param(name, make, id=name) for name, make in CODED.items()]


@asynccontextmanager
async def serving(coding: str, body: bytes, status: int = 200, kind: str = "application/json") -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            asked.append(head.lower())
            head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n".encode()
            writer.write(head + f"Content-Encoding: {coding}\r\nConnection: close\r\n\r\n".encode() + body)
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    asked: list[bytes] = []
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    assert all(b"accept-encoding: identity\r\n" in head for head in asked)


@asynccontextmanager
async def provider(coding: str, body: bytes, **options: object) -> AsyncIterator[OpenAIProvider]:
    async with serving(coding, body, **options) as url:  # type: ignore[arg-type]
        made = OpenAIProvider(ProviderSettings("p", "c", base_url=url))
        try:
            yield made
        finally:
            await made.aclose()


def call(**options: object) -> ProviderCall:
    fields = {"messages": msgspec.Raw(b'[{"role":"user","content":"hi"}]')}
    return ProviderCall(CHAT, "m", fields, **({"timeout": 10.0} | options))  # type: ignore[arg-type]


async def streamed(made: OpenAIProvider) -> str:
    return "".join([event.text async for event in made.stream(call(stream=True))])


@pytest.mark.parametrize(("coding", "make"), PARTS)
async def test_an_answer(coding, make):
    async with provider(coding, make(ANSWER)) as made:
        answer = await made.execute(call())
    assert answer.body == ANSWER
    assert answer.usage is not None
    assert answer.usage.output_tokens == 2
    assert not [name for name in answer.headers if name.lower() == "content-encoding"]


@pytest.mark.parametrize(("coding", "make"), PARTS)
@pytest.mark.parametrize(("body", "kind"), [(STREAM, "text/event-stream"), (STREAM, "text/plain"), (ANSWER, "a/b")])
async def test_a_stream(coding, make, body, kind):
    async with provider(coding, make(body), kind=kind) as made:
        assert await streamed(made) == "hello"


@pytest.mark.parametrize(("coding", "make"), PARTS)
async def test_an_error_and_a_list(coding, make):
    async with provider(coding, make(REFUSAL), status=400) as made:
        for asked in (made.execute(call()), streamed(made)):
            with pytest.raises(ProviderFailure, match="maximum context length") as caught:
                await asked
            assert caught.value.kind is FailureKind.CONTEXT_LENGTH
    async with provider(coding, make(LIST)) as made:
        assert [model.id for model in await made.list_models()] == ["m1", "m2"]


@pytest.mark.parametrize("coding", ["snappy", "gzip, lzma", "compress"])
async def test_what_is_not_known_is_the_providers_failure_by_its_name(coding):
    async with provider(coding, ANSWER) as made:
        for asked in (made.execute(call()), streamed(made), made.list_models()):
            with pytest.raises(ProviderFailure) as caught:
                await asked
            assert caught.value.kind is FailureKind.BAD_ANSWER
            said = caught.value.message
            assert f"has the content encoding `{coding.rpartition(' ')[2]}`, which is not known here" in said
            assert "\n" not in said
    async with provider(coding, ANSWER, status=429) as made:  # the status says enough
        with pytest.raises(ProviderFailure) as caught:
            await made.execute(call())
        assert caught.value.kind is FailureKind.RATE_LIMIT


@pytest.mark.parametrize("name", ["gzip", "deflate", "Deflate", "br", "zstd", "br, gzip"])
@pytest.mark.parametrize("harm", ["cut", "not coded at all", "changed"])
async def test_what_is_broken_is_the_providers_failure(name, harm):
    def harmed(body: bytes) -> bytes:
        coded = CODED[name](body)
        if harm == "changed":
            middle = len(coded) // 2
            return coded[:middle] + bytes(byte ^ 0x5A for byte in coded[middle : middle + 30]) + coded[middle + 30 :]
        return coded[: len(coded) * 2 // 3] if harm == "cut" else body

    async with provider(name, harmed(ANSWER)) as made:
        with pytest.raises(ProviderFailure) as caught:
            await made.execute(call())
        assert caught.value.kind is FailureKind.BAD_ANSWER
    async with provider(name, harmed(STREAM), kind="text/event-stream") as made:
        with pytest.raises(ProviderFailure) as caught:
            await streamed(made)
        assert caught.value.kind in (FailureKind.BAD_ANSWER, FailureKind.STREAM_CUT)


def flushing(coding: str) -> Callable[[bytes], bytes]:
    """Compresses events one by one, as a server that streams does."""
    if coding == "br":
        of_brotli = brotli.Compressor()
        return lambda data: of_brotli.process(data) + of_brotli.flush()
    if coding == "zstd":
        of_zstd = zstd_module().ZstdCompressor()
        return lambda data: of_zstd.compress(data, mode=of_zstd.FLUSH_BLOCK)
    made = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    return lambda data: made.compress(data) + made.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("ends", ["said", "closed"])
async def test_each_event_is_seen_as_soon_as_it_is_flushed(coding, ends):
    """The server sends no event before the one before it has been seen."""
    seen = asyncio.Semaphore(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n")
        writer.write(f"Content-Encoding: {coding}\r\n\r\n".encode())
        coded = flushing(coding)
        for number in range(10):
            finish = b'"stop"' if number == 9 else b"null"
            choice = b'{"index":0,"delta":{"content":"%d"},"finish_reason":%s}' % (number, finish)
            writer.write(coded(b'data: {"choices":[%s]}\n\n' % choice))
            await writer.drain()
            await asyncio.wait_for(seen.acquire(), 10)
        if ends == "said":
            writer.write(coded(b"data: [DONE]\n\n"))
        writer.close()  # in the middle of the coding, as servers that stream do

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        made = OpenAIProvider(ProviderSettings("p", "c", base_url=url))
        text = ""
        async for event in made.stream(call(stream=True)):
            text += event.text
            seen.release()
        await made.aclose()
    assert text == "0123456789"


async def test_the_clock_rings_while_there_is_something_to_undo():
    """Endless signs of life, in a few bytes: no other task on the loop waits for them."""
    made_of = zlib.compressobj(wbits=31)
    beats = made_of.compress(b": alive\n\n" * 1_000_000)
    body = beats + b"".join(made_of.compress(b": alive\n\n" * 1_000_000) for _ in range(30)) + made_of.flush()
    longest = 0.0
    loop = asyncio.get_running_loop()

    async def turns() -> None:
        nonlocal longest
        while True:
            before = loop.time()
            await asyncio.sleep(0)
            longest = max(longest, loop.time() - before)

    async with provider("gzip", body, kind="text/event-stream") as made:
        task = asyncio.create_task(turns())
        with pytest.raises(ProviderFailure) as caught:
            async for _ in made.stream(call(stream=True, first_token_timeout=0.2)):
                pass
        task.cancel()
    assert caught.value.kind is FailureKind.TIMEOUT
    assert longest < 0.19  # of 270 MB that would take seconds


def test_a_wish_for_compression_is_one_for_what_can_be_read():
    made = requests_of(ProviderSettings("p", "c", base_url="http://h", headers={"accept-encoding": "gzip, lzma"}))
    assert made.headers.getall("Accept-Encoding") == ["gzip"]
