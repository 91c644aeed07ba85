"""openai-agents."""

from __future__ import annotations

import pytest

agents = pytest.importorskip("agents")
if not hasattr(agents, "OpenAIChatCompletionsModel"):
    pytest.skip("openai-agents is not installed", allow_module_level=True)


@pytest.fixture
async def agent(door):
    agents.set_tracing_disabled(True)
    async with door.async_openai() as client:

        def make(name, **options):
            model = agents.OpenAIChatCompletionsModel(model=name, openai_client=client)
            return agents.Agent(name="one", instructions="be brief", model=model, **options)

        yield make


async def test_chat(agent):
    assert (await agents.Runner.run(agent("echo"), "hi there")).final_output == "[scripted] hi there"


async def test_stream(agent):
    answer = agents.Runner.run_streamed(agent("echo"), "hi there")
    events = [event.type async for event in answer.stream_events()]
    assert answer.final_output == "[scripted] hi there"
    assert events.count("raw_response_event") > 3


async def test_tools(agent, weather):
    made = agent("agent", tools=[agents.function_tool(weather)])
    assert (await agents.Runner.run(made, "Paris?")).final_output == "It is sunny in Paris"


async def test_schema(agent, person):
    made = agent("schema", output_type=person)
    assert (await agents.Runner.run(made, "who?")).final_output == person(name="Ada", age=36)


async def test_responses(door, weather):
    """The API that it uses unless told otherwise."""
    agents.set_tracing_disabled(True)
    async with door.async_openai() as client:

        def made(name, **options):
            model = agents.OpenAIResponsesModel(model=name, openai_client=client)
            return agents.Agent(name="one", instructions="be brief", model=model, **options)

        assert (await agents.Runner.run(made("echo"), "hi there")).final_output == "[scripted] hi there"
        tools = [agents.function_tool(weather)]
        answer = await agents.Runner.run(made("parallel", tools=tools), "Paris and Oslo?")
        assert answer.final_output == "[scripted] sunny in Paris sunny in Oslo"
        streamed = agents.Runner.run_streamed(made("parallel", tools=tools), "Paris and Oslo?")
        assert [event async for event in streamed.stream_events()]
        assert streamed.final_output == "[scripted] sunny in Paris sunny in Oslo"
