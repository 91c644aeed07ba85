"""Ollama's API of a real daemon, asked by Ollama's own client."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import ollama
import pytest

from tests.integration.gateway.conftest import CONFIG, provider
from tests.support.waiting import WAIT

HI: Any = [{"role": "user", "content": "hi there"}]
CALL = {"name": "weather", "arguments": {"city": "Graz"}}
WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture(scope="module")
def url(module_meshd: Any) -> str:
    models = {
        **CONFIG["models"],
        "caller.chat": {"provider": "caller", "capabilities": ["code-generation"]},
        "dying.chat": {"provider": "dying", "capabilities": ["code-generation"]},
    }
    providers = {
        **CONFIG["providers"],
        "caller": provider({"tool_call": CALL}),
        "dying": provider({"tokens": ["a ", "b "], "fault": "reset", "after": 1}),
    }
    daemon = module_meshd(
        {**CONFIG, "providers": providers, "models": models, "proxy": {"enabled": True, "port": "auto"}}
    )
    address: str = daemon.status()["http"]["addresses"][0]
    return address


@pytest.fixture
def client(url: str) -> ollama.Client:
    return ollama.Client(host=url, timeout=WAIT)


def test_a_chat(client: ollama.Client) -> None:
    answer = client.chat("chat:latest", messages=HI, options={"temperature": 0, "num_predict": 50})
    assert (answer.message.content, answer.done, answer.done_reason) == ("[scripted] hi there", True, "stop")
    assert answer.model == "chat"
    assert answer.prompt_eval_count
    assert answer.eval_count
    assert answer.total_duration is not None


def test_a_stream(client: ollama.Client) -> None:
    parts = list(client.chat("counting", messages=HI, stream=True))
    assert "".join(part.message.content or "" for part in parts).split() == [str(number) for number in range(200)]
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].eval_count


async def test_an_asynchronous_stream(url: str) -> None:
    client = ollama.AsyncClient(host=url, timeout=WAIT)
    stream = await client.chat("counting", messages=HI, stream=True)
    assert len([part async for part in stream]) > 100


def test_a_generation(client: ollama.Client) -> None:
    whole = client.generate("chat", "hi there", system="be brief")
    assert (whole.response, whole.done) == ("[scripted] hi there", True)
    parts = list(client.generate("counting", "count", stream=True))
    assert "".join(part.response for part in parts).split()[:3] == ["0", "1", "2"]
    assert client.generate("echo.chat", "x = ", suffix=" + 1").response
    assert client.generate("chat", "").done_reason == "load"


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_of_a_tool_and_its_result(client: ollama.Client, stream: bool) -> None:
    said: Any = client.chat("caller.chat", messages=HI, tools=[WEATHER], stream=stream)
    answers = list(said) if stream else [said]
    calls = [call for answer in answers for call in answer.message.tool_calls or ()]
    assert [(call.function.name, call.function.arguments) for call in calls] == [("weather", {"city": "Graz"})]
    result: Any = {"role": "tool", "tool_name": "weather", "content": "it rains"}
    messages = [*HI, answers[0].message, result, {"role": "user", "content": "and?"}]
    assert client.chat("echo.tools", messages=messages, tools=[WEATHER]).message.content == "[scripted] and?"


def test_an_image_and_a_schema(client: ollama.Client) -> None:
    image = base64.b64decode("R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs=")
    asked: Any = [{"role": "user", "content": "see?", "images": [image]}]
    assert client.chat("echo.tools", messages=asked, format="json").message.content == "[scripted] see? "
    assert client.generate("echo.tools", "a", format={"type": "object"}).response


def test_vectors(client: ollama.Client) -> None:
    answer = client.embed("echo.vectors", ["a", "b"])
    assert len(answer.embeddings) == 2
    assert len(answer.embeddings[0]) == len(client.embeddings("echo.vectors", "a").embedding)


def test_lists(client: ollama.Client, url: str) -> None:
    names = {model.model for model in client.list().models}
    assert {"chat", "counting", "echo.tools"} <= names
    shown = client.show("echo.tools")
    assert shown.capabilities == ["completion", "tools", "vision"]
    assert shown.modelinfo is not None
    assert shown.modelinfo["mesh.context_length"] == 100_000
    assert client.show("echo.vectors").capabilities == ["embedding"]
    assert client.ps().models == []
    assert httpx.get(f"{url}/api/version", timeout=WAIT).json()["version"]


def test_errors(client: ollama.Client, url: str) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        client.chat("nope", messages=HI)
    assert (caught.value.status_code, "nope" in caught.value.error) == (404, True)
    with pytest.raises(ollama.ResponseError) as caught:
        list(client.chat("refusing", messages=HI, stream=True))
    assert caught.value.status_code == 400
    with pytest.raises(ollama.ResponseError) as caught:
        list(client.chat("dying.chat", messages=HI, stream=True))
    assert caught.value.error
    answer = httpx.post(f"{url}/api/pull", json={"model": "chat"}, timeout=WAIT)
    assert (answer.status_code, list(answer.json())) == (404, ["error"])
