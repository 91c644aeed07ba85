"""A wrong `base_url`: one sentence names it, to the app and to the operator. Over real HTTP and TLS."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from meshd.connectors.providers.openai import OpenAIProvider
from meshd.operations.chat import CHAT
from meshd.sdk.provider import FailureKind, ProviderCall, ProviderFailure, ProviderSettings

PAGE = "<!DOCTYPE html><html><head><title>Open WebUI</title></head><body><div id=app></div></body></html>"
NGINX = "<html><head><title>404 Not Found</title></head><body><center><h1>404 Not Found</h1></center></body></html>"
KEY = "sk-a-key-that-nobody-sees"
ANSWER = {
    "id": "x", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip

# What servers answer where nothing is: (status, body, content type). `{path}` is the path that was asked for.
JSON = "application/json"
ELSEWHERE: dict[str, tuple[int, str, str]] = {
    "FastAPI": (404, '{"detail":"Not Found"}', JSON),
    "aiohttp": (404, "404: Not Found", "text/plain"),
    "Go": (404, "404 page not found\n", "text/plain"),
    "Express": (404, "<!DOCTYPE html><html><body><pre>Cannot POST {path}</pre></body></html>", "text/html"),
    "nginx": (404, NGINX, "text/html"),
    "nothing": (404, "", "text/plain"),
    "OpenAI": (404, '{"error":{"message":"Invalid URL (POST {path})","type":"invalid_request_error"}}', JSON),
    "llama-server": (404, '{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}', JSON),
    "wrong method": (405, '{"detail":"Method Not Allowed"}', JSON),
    "a web page": (200, PAGE, "text/html"),
    "a web page of no type": (200, "\ufeff\n <html><body>hello</body></html>", "text/plain"),
    "words": (200, "Ollama is running", "text/plain"),
    "an empty answer": (200, "", "text/plain"),
}  # fmt: skip
WRONG = {
    "without /v1": ("", "Most APIs are under /v1"),
    "another path": ("/v1/models", "is base_url right?"),
    "twice": ("/v1/v1", "It has /v1 twice"),
    "twice, and more": ("/v1/api/v1/", "It has /v1 twice"),
}
RIGHT = ("/v1", "/v1/", "//v1//", "/v1/chat/completions", "/v1/chat/completions/", "/v1/embeddings")


def application(elsewhere: tuple[int, str, str] = ELSEWHERE["FastAPI"]) -> web.Application:
    async def chat(request: web.Request) -> web.Response:
        return web.json_response(ANSWER)

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "m"}]})

    async def other(request: web.Request) -> web.Response:
        status, body, type = elsewhere
        return web.Response(status=status, text=body.replace("{path}", request.path), content_type=type)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    app.router.add_route("*", "/{rest:.*}", other)
    return app


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[int]]]:
    runners: list[web.AppRunner] = []

    async def start(app: web.Application, tls: ssl.SSLContext | None = None) -> int:
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        return int(runner.addresses[0][1])

    yield start
    for runner in runners:
        await runner.cleanup()


async def failures(base_url: str, **options: Any) -> list[ProviderFailure]:
    """Of a plain request, a stream, and the list of models."""
    provider = OpenAIProvider(
        ProviderSettings("p", "openai-compatible.v1", base_url=base_url, api_key=KEY, options=options)
    )
    fields = {"messages": msgspec.Raw(b'[{"role":"user","content":"hi"}]')}
    found = []

    def call(stream: bool) -> ProviderCall:
        return ProviderCall(CHAT, "m", fields, stream, 10.0, 10.0, 10.0, "r")

    async def stream() -> list[Any]:
        return [event async for event in provider.stream(call(True))]

    for ask in (lambda: provider.execute(call(False)), stream, provider.list_models):
        try:
            await ask()
        except ProviderFailure as failure:
            found.append(failure)
    await provider.aclose()
    assert not any(KEY in failure.message or "\n" in failure.message for failure in found)
    return found


@pytest.mark.parametrize(("path", "words"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("elsewhere", ELSEWHERE.values(), ids=ELSEWHERE)
async def test_it_names_base_url(serve: Any, elsewhere: tuple[int, str, str], path: str, words: str) -> None:
    base = f"http://127.0.0.1:{await serve(application(elsewhere))}"
    found = await failures(base + path)
    assert len(found) == 3
    for failure in found:
        assert failure.message.startswith(base)
        assert "is base_url right" in failure.message
        assert failure.message.count("base_url") == 1
        assert failure.kind in (FailureKind.UNSUPPORTED, FailureKind.BAD_ANSWER), "another provider is asked"
    for failure in found[:2]:
        assert words in failure.message
    if "page" in elsewhere[1] or elsewhere[1].startswith(("<!", "\ufeff")):
        assert elsewhere[0] != 200 or "a web page instead of an API's answer" in found[0].message


@pytest.mark.parametrize("path", RIGHT)
async def test_what_is_meant_is_taken(serve: Any, path: str) -> None:
    assert await failures(f"http://127.0.0.1:{await serve(application())}{path}") == []


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    cert, key = folder / "c.pem", folder / "k.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command to make a certificate")
async def test_http_and_https_for_each_other(serve: Any, tmp_path: Path) -> None:
    cert, context = certificate(tmp_path)
    plain, secure = await serve(application()), await serve(application(), context)
    for failure in await failures(f"https://127.0.0.1:{plain}/v1", ca_file=str(cert)):
        assert failure.message == f"127.0.0.1:{plain} does not speak TLS: base_url has to begin with http://"
        assert failure.unsent
    for failure in await failures(f"http://127.0.0.1:{secure}/v1"):
        assert "https://" in failure.message
    assert await failures(f"https://127.0.0.1:{secure}/v1", ca_file=str(cert)) == []


# What servers say who are spoken to without TLS where they want it, byte for byte.
COMPLAINTS = {
    "nginx": b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
    b"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head><body></body></html>",
    "Go": b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    "Apache": b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html><body><p>Reason: "
    b"You're speaking plain HTTP to an SSL-enabled server port.<br /></p></body></html>",
    "an alert of TLS": b"\x15\x03\x01\x00\x02\x02\x16",
    "nothing": b"",
}


@pytest.mark.parametrize("said", COMPLAINTS.values(), ids=COMPLAINTS)
async def test_a_server_that_needs_tls(said: bytes) -> None:
    async def complain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(complain, "127.0.0.1", 0) as server:
        found = await failures(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    assert len(found) == 3
    for failure in found:
        assert "base_url" in failure.message
        assert "https://" in failure.message
        assert failure.kind in (FailureKind.BAD_ANSWER, FailureKind.CONNECTION), "not the app's mistake"


async def test_a_server_that_has_answered_before_is_not_suspected(serve: Any) -> None:
    """It closes the connection because it crashed."""
    answers = True

    async def chat(request: web.Request) -> web.Response:
        if not answers:
            assert request.transport is not None
            request.transport.close()
        return web.json_response(ANSWER)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    port = await serve(app)
    provider = OpenAIProvider(ProviderSettings("p", "openai-compatible.v1", base_url=f"http://127.0.0.1:{port}/v1"))
    call = ProviderCall(CHAT, "m", {"messages": msgspec.Raw(b"[]")}, False, 10.0, 10.0, 10.0, "r")
    await provider.execute(call)
    answers = False
    with pytest.raises(ProviderFailure, match=r"closed the connection without an answer$"):
        await provider.execute(call)
    await provider.aclose()


@pytest.mark.parametrize("elsewhere", ["FastAPI", "a web page"])
def test_the_app_and_the_operator_are_told(meshd: Any, eventually: Any, elsewhere: str) -> None:
    from tests.support.daemons.pool_rule_cases import provider

    loop = asyncio.new_event_loop()
    runner = web.AppRunner(application(ELSEWHERE[elsewhere]), shutdown_timeout=0.1)
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", 0)
    loop.run_until_complete(site.start())
    port = runner.addresses[0][1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        daemon = meshd(
            {
                "providers": {
                    "p": {"connector": "openai-compatible.v1", "base_url": f"http://127.0.0.1:{port}", "api_key": "k"}
                },
                "models": {"p.m": {"provider": "p", "model": "m", "capabilities": ["chat-completion"]}},
            }
        )
        for stream in (False, True):
            with pytest.raises(Exception, match=r"base_url(?s:.*) Most APIs are under /v1") as caught:
                list(daemon.say(model="p.m", stream=stream) if stream else [daemon.say(model="p.m")])
            assert str(caught.value).count("base_url") == 1
        eventually(lambda: "is base_url right" in str(provider(daemon, "p")))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.run_until_complete(runner.cleanup())
        loop.close()
