"""pydantic-ai."""

from __future__ import annotations

import pytest

pydantic_ai = pytest.importorskip("pydantic_ai")


@pytest.fixture
async def agent(door):
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    async with door.async_openai() as client:

        def make(name, **options):
            model = OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client))
            return pydantic_ai.Agent(model, instructions="be brief", **options)

        yield make


async def test_chat(agent):
    assert (await agent("echo").run("hi there")).output == "[scripted] hi there"


async def test_stream(agent):
    async with agent("echo").run_stream("hi there") as answer:
        texts = [text async for text in answer.stream_text(debounce_by=None)]
    assert texts[-1] == "[scripted] hi there"
    assert len(texts) > 1


async def test_tools(agent, weather):
    made = agent("agent")
    made.tool_plain(weather)
    answer = await made.run("Paris?")
    assert answer.output == "It is sunny in Paris"
    assert "sunny in Paris" in str(answer.all_messages())


async def test_schema(agent, person):
    assert (await agent("final-result", output_type=person).run("who?")).output == person(name="Ada", age=36)
    native = pydantic_ai.NativeOutput(person)
    assert (await agent("schema", output_type=native).run("who?")).output == person(name="Ada", age=36)


async def test_parallel_tools(agent, weather):
    made = agent("parallel")
    made.tool_plain(weather)
    assert (await made.run("Paris and Oslo?")).output == "[scripted] sunny in Paris sunny in Oslo"


async def test_responses(door, weather):
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    async with door.async_openai() as client:
        model = OpenAIResponsesModel("parallel", provider=OpenAIProvider(openai_client=client))
        made = pydantic_ai.Agent(model, instructions="be brief")
        made.tool_plain(weather)
        assert (await made.run("Paris and Oslo?")).output == "[scripted] sunny in Paris sunny in Oslo"
        async with made.run_stream("Paris and Oslo?") as answer:
            assert await answer.get_output() == "[scripted] sunny in Paris sunny in Oslo"
