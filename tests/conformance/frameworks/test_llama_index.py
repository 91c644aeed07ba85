"""llama-index-llms-openai-like, and llama-index-llms-openai below it."""

from __future__ import annotations

import pytest

openai_like = pytest.importorskip("llama_index.llms.openai_like")


@pytest.fixture
def model(door):
    def make(name, **options):
        return openai_like.OpenAILike(
            model=name,
            api_key="-",
            api_base=door.base_url,
            is_chat_model=True,
            is_function_calling_model=True,
            http_client=door.http(),
            async_http_client=door.async_http(),
            **options,
        )

    return make


@pytest.fixture
def said():
    from llama_index.core.llms import ChatMessage

    return [ChatMessage(role="system", content="be brief"), ChatMessage(role="user", content="hi there")]


def test_chat(model, said):
    assert model("echo").chat(said).message.content == "[scripted] hi there"


def test_stream(model, said):
    assert "".join(chunk.delta for chunk in model("echo").stream_chat(said)) == "[scripted] hi there"


async def test_asyncio(model, said):
    assert (await model("echo").achat(said)).message.content == "[scripted] hi there"


def test_tools(model, weather):
    from llama_index.core.tools import FunctionTool

    llm = model("tools")
    answer = llm.chat_with_tools([FunctionTool.from_defaults(weather)], user_msg="Paris?")
    (call,) = llm.get_tool_calls_from_response(answer)
    assert (call.tool_name, call.tool_kwargs) == ("weather", {"city": "Paris"})


def test_schema(model, person, said):
    llm = model("schema", should_use_structured_outputs=True)
    assert llm.as_structured_llm(person).chat(said).raw == person(name="Ada", age=36)
