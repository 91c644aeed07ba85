"""The real `anthropic` package, over the mesh's socket and over HTTP, with models that speak OpenAI's format."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

anthropic = pytest.importorskip("anthropic")

WEATHER = {
    "name": "weather",
    "description": "the weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
NUMBERS = "".join(f"{number} " for number in range(200))


def says(text="hello", model="echo", **options):
    return {"model": model, "max_tokens": 1000, "messages": [{"role": "user", "content": text}], **options}


@pytest.fixture
def client(door):
    with door.anthropic() as client:
        yield client


@pytest.fixture
async def aclient(door):
    async with door.async_anthropic() as client:
        yield client


# -- messages ---------------------------------------------------------------------------------------------


def test_a_message(client):
    answer = client.messages.create(**says(), system="be brief")
    assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn")
    assert [(block.type, block.text) for block in answer.content] == [("text", "[scripted] hello")]
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens == 2


async def test_messages_async(aclient):
    answers = await asyncio.gather(*(aclient.messages.create(**says(f"{n}")) for n in range(20)))
    assert [answer.content[0].text for answer in answers] == [f"[scripted] {n}" for n in range(20)]


def test_a_stream(client):
    with client.messages.stream(**says(model="counting")) as stream:
        pieces = list(stream.text_stream)
        answer = stream.get_final_message()
    assert "".join(pieces) == answer.content[0].text == NUMBERS
    assert len(pieces) > 100
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens == 200


def test_the_events_of_a_stream(client):
    events = [event.type for event in client.messages.create(**says(), stream=True)]
    assert events[:2] == ["message_start", "content_block_start"]
    assert events[-3:] == ["content_block_stop", "message_delta", "message_stop"]


async def test_streams_async(aclient):
    async def read():
        async with aclient.messages.stream(**says(model="counting")) as stream:
            return await stream.get_final_text()

    assert await asyncio.gather(*(read() for _ in range(10))) == [NUMBERS] * 10


def test_thinking(client):
    given = {"type": "enabled", "budget_tokens": 1024}
    answer = client.messages.create(**says(model="thinking") | {"max_tokens": 4000}, thinking=given)
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.content[0].thinking == "two and two"
    with client.messages.stream(**says(model="thinking") | {"max_tokens": 4000}, thinking=given) as stream:
        assert [block.type for block in stream.get_final_message().content] == ["thinking", "text"]


@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools_and_their_results(client, streamed):
    asked = says("the weather in Paris and Oslo?", model="agent", tools=[WEATHER])
    if streamed:
        with client.messages.stream(**asked) as stream:
            answer = stream.get_final_message()
    else:
        answer = client.messages.create(**asked)
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert answer.stop_reason == "tool_use"
    assert [(call.name, call.input["city"]) for call in calls] == [("weather", "Paris"), ("weather", "Oslo")]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": call.input["city"] + "!"} for call in calls]
    asked["messages"] += [
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]},
        {"role": "user", "content": results},
    ]
    assert client.messages.create(**asked).content[0].text == "[scripted] Paris! Oslo!"


def test_the_tool_runner(client):
    @anthropic.beta_tool
    def weather(city: str) -> str:
        """The weather in a city.

        Args:
            city: its name
        """
        return f"sunny in {city}"

    asked = says("the weather in Paris and Oslo?", model="agent")
    answer = client.beta.messages.tool_runner(tools=[weather], **asked).until_done()
    assert answer.content[0].text == "[scripted] sunny in Paris sunny in Oslo"


def test_a_json_schema(client):
    pydantic = pytest.importorskip("pydantic")
    person = pydantic.create_model("Person", name=(str, ...), age=(int, ...))
    answer = client.messages.parse(**says(model="schema"), output_format=person)
    assert answer.parsed_output == person(name="Ada", age=36)


def test_an_image(client):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    content = [{"type": "text", "text": "what is this?"}, image]
    answer = client.messages.create(**says(content))
    assert answer.content[0].text.startswith("[scripted] what is this?")


def test_beta_and_its_headers(client):
    answer = client.beta.messages.create(**says(), betas=["context-management-2025-06-27"])
    assert answer.content[0].text == "[scripted] hello"


# -- errors -----------------------------------------------------------------------------------------------

ERRORS = {
    "bad": (anthropic.BadRequestError, 400, "invalid_request_error", "that is no good"),
    "key": (anthropic.AuthenticationError, 401, "authentication_error", "no such key"),
    "forbidden": (anthropic.PermissionDeniedError, 403, "permission_error", "not yours"),
    "nothing-like-it": (anthropic.NotFoundError, 404, "not_found_error", "nothing-like-it"),
    "busy": (anthropic.RateLimitError, 429, "rate_limit_error", "slow down"),
    "failing": (anthropic.InternalServerError, 502, "api_error", "broken"),
    "overloaded": (anthropic.InternalServerError, 502, "api_error", "overloaded"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_the_sdks_own(client, name, stream):
    cls, status, kind, text = ERRORS[name]
    with pytest.raises(cls, match=text) as caught:
        client.messages.create(**says(model=name), stream=stream)
    assert caught.value.status_code == status
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["type"] == kind
    assert text in caught.value.body["error"]["message"]
    assert len(caught.value.response.headers["x-request-id"]) == 32


async def test_errors_async(aclient):
    with pytest.raises(anthropic.BadRequestError, match="that is no good"):
        await aclient.messages.create(**says(model="bad"))


def test_retries_are_the_sdks_own(daemon, client):
    before = daemon.model("busy.chat")["requests"]
    with pytest.raises(anthropic.RateLimitError):
        client.with_options(max_retries=2).messages.create(**says(model="busy"))
    assert daemon.model("busy.chat")["requests"] == before + 3


def test_a_stream_that_breaks_raises_after_its_text(client):
    pieces = []

    def read():
        with client.messages.stream(**says(model="cut")) as stream:
            for text in stream.text_stream:
                pieces.append(text)

    with pytest.raises(anthropic.APIError):
        read()
    assert "".join(pieces) == "one two "


# -- timeouts and cancelling ------------------------------------------------------------------------------


def test_a_timeout(daemon, client, eventually):
    since = time.monotonic()
    with pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=0.3).messages.create(**says(model="silent"))
    assert time.monotonic() - since < 5
    eventually(lambda: daemon.model("silent.chat")["in_flight"] == 0)


def test_leaving_a_stream_cancels_it(daemon, client, eventually):
    with client.messages.stream(**says(model="endless")) as stream:
        next(iter(stream.text_stream))
        assert daemon.model("endless.chat")["in_flight"] == 1
    eventually(lambda: daemon.model("endless.chat")["in_flight"] == 0)


# -- beside messages --------------------------------------------------------------------------------------


def test_raw_responses_say_what_the_mesh_did(client):
    raw = client.messages.with_raw_response.create(**says())
    assert raw.headers["x-mesh-provider"] == "echo"
    assert len(raw.headers["x-request-id"]) == 32
    assert json.loads(raw.text())["role"] == "assistant"


def test_models(client):
    listed = [model.id for model in client.models.list(limit=1000)]
    assert "echo" in listed
    assert [model.id for model in client.models.list(limit=3)] == listed  # the SDK follows the pages
    assert client.models.retrieve("echo").id == "echo"
