"""The installed OpenAI SDK over the mesh's socket, whichever generation it is."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import tempfile

import pytest

import modelmesh
from modelmesh.protocol import CANCEL, REQUEST
from tests.support.client.fake_daemon import FakeDaemon, chunk, echo

openai = pytest.importorskip("openai")


def scripted(daemon, peer, message):
    body = json.loads(message.body) if message.body else {}
    text = body["messages"][-1]["content"] if "messages" in body else ""
    if message.head.path == "/v1/responses":
        created = {"type": "response.created", "sequence_number": 0, "response": {"id": "r", "output": []}}
        daemon.chunk(peer, message, created)
        daemon.error(peer, message, 502, code="stream_interrupted", **{"class": "StreamInterrupted"})
    elif text == "busy":
        mesh = {"class": "QueueFullError", "retryable": True, "retry_after": 0.01}
        daemon.error(peer, message, 429, **mesh)
    elif text == "bad":
        daemon.error(peer, message, 400, code="bad_thing")
    elif text == "exhausted":
        daemon.error(peer, message, 502, retryable=True, **{"class": "AllProvidersExhaustedError"})
    elif text == "broken":
        daemon.chunk(peer, message, chunk("so far"))
        daemon.error(peer, message, 502, **{"class": "StreamInterrupted"})
    elif text == "endless":
        daemon.chunk(peer, message, chunk("x"))
    elif text == "silent":
        pass
    elif message.head.path == "/v1/models":
        daemon.respond(peer, message, {"object": "list", "data": [{"id": "a", "object": "model"}]})
    elif message.head.path == "/v1/embeddings":
        daemon.respond(peer, message, {"object": "list", "data": [{"index": 0, "embedding": [0.5]}], "model": "e"})
    else:
        echo(daemon, peer, message)


@pytest.fixture
def daemon():
    directory = tempfile.mkdtemp(prefix="mm-")
    with FakeDaemon(os.path.join(directory, "mesh.sock"), scripted) as daemon:
        yield daemon
    shutil.rmtree(directory)


@pytest.fixture
def client(daemon, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with modelmesh.openai_client(socket=daemon.path) as client:
        yield client


def says(text):
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


def test_the_sdk_uses_its_own_http_library(client):
    generation = (
        "httpx2" if importlib.util.find_spec("httpx2") and int(openai.__version__.split(".")[0]) >= 3 else "httpx"
    )
    answer = client.models.with_raw_response.list()
    assert type(answer.http_response).__module__.split(".")[0] == generation


def test_replies_streams_and_lists(daemon, client):
    reply = client.chat.completions.create(**says("hi"))
    assert reply.choices[0].message.content == "hi"
    request = daemon.of_kind(REQUEST)[0]
    assert reply._request_id == request.request_id.hex()
    assert request.head.path == "/v1/chat/completions"
    assert not {"authorization", "host", "user-agent"} & set(request.head.headers)
    assert 0 < request.head.deadline_ms <= 600_000
    stream = client.chat.completions.create(**says("a b c"), stream=True)
    assert [item.choices[0].delta.content for item in stream] == ["a ", "b ", "c "]
    assert [model.id for model in client.models.list()] == ["a"]
    assert client.embeddings.create(model="e", input="x", encoding_format="float").data[0].embedding == [0.5]
    assert client.with_raw_response.models.list().headers["x-request-id"]


def test_errors_are_the_sdks(daemon, client):
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(**says("bad"))
    assert bad.value.code == "bad_thing"
    assert len(daemon.of_kind(REQUEST)) == 1
    with pytest.raises(openai.RateLimitError) as busy:
        client.chat.completions.create(**says("busy"))
    assert busy.value.response.headers["retry-after"] == "0.01"
    assert len(daemon.of_kind(REQUEST)) == 4
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**says("exhausted"))
    assert len(daemon.of_kind(REQUEST)) == 5
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**says("bad"), stream=True)
    with pytest.raises(openai.APIError, match="status 502"):
        list(client.chat.completions.create(**says("broken"), stream=True))
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.1, max_retries=0).chat.completions.create(**says("silent"))


def test_a_response_whose_stream_breaks_has_failed(client):
    """As over HTTP, and as OpenAI tells it: the SDK raises nothing."""
    created, failed = list(client.responses.create(model="m", input="x", stream=True))
    assert (created.type, failed.type, failed.sequence_number) == ("response.created", "response.failed", 1)
    assert (failed.response.id, failed.response.status, failed.response.error.code) == ("r", "failed", "server_error")


def test_no_daemon_is_a_connection_error(tmp_path):
    with (
        modelmesh.openai_client(socket=str(tmp_path / "none"), max_retries=0) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        client.models.list()


def test_leaving_a_stream_cancels_it(daemon, client):
    with client.chat.completions.create(**says("endless"), stream=True) as stream:
        next(iter(stream))
    daemon.wait_for(CANCEL)


def test_the_asyncio_client(daemon):
    async def main():
        async with modelmesh.async_openai_client(socket=daemon.path) as client:
            reply = await client.chat.completions.create(**says("hi"))
            assert reply.choices[0].message.content == "hi"
            stream = await client.chat.completions.create(**says("a b"), stream=True)
            assert [item.choices[0].delta.content async for item in stream] == ["a ", "b "]
            with pytest.raises(openai.BadRequestError):
                await client.chat.completions.create(**says("bad"))
            async with await client.chat.completions.create(**says("endless"), stream=True) as endless:
                async for _ in endless:
                    break
            await asyncio.get_running_loop().run_in_executor(None, daemon.wait_for, CANCEL)

    asyncio.run(main())


def test_an_http_client_of_ones_own_is_refused():
    with pytest.raises(TypeError, match="http_client"):
        modelmesh.openai_client(http_client=object())
