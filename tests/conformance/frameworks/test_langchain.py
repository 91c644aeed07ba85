"""langchain-openai and langchain-anthropic."""

from __future__ import annotations

import openai
import pytest

langchain = pytest.importorskip("langchain_openai")


@pytest.fixture
def model(door):
    def make(name, **options):
        return langchain.ChatOpenAI(
            model=name,
            api_key="-",
            base_url=door.base_url,
            http_client=door.http(),
            http_async_client=door.async_http(),
            **options,
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
        model("bad").invoke("hi")


def test_responses(model):
    asking = model("echo", use_responses_api=True)
    assert asking.invoke("hi there").text == "[scripted] hi there"
    assert "".join(chunk.text for chunk in asking.stream("hi there")) == "[scripted] hi there"


# -- langchain-anthropic ----------------------------------------------------------------------------------


@pytest.fixture
def claude(door):
    """It takes no HTTP client."""
    if door.kind == "mesh":
        pytest.skip("langchain-anthropic takes no HTTP client")
    anthropic = pytest.importorskip("langchain_anthropic")
    return lambda name: anthropic.ChatAnthropic(model=name, api_key="-", base_url=door.root, max_retries=0)


def test_messages(claude):
    answer = claude("echo").invoke([("system", "be brief"), ("human", "hi there")])
    assert answer.content == "[scripted] hi there"
    assert answer.usage_metadata["total_tokens"] > 0
    chunks = [chunk.text for chunk in claude("echo").stream("hi there")]
    assert "".join(chunks) == "[scripted] hi there"
    assert len(chunks) > 2


async def test_messages_for_asyncio(claude):
    assert (await claude("echo").ainvoke("hi")).content == "[scripted] hi"


@pytest.mark.parametrize("which", ["model", "claude"])
def test_parallel_tools_and_their_results(which, door, weather, request):
    from langchain_core.messages import ToolMessage

    asking = request.getfixturevalue(which)("parallel").bind_tools([weather])
    answer = asking.invoke("Paris and Oslo?")
    assert [call["args"]["city"] for call in answer.tool_calls] == ["Paris", "Oslo"]
    results = [ToolMessage("sunny", tool_call_id=call["id"]) for call in answer.tool_calls]
    said = [("human", "Paris and Oslo?"), answer, *results]
    assert asking.invoke(said).text == "[scripted] sunny sunny"


def test_a_schema_by_messages(claude, person):
    asking = claude("schema").with_structured_output(person, method="json_schema")
    assert asking.invoke("who?") == person(name="Ada", age=36)


def test_errors_of_messages(claude):
    anthropic = pytest.importorskip("anthropic")
    with pytest.raises(anthropic.BadRequestError, match="that is no good"):
        claude("bad").invoke("hi")
