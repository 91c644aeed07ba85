"""LiteLLM as a client (1.100.0)."""

from __future__ import annotations

import json

import pytest

from tests.support.answers.weather_tool import TOOL

SAID = [{"role": "user", "content": "hi there"}]


@pytest.fixture
def ask(door):
    litellm = pytest.importorskip("litellm")
    with door.openai() as client:
        given = {"client": client} if door.kind == "mesh" else {"api_base": door.base_url, "max_retries": 0}

        def ask(model, **options):
            return litellm.completion(model=f"openai/{model}", api_key="-", **{"messages": SAID, **given, **options})

        yield ask


def test_chat(ask):
    assert ask("echo").choices[0].message.content == "[scripted] hi there"


def test_stream(ask):
    chunks = list(ask("echo", stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "[scripted] hi there"


def test_tools(ask):
    (call,) = ask("tools", tools=[TOOL], tool_choice="auto").choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Paris"})


def test_schema(ask, person):
    answer = ask("schema", response_format=person).choices[0].message.content
    assert person.model_validate_json(answer) == person(name="Ada", age=36)


def test_errors(ask):
    import litellm

    with pytest.raises(litellm.BadRequestError, match="that is no good"):
        ask("bad")


def test_parallel_tools_and_their_results(ask):
    (first, second) = ask("parallel", tools=[TOOL]).choices[0].message.tool_calls
    assert json.loads(second.function.arguments) == {"city": "Oslo"}
    said = [{"role": "assistant", "tool_calls": [call.model_dump() for call in (first, second)]}]
    said += [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in (first, second)]
    assert ask("parallel", tools=[TOOL], messages=[*SAID, *said]).choices[0].message.content == "[scripted] sunny sunny"


def test_messages(door):
    """LiteLLM's own client for Anthropic's API, which takes no other."""
    if door.kind == "mesh":
        pytest.skip("it takes no HTTP client")
    litellm = pytest.importorskip("litellm")
    given = {"model": "anthropic/echo", "messages": SAID, "api_base": door.root, "api_key": "-"}
    assert litellm.completion(**given).choices[0].message.content == "[scripted] hi there"
    chunks = list(litellm.completion(**given, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "[scripted] hi there"
