"""Forms of calls that are written for the OpenAI SDK, each side by side with it where it shows the same."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import BaseModel

import modelmesh
from tests.support.client.calls import says


class Item(BaseModel):
    name: str


@pytest.mark.parametrize("form", [list[Item], dict[str, Item], Item | None, tuple[int, ...]], ids=str)
@pytest.mark.parametrize("method", ["create", "parse"])
def test_a_type_that_is_not_a_class_is_refused_as_the_sdk_refuses_it(
    daemon: Any, client: Any, form: Any, method: str
) -> None:
    with pytest.raises(TypeError, match="Unsupported response_format type"):
        getattr(client.chat.completions, method)(model="m", messages=says("hi"), response_format=form)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_body_in_pieces_of_one_size(daemon: Any, client: Any, size: int, stream: bool) -> None:
    ask = client.chat.completions.with_streaming_response.create
    with ask(model="m", messages=says("Größe"), stream=stream) as response:
        pieces = list(response.iter_bytes(size))
    with ask(model="m", messages=says("Größe"), stream=stream) as response:
        letters = list(response.iter_text(chunk_size=size))
    assert {len(piece) for piece in pieces[:-1]} <= {size}
    assert 0 < len(pieces[-1]) <= size
    assert {len(piece) for piece in letters[:-1]} <= {size}
    assert 0 < len(letters[-1]) <= size
    assert stream or json.loads(b"".join(pieces))["choices"][0]["message"]["content"] == "Größe"
    assert len("".join(letters)) > 20


def test_a_body_in_pieces_for_asyncio(daemon: Any, socket_path: str) -> None:
    async def read() -> tuple[list[bytes], list[str]]:
        async with modelmesh.AsyncOpenAIClient(socket_path) as client:
            ask = client.chat.completions.with_streaming_response.create
            async with ask(model="m", messages=says("hello")) as response:
                pieces = [piece async for piece in response.iter_bytes(chunk_size=4)]
            async with ask(model="m", messages=says("hello"), stream=True) as response:
                return pieces, [piece async for piece in response.iter_text(9)]

    pieces, letters = asyncio.run(read())
    assert {len(piece) for piece in pieces[:-1]} == {4}
    assert {len(piece) for piece in letters[:-1]} == {9}
    assert "".join(letters).endswith("data: [DONE]\n\n")


def test_how_long_an_answer_took_is_known_over_the_transport(daemon: Any, socket_path: str) -> None:
    with modelmesh.http_client(socket=socket_path) as http:
        good = http.post("/chat/completions", json={"model": "m", "messages": says("hi")})
        bad = http.post("/nowhere", json={})
    for response in (good, bad):
        assert response.elapsed.total_seconds() >= 0
        assert int(response.headers["content-length"]) == len(response.content)
        assert response.json()
    with modelmesh.openai_client(socket=socket_path) as sdk:
        raw = sdk.chat.completions.with_raw_response.create(model="m", messages=says("hi"))
        assert raw.elapsed.total_seconds() >= 0


@pytest.mark.parametrize("name", ["transport", "proxy", "mounts"])
@pytest.mark.parametrize("make", [modelmesh.http_client, modelmesh.async_http_client])
def test_a_way_past_the_socket_is_refused(make: Any, name: str) -> None:
    with pytest.raises(TypeError, match=name):
        make(**{name: {"http://": "http://127.0.0.1:9"}})
    with modelmesh.http_client(socket="/nowhere/x", **{name: None}) as client:
        assert not client.is_closed
