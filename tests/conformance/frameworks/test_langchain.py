"""langchain-openai and langchain-anthropic."""

from __future__ import annotations

import openai
import pytest

langchain = pytest.importorskip("langchain_openai")


@pytest.fixture
def model(door):
    def make(name):
        return langchain.ChatOpenAI(
            model=name,
            api_key="-",
            base_url=door.base_url,
            http_client=door.http(),
            http_async_client=door.async_http(),
        )

    return make


def test_chat(model):
    answer = model("echo").invoke([("system", "be brief"), ("human", "hi there")])
    assert answer.content == "[scripted] hi there"
    assert answer.usage_metadata["total_tokens"] > 0


def test_stream(model):
    chunks = [chunk.content for chunk in model("echo").stream("hi there")]
    assert "".join(chunks) == "[scripted] hi there"
    assert len(chunks) > 2


async def test_asyncio(model):
    assert (await model("echo").ainvoke("hi")).content == "[scripted] hi"
    assert "".join([chunk.content async for chunk in model("echo").astream("hi")]) == "[scripted] hi"


def test_parts_of_a_message(model):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    content = [{"type": "text", "text": "what is it"}, image]
    assert model("echo").invoke([("human", content)]).content.startswith("[scripted] what is it")


def test_tools(model, weather):
    (call,) = model("tools").bind_tools([weather], strict=True, parallel_tool_calls=False).invoke("Paris?").tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Paris"})


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_schema(model, person, method):
    assert model("schema").with_structured_output(person, method=method).invoke("who?") == person(name="Ada", age=36)


def test_errors(model):
    with pytest.raises(openai.BadRequestError, match="that is no good"):
        model("failing").invoke("hi")
