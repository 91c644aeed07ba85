"""`modelmesh.testing`: clients that answer from a script."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

import modelmesh
from modelmesh.testing import async_mock_client, mock_client
from tests.support.client.calls import says


def ask(client, **options):
    return client.chat.completions.create(model="m", messages=says("hi"), **options)


def test_text_mappings_errors_and_callables():
    client = mock_client(
        responses=[
            "Hello",
            {"id": "1", "choices": [{"index": 0, "message": {"content": "whole"}}]},
            modelmesh.RateLimitError("slow down", retry_after=3),
            lambda call: call.messages[0]["content"].upper(),
        ]
    )
    reply = ask(client, temperature=0)
    assert (reply.choices[0].message.content, reply.model, reply.mesh.pool) == ("Hello", "m", "mock")
    assert ask(client).choices[0].message.content == "whole"
    with pytest.raises(modelmesh.RateLimitError) as raised:
        ask(client)
    assert raised.value.retry_after == 3
    assert ask(client).choices[0].message.content == "HI"
    assert [call.path for call in client.calls] == ["/v1/chat/completions"] * 4
    assert client.calls[0].body == {"model": "m", "messages": says("hi"), "temperature": 0}
    assert client.calls[0].model == "m"
    with pytest.raises(AssertionError, match="call 5"):
        ask(client)


def test_streams():
    client = mock_client(responses=[["a ", "b"], "one", ["x", modelmesh.StreamInterrupted("gone")], ["a", "b"]])
    stream = ask(client, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "a b"
    assert stream.mesh.provider == "mock"
    assert [chunk.choices[0].delta.content for chunk in ask(client, stream=True)] == ["one", None]
    with pytest.raises(modelmesh.StreamInterrupted) as raised:
        list(ask(client, stream=True))
    assert raised.value.text == "x"
    assert ask(client).choices[0].message.content == "ab"


def test_leaving_a_stream_is_seen():
    client = mock_client(responses=[["a", "b", "c"]])
    with ask(client, stream=True) as stream:
        next(stream)
    assert [call.stream for call in client.cancelled] == [True]


def test_other_paths_and_no_script():
    client = mock_client(responses=[[0.5, 1.0], "text", {"data": [{"name": "p"}]}])
    assert client.embeddings.create(model="e", input="x").data[0].embedding == [0.5, 1.0]
    assert client.completions.create(model="c", prompt="x").choices[0].text == "text"
    assert client.mesh.pools()[0].name == "p"
    unscripted = mock_client()
    assert [ask(unscripted).choices[0].message.content for _ in range(3)] == ["ok"] * 3


def test_the_asyncio_one_does_the_same():
    async def main():
        client = async_mock_client(responses=["Hello", ["a", "b"], modelmesh.MeshError("no")])
        assert (await ask(client)).choices[0].message.content == "Hello"
        texts = [chunk.choices[0].delta.content async for chunk in await ask(client, stream=True)]
        assert texts == ["a", "b", None]
        with pytest.raises(modelmesh.MeshError):
            await ask(client)
        assert len(client.calls) == 3

    asyncio.run(main())


def run_python(code):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


RARE = (
    "asyncio", "openai", "httpx", "ssl", "urllib.parse", "tomllib", "importlib.metadata", "meshd", "modelmesh.wording",
    "modelmesh._async.client", "modelmesh._http_view", "modelmesh._sync.resources.mesh",
)  # fmt: skip


def test_importing_brings_in_nothing_before_it_is_needed():
    listed = f"import sys; import modelmesh; modelmesh.OpenAIClient; print(*[m for m in {RARE!r} if m in sys.modules])"
    assert run_python(listed) == []
    plugin = "import modelmesh.testing.pytest_plugin, sys; print(*[m for m in ('zmq', 'msgspec') if m in sys.modules])"
    assert run_python(plugin) == []


def test_a_process_ends_quietly_with_its_client_open(daemon, socket_path):
    code = f"""
import modelmesh
client = modelmesh.OpenAIClient({socket_path!r}, timeout=10)
reply = client.chat.completions.create(model="m", messages=[{{"role": "user", "content": "hi"}}])
stream = client.chat.completions.create(model="m", messages=[{{"role": "user", "content": "a b"}}], stream=True)
print(reply.choices[0].message.content)
"""
    assert run_python(code) == ["hi"]


def test_children_that_were_forked_end_quietly_too(daemon, socket_path):
    code = f"""
import asyncio, gc, multiprocessing, modelmesh
client = modelmesh.OpenAIClient({socket_path!r}, timeout=10)
said = lambda text: {{"model": "m", "messages": [{{"role": "user", "content": text}}]}}
stream = client.chat.completions.create(**said("a b"), stream=True)
ask = lambda text: client.chat.completions.create(**said(text)).choices[0].message.content
def child():
    global stream
    assert ask("child") == "child"
    try:
        list(stream)
    except modelmesh.MeshError as error:
        assert error.code == "client_closed", error
    stream = None
    gc.collect()
assert ask("parent") == "parent"
fork = multiprocessing.get_context("fork")
children = [fork.Process(target=child) for _ in range(3)]
[one.start() for one in children]
[one.join(20) for one in children]
print(*[one.exitcode for one in children], ask("parent"), len(list(stream)))
"""
    assert run_python(code) == ["0", "0", "0", "parent", "2"]
