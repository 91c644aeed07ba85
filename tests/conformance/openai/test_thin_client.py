"""The thin client's helpers beside the OpenAI SDK's, over one daemon: the same requests give the same."""

from __future__ import annotations

import time
from enum import Enum
from typing import Literal

import openai
import pydantic
import pytest
from openai.lib._pydantic import to_strict_json_schema  # noqa: PLC2701 - what the SDK sends

import modelmesh
from modelmesh.testing import mock_client

SAID = [{"role": "user", "content": "hi there"}]


class Person(pydantic.BaseModel):
    name: str
    age: int


class Weather(pydantic.BaseModel):
    """The weather in a city."""

    city: str


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Node(pydantic.BaseModel):
    title: str = pydantic.Field(description="of the node")
    colour: Colour = pydantic.Field(description="beside a reference")
    kind: Literal["a", "b"] | None = None
    owner: Person = pydantic.Field(description="beside another")
    below: list[Node] = []
    either: Person | Weather | None = None
    names: dict[str, int] = {}


@pytest.fixture
def thin(daemon):
    with modelmesh.OpenAIClient(str(daemon.socket), max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
async def athin(daemon):
    async with modelmesh.AsyncOpenAIClient(str(daemon.socket), max_retries=0, timeout=20) as client:
        yield client


@pytest.mark.parametrize("cls", [Person, Weather, Node])
def test_a_class_is_sent_as_the_sdk_sends_it(cls):
    mock = mock_client()
    mock.chat.completions.create(model="m", messages=SAID, response_format=cls)
    assert mock.calls[0].body["response_format"]["json_schema"] == {
        "schema": to_strict_json_schema(cls),
        "name": cls.__name__,
        "strict": True,
    }


TOOLS = [openai.pydantic_function_tool(Weather, name="weather")]
CASES = {
    "a class": ("schema", {"response_format": Person}),
    "a tool": ("tools", {"tools": TOOLS}),
    "text": ("echo", {}),
    "a schema": ("schema", {"response_format": {"type": "json_object"}}),
}


def seen(completion):
    message = completion.choices[0].message
    calls = [(call.id, call.function.name, call.function.parsed_arguments) for call in message.tool_calls or ()]
    return message.content, message.parsed, calls, completion.choices[0].finish_reason


@pytest.mark.parametrize("case", CASES)
async def test_parse(client, thin, athin, case):
    model, options = CASES[case]
    theirs = client.chat.completions.parse(model=model, messages=SAID, **options)
    ours = thin.chat.completions.parse(model=model, messages=SAID, **options)
    assert seen(ours) == seen(theirs)
    assert ours.mesh.pool == model
    assert seen(await athin.chat.completions.parse(model=model, messages=SAID, **options)) == seen(theirs)
    if case == "a class":
        assert ours.model_dump()["choices"][0]["message"]["parsed"] == {"name": "Ada", "age": 36}


def told(event):
    names = ("type", "delta", "snapshot", "parsed", "content", "name", "index", "arguments", "arguments_delta")
    fields = {name: getattr(event, name, None) for name in (*names, "parsed_arguments")}
    if event.type == "chunk":
        fields["snapshot"] = event.snapshot.choices[0].message.content
    return fields


@pytest.mark.parametrize("case", CASES)
async def test_stream(client, thin, athin, case):
    model, options = CASES[case]
    asked = {"model": model, "messages": SAID, **options}
    with client.chat.completions.stream(**asked) as stream:
        theirs = [told(event) for event in stream]
        final = seen(stream.get_final_completion())
    with thin.chat.completions.stream(**asked) as stream:
        assert [told(event) for event in stream] == theirs
        assert seen(stream.get_final_completion()) == final
        assert stream.current_completion_snapshot.choices[0].finish_reason == final[3]
    async with athin.chat.completions.stream(**asked) as stream:
        assert [told(event) async for event in stream] == theirs
        assert seen(await stream.get_final_completion()) == final
    with thin.chat.completions.stream(**asked) as stream:
        assert seen(stream.until_done().get_final_completion()) == final


def test_what_cannot_be_read_is_refused(thin):
    with pytest.raises(ValueError, match="not strict"):
        thin.chat.completions.parse(
            model="tools", messages=SAID, tools=[{"type": "function", "function": {"name": "f"}}]
        )
    with pytest.raises(TypeError, match="Unsupported"):
        thin.chat.completions.parse(model="schema", messages=SAID, response_format=int)
    with pytest.raises(pydantic.ValidationError):
        thin.chat.completions.parse(model="schema", messages=SAID, response_format=Weather)


def test_create_takes_a_class(thin):
    answer = thin.chat.completions.create(model="schema", messages=SAID, response_format=Person)
    assert Person.model_validate_json(answer.choices[0].message.content).age == 36


def test_raw_responses_show_status_and_headers(client, thin):
    theirs = client.chat.completions.with_raw_response.create(model="echo", messages=SAID)
    for ours in (
        thin.chat.completions.with_raw_response.create(model="echo", messages=SAID),
        thin.with_raw_response.chat.completions.create(model="echo", messages=SAID),
    ):
        assert (ours.status_code, ours.content) == (theirs.status_code, theirs.content)
        assert {name for name in theirs.headers if name.startswith("x-mesh")} <= set(ours.headers)
        assert ours.headers["X-Mesh-Model"] == theirs.headers["x-mesh-model"]
        assert ours.parse().choices[0].message.content == "[scripted] hi there"
    parsed = thin.chat.completions.with_raw_response.parse(model="schema", messages=SAID, response_format=Person)
    assert parsed.parse().choices[0].message.parsed == Person(name="Ada", age=36)
    with pytest.raises(modelmesh.BadRequestError):
        thin.chat.completions.with_raw_response.create(model="bad", messages=SAID)
    assert thin.models.with_raw_response.list().parse().data


def test_raw_streams(thin):
    raw = thin.chat.completions.with_raw_response.create(model="echo", messages=SAID, stream=True)
    assert raw.headers["content-type"] == "text/event-stream"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse()) == "[scripted] hi there"


async def test_streaming_responses(thin, athin):
    with thin.chat.completions.with_streaming_response.create(model="echo", messages=SAID) as response:
        assert response.status_code == 200
        assert response.json()["choices"][0]["message"]["content"] == "[scripted] hi there"
    with thin.chat.completions.with_streaming_response.create(model="echo", messages=SAID, stream=True) as response:
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    asked = athin.chat.completions.with_streaming_response.create(model="echo", messages=SAID)
    async with asked as response:
        assert (await response.parse()).choices[0].message.content == "[scripted] hi there"


OUTLASTS = 1.2  # s, and a timeout that is much shorter
IN_A_HURRY = {"messages": SAID, "stream": True, "timeout": 0.5}


@pytest.mark.parametrize("which", ["client", "thin"])
def test_a_stream_may_last_longer_than_its_timeout_but_not_be_silent(which, client, thin):
    ask = {"client": client, "thin": thin}[which].chat.completions.create
    with ask(model="endless", **IN_A_HURRY) as stream:
        until = time.monotonic() + OUTLASTS
        assert any(time.monotonic() > until for _ in stream)
    with pytest.raises(openai.APITimeoutError):
        list(ask(model="silent", **IN_A_HURRY))


@pytest.mark.parametrize("which", ["aclient", "athin"])
async def test_nor_one_for_asyncio(which, aclient, athin):
    ask = {"aclient": aclient, "athin": athin}[which].chat.completions.create
    async with await ask(model="endless", **IN_A_HURRY) as stream:
        until = time.monotonic() + OUTLASTS
        async for _ in stream:
            if time.monotonic() > until:
                break
        else:
            pytest.fail("it ended")
    with pytest.raises(openai.APITimeoutError):
        async for _ in await ask(model="silent", **IN_A_HURRY):
            pass
