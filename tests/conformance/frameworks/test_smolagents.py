"""smolagents."""

from __future__ import annotations

import pytest

smolagents = pytest.importorskip("smolagents")
SAID = [{"role": "user", "content": [{"type": "text", "text": "hi there"}]}]


@pytest.fixture
def model(door):
    def make(name):
        transport = {"http_client": door.http()}
        return smolagents.OpenAIModel(model_id=name, api_key="-", api_base=door.base_url, client_kwargs=transport)

    return make


def test_chat(model):
    assert model("echo").generate(SAID).content == "[scripted] hi there"


def test_stream(model):
    texts = [delta.content or "" for delta in model("echo").generate_stream(SAID)]
    assert "".join(texts) == "[scripted] hi there"


def test_tools(model, weather):
    agent = smolagents.ToolCallingAgent(
        tools=[smolagents.tool(weather)], model=model("final-answer"), verbosity_level=0
    )
    assert agent.run("Paris?") == "sunny"


def test_schema(model, person):
    schema = {"name": "person", "schema": person.model_json_schema(), "strict": True}
    answer = model("schema").generate(SAID, response_format={"type": "json_schema", "json_schema": schema})
    assert person.model_validate_json(answer.content) == person(name="Ada", age=36)
