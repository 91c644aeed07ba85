"""Edges of the wire that the script does not reach: TLS, DNS, comments, slow readers, the server as a process."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import sys

import httpx
import msgspec
import pytest

from meshd.connectors.providers.openai import OpenAIProvider
from meshd.net.connections.tls import tls_context
from meshd.operations.chat import CHAT
from meshd.sdk import FailureKind, ProviderCall, ProviderFailure, ProviderSettings

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
WORD = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'


def call(**options: float | bool) -> ProviderCall:
    fields = {"messages": msgspec.Raw(b'[{"role":"user","content":"hi"}]')}
    return ProviderCall(CHAT, "m", fields, **({"timeout": 10.0} | options))  # type: ignore[arg-type]


def provider(base_url: str) -> OpenAIProvider:
    return OpenAIProvider(ProviderSettings("p", "c", base_url=base_url))


async def endless(beginning: bytes, piece: bytes, every: float = 0.02) -> tuple[asyncio.Server, str]:
    """Says `beginning`, then `piece` for ever."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + beginning)
        try:
            while True:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(every)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


@pytest.mark.parametrize(
    ("beginning", "kind"), [(b"", FailureKind.TIMEOUT), (WORD, FailureKind.STREAM_CUT)], ids=["at once", "later"]
)
async def test_comments_are_not_progress(beginning, kind):
    server, url = await endless(beginning, b": OPENROUTER PROCESSING\n\n")
    made = provider(url)
    with pytest.raises(ProviderFailure, match="fell silent" if beginning else "no first token") as caught:
        async for _ in made.stream(call(stream=True, first_token_timeout=0.15, idle_timeout=0.15)):
            pass
    assert caught.value.kind is kind
    await made.aclose()
    server.close()


@pytest.mark.parametrize("beginning", [b"", WORD], ids=["at once", "later"])
async def test_bytes_of_an_event_that_does_not_end_are_silence(beginning):
    server, url = await endless(beginning, b"d")
    made = provider(url)
    with pytest.raises(ProviderFailure, match="fell silent" if beginning else "no first token") as caught:
        async for _ in made.stream(call(stream=True, first_token_timeout=0.15, idle_timeout=0.15)):
            pass
    assert caught.value.kind is (FailureKind.STREAM_CUT if beginning else FailureKind.TIMEOUT)
    await made.aclose()
    server.close()


@pytest.mark.parametrize("beginning", [b"", WORD], ids=["at once", "later"])
async def test_a_line_that_never_ends_is_not_held_without_bound(monkeypatch, beginning):
    from meshd.formats import sse

    monkeypatch.setattr(sse, "MAX_PENDING", 1024 * 1024)
    server, url = await endless(beginning + b'data: {"choices":[{"delta":{"content":"', b"x" * 65536, every=0.0)
    made = provider(url)
    with pytest.raises(ProviderFailure, match="no event ended within 1048576 bytes") as caught:
        async for _ in made.stream(call(stream=True)):
            pass
    assert caught.value.kind is (FailureKind.STREAM_CUT if beginning else FailureKind.BAD_ANSWER)
    await made.aclose()
    server.close()


async def test_the_whole_call_has_a_limit_too():
    server, url = await endless(b"", WORD)
    made = provider(url)
    with pytest.raises(ProviderFailure, match=r"did not finish within 0\.2 s") as caught:
        async for _ in made.stream(call(stream=True, timeout=0.2)):
            pass
    assert caught.value.kind is FailureKind.STREAM_CUT
    await made.aclose()
    server.close()


async def test_a_slow_reader_is_not_silence_and_holds_the_upstream_back():
    written = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        try:
            for _ in range(400_000):
                writer.write(WORD)
                written += len(WORD)
                await writer.drain()
        except ConnectionError:
            pass

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    made = provider(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    stream = made.stream(call(stream=True, idle_timeout=0.05))
    await anext(stream)
    await asyncio.sleep(0.3)  # longer than the idle timeout: the app is slow, not the provider
    before = written
    await asyncio.sleep(0.05)
    assert written == before < 400_000 * len(WORD)
    for _ in range(1000):
        assert (await anext(stream)).text == "a"
    await stream.aclose()
    await made.aclose()
    server.close()


@pytest.mark.parametrize("piece", [b": still here\n\n", b'event: ping\ndata: {"type":"ping"}\n\n'])
async def test_a_finished_stream_that_stays_open_ends_all_the_same(monkeypatch, piece):
    from meshd.formats.stream import event_reader

    monkeypatch.setattr(event_reader, "LAST_WORDS", 0.1)
    last = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    server, url = await endless(WORD + last, piece, every=0.02)
    made = provider(url)
    events = [event async for event in made.stream(call(stream=True, timeout=5.0))]
    assert [event.finish_reason for event in events if not event.hidden] == [None, "stop"]
    await made.aclose()
    server.close()


async def test_a_choice_that_has_not_ended_is_missed():
    """Of several, one cannot stand for the others."""
    one = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
    other = b'data: {"choices":[{"index":1,"delta":{"content":"b"}}]}\n\n'
    server, url = await endless(other + one, b"", every=0.01)
    made = provider(url)
    with pytest.raises(ProviderFailure, match="fell silent"):
        async for _ in made.stream(call(stream=True, idle_timeout=0.15)):
            pass
    await made.aclose()
    server.close()


def test_certificates_are_verified():
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command to make a certificate")
async def test_an_unsigned_certificate_is_refused(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    made_it = await asyncio.create_subprocess_exec(
        *command, "-keyout", key, "-out", certificate, stderr=asyncio.subprocess.DEVNULL
    )
    assert await made_it.wait() == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    made = provider(f"https://localhost:{server.sockets[0].getsockname()[1]}/v1")
    with pytest.raises(ProviderFailure, match=r"TLS certificate of localhost:.* not accepted") as caught:
        await made.execute(call())
    assert caught.value.kind is FailureKind.CONNECTION
    await made.aclose()
    server.close()


async def test_a_name_that_does_not_exist():
    made = provider("http://no-such-host.invalid/v1")
    with pytest.raises(ProviderFailure, match=r"no-such-host\.invalid cannot be resolved") as caught:
        await made.execute(call())
    assert caught.value.kind is FailureKind.CONNECTION
    await made.aclose()


async def test_the_server_as_a_process(tmp_path):
    script = tmp_path / "script.json"
    script.write_text(json.dumps([{"reply": "from a process"}]))
    module = "meshd.connectors.providers.scripted.server"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, "--port", "0", "--script", str(script), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().removeprefix("listening on ").strip()
    made = provider(f"{url}/v1")
    answer = await made.execute(call())
    assert b"from a process" in answer.body
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        assert (await client.get("/_served")).json()["served"] == 1
        assert (await client.put("/_script", json=[{"reply": "x", "fault": "nope"}])).status_code == 400
        assert (await client.put("/_script", json=[{"error": 503}])).status_code == 200
    with pytest.raises(ProviderFailure) as caught:
        await made.execute(call())
    assert caught.value.status == 503
    await made.aclose()
    process.terminate()
    assert await process.wait() == 0


async def test_what_came_before_a_connection_broke_is_not_lost():
    """However late it is read: all of it was received, and will be charged."""
    words, done, closed = 20, asyncio.Event(), asyncio.Event()
    head = HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked")

    def chunk(content: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(content), content)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + chunk(WORD))
        await done.wait()
        writer.write(chunk(WORD * (words - 1)))
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        closed.set()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    made = provider(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    stream = made.stream(call(stream=True))
    text = (await anext(stream)).text
    done.set()
    async with asyncio.timeout(5.0):
        await closed.wait()
    for _ in range(100):  # all of it is in our socket: this loop reads the words, then the end
        await asyncio.sleep(0)
    with pytest.raises(ProviderFailure) as caught:  # noqa: PT012
        async for event in stream:
            text += event.text
    assert caught.value.kind is FailureKind.STREAM_CUT
    assert text == "a" * words
    await made.aclose()
    server.close()
