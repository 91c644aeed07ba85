"""What the OpenAI SDK has and the mesh does not is told as that, and its absence can be detected."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import subprocess
import sys
from typing import Any

import openai
import pytest

import modelmesh

CLIENTS = {"blocking": modelmesh.OpenAIClient, "asyncio": modelmesh.AsyncOpenAIClient}
SDK = openai.OpenAI(api_key="x")
PARTS = sorted(
    name
    for name in dir(SDK)
    if not name.startswith("_") and type(getattr(SDK, name)).__module__.startswith("openai.resources")
)
OFFERED = {
    "audio",
    "batches",
    "beta",
    "chat",
    "completions",
    "embeddings",
    "files",
    "images",
    "models",
    "moderations",
    "responses",
}


def made(kind: str) -> Any:
    return CLIENTS[kind]("/nowhere/x", max_retries=0)


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_there_or_says_what_is(kind: str, name: str) -> None:
    client = made(kind)
    if name in OFFERED:
        assert hasattr(client, name)
        return
    assert not hasattr(client, name)
    assert getattr(client, name, None) is None
    with pytest.raises(AttributeError) as caught:
        getattr(client, name)
    assert f"the mesh does not offer client.{name} (yet)" in str(caught.value)
    assert "client.chat.completions" in str(caught.value)
    assert isinstance(caught.value, modelmesh.NotOfferedError)
    assert isinstance(caught.value, openai.NotFoundError)
    assert caught.value.status_code == 404
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


def methods(part: Any) -> list[str]:
    return sorted(name for name, value in inspect.getmembers(part) if not name.startswith("_") and callable(value))


METHODS = [
    (path, name)
    for path in ("chat.completions", "completions", "embeddings", "models", "beta", "beta.chat", "chat")
    for name in methods(eval(f"SDK.{path}"))
]


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(("path", "name"), METHODS)
def test_a_method_is_there_or_says_what_is(kind: str, path: str, name: str) -> None:
    part = made(kind)
    for step in path.split("."):
        part = getattr(part, step)
    if name in ("create", "parse", "stream", "with_raw_response", "with_streaming_response") or path == "models":
        assert hasattr(part, name) or name == "delete"
        return
    with pytest.raises(AttributeError, match=r"the mesh does not offer client\..* \(yet\), but client\."):
        getattr(part, name)


@pytest.mark.parametrize("kind", CLIENTS)
def test_what_protocols_look_for_is_plainly_absent(kind: str) -> None:
    client = made(kind)
    for name in ("__deepcopy__", "_repr_html_", "__array__", "_ipython_canary_method_should_not_exist_"):
        with pytest.raises(AttributeError) as caught:
            getattr(client, name)
        assert not isinstance(caught.value, modelmesh.MeshError)
    assert copy.copy(client).max_retries == 0
    assert client.with_raw_response.chat is not None
    with pytest.raises(AttributeError, match="does not offer"):
        _ = client.with_streaming_response.fine_tuning
    with pytest.raises(AttributeError, match=r"does not offer client\.uploads"):
        client.uploads.create(file=b"", purpose="batch")


def test_without_the_sdk_it_is_told_the_same() -> None:
    code = (
        "import modelmesh\n"
        "try: modelmesh.OpenAIClient('/nowhere/x').fine_tuning\n"
        "except modelmesh.NotFoundError as error: print(type(error).__name__, error.code)\n"
        "print(hasattr(modelmesh.OpenAIClient('/nowhere/x'), 'vector_stores'))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout.split() == ["NotOfferedError", "not_offered", "False"]


def test_closed_is_closed_for_all_that_share_the_connection() -> None:
    client = made("blocking")
    other = client.with_options(timeout=1)
    assert (client.is_closed(), other.is_closed()) == (False, False)
    other.close()
    assert (client.is_closed(), other.is_closed()) == (True, True)

    async def run() -> None:
        client = made("asyncio")
        async with client:
            assert not client.is_closed()
        assert client.is_closed()
        assert client.copy().is_closed()

    asyncio.run(run())
