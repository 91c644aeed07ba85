"""The real `openai` package, over the mesh's socket and over HTTP, against the real daemon.

The same tests run with an older generation of the package (which uses httpx rather than httpx2) by
`test_older_generation.py`.
"""

from __future__ import annotations

import asyncio
import json
import time

import openai
import pytest

from tests.support.answers.weather_tool import TOOL

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}}
NUMBERS = "".join(f"{number} " for number in range(200))


def says(text="hello", model="echo", **options):
    return {"model": model, "messages": [{"role": "user", "content": text}], **options}


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


# -- chat -------------------------------------------------------------------------------------------------


def test_a_chat(client):
    answer = client.chat.completions.create(**says())
    assert isinstance(answer, openai.types.chat.ChatCompletion)
    assert answer.choices[0].message.content == "[scripted] hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert len(answer._request_id) == 32


async def test_a_chat_async(aclient):
    answers = await asyncio.gather(*(aclient.chat.completions.create(**says(f"{n}")) for n in range(20)))
    assert [answer.choices[0].message.content for answer in answers] == [f"[scripted] {n}" for n in range(20)]


def test_a_stream(client):
    with client.chat.completions.create(**says(model="counting"), stream=True) as stream:
        chunks = list(stream)
    assert all(isinstance(chunk, openai.types.chat.ChatCompletionChunk) for chunk in chunks)
    assert text_of(chunks) == NUMBERS
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_with_usage(client):
    chunks = list(
        client.chat.completions.create(**says(model="counting"), stream=True, stream_options={"include_usage": True})
    )
    assert chunks[-1].usage.completion_tokens == 200


async def test_streams_async(aclient):
    async def read():
        stream = await aclient.chat.completions.create(**says(model="counting"), stream=True)
        return text_of([chunk async for chunk in stream])

    assert await asyncio.gather(*(read() for _ in range(10))) == [NUMBERS] * 10


def test_the_streaming_helper(client):
    if not hasattr(client.chat.completions, "stream"):
        pytest.skip("this generation of the SDK has no helper for streams here")
    with client.chat.completions.stream(**says("a b c")) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.content == "[scripted] a b c"


def test_tools(client):
    answer = client.chat.completions.create(**says(model="tools", tools=[TOOL], tool_choice="auto"))
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    call = choice.message.tool_calls[0]
    assert (call.id, call.function.name) == ("call_1", "weather")
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    followed = client.chat.completions.create(
        model="echo",
        tools=[TOOL],
        messages=[
            {"role": "user", "content": "the weather?"},
            choice.message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
        ],
    )
    assert followed.choices[0].message.content


def test_tools_streamed(client):
    chunks = list(client.chat.completions.create(**says(model="tools", tools=[TOOL]), stream=True))
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert [call.function.name for call in calls if call.function.name] == ["weather"]
    assert json.loads("".join(call.function.arguments or "" for call in calls)) == {"city": "Paris"}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_a_json_schema(client):
    answer = client.chat.completions.create(**says(model="schema", response_format=FORMAT))
    assert json.loads(answer.choices[0].message.content) == {"name": "Ada", "age": 36}


def test_a_json_schema_by_a_class(client):
    pydantic = pytest.importorskip("pydantic")

    class Person(pydantic.BaseModel):
        name: str
        age: int

    parse = getattr(client.chat.completions, "parse", None) or client.beta.chat.completions.parse
    answer = parse(**says(model="schema"), response_format=Person)
    assert answer.choices[0].message.parsed == Person(name="Ada", age=36)


def test_an_image_is_passed_through(client):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    content = [{"type": "text", "text": "what is this?"}, image]
    answer = client.chat.completions.create(model="echo", messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content.startswith("[scripted] what is this?")


def test_completions(client):
    answer = client.completions.create(model="echo", prompt="hello")
    assert answer.choices[0].text == "[scripted] hello"
    streamed = client.completions.create(model="counting", prompt="hello", stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == NUMBERS


# -- embeddings and models --------------------------------------------------------------------------------


def test_embeddings(client):
    """The SDK asks for base64 by itself, and takes floats as well."""
    answer = client.embeddings.create(model="text-embeddings", input=["a", "b"])
    assert [len(item.embedding) for item in answer.data] == [8, 8]
    assert answer.data[0].embedding != answer.data[1].embedding
    floats = client.embeddings.create(model="text-embeddings", input="a", encoding_format="float", dimensions=4)
    assert len(floats.data[0].embedding) == 4


async def test_embeddings_async(aclient):
    answer = await aclient.embeddings.create(model="text-embeddings", input="a")
    assert len(answer.data[0].embedding) == 8


def test_models(client):
    listed = [model.id for model in client.models.list()]
    assert {"echo", "echo.chat", "echo.vectors"} <= set(listed)
    assert client.models.retrieve("echo.chat").owned_by == "echo"


async def test_models_async(aclient):
    assert "echo.chat" in [model.id async for model in aclient.models.list()]


# -- errors -----------------------------------------------------------------------------------------------

ERRORS = {
    "bad": (openai.BadRequestError, 400, "that is no good"),
    "key": (openai.AuthenticationError, 401, "no such key"),
    "forbidden": (openai.PermissionDeniedError, 403, "not yours"),
    "nothing-like-it": (openai.NotFoundError, 404, "nothing-like-it"),
    "unprocessable": (openai.UnprocessableEntityError, 422, "cannot be processed"),
    "busy": (openai.RateLimitError, 429, "slow down"),
    "failing": (openai.InternalServerError, 502, "broken"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_the_sdks_own(client, name, stream):
    cls, status, text = ERRORS[name]
    with pytest.raises(cls, match=text) as caught:
        client.chat.completions.create(**says(model=name), stream=stream)
    assert caught.value.status_code == status
    assert text in caught.value.body["message"]
    assert caught.value.request_id


async def test_errors_async(aclient):
    with pytest.raises(openai.BadRequestError) as caught:
        await aclient.chat.completions.create(**says(model="bad"))
    assert caught.value.code == "bad_thing"


def test_retries_are_the_sdks_own(daemon, client):
    before = daemon.model("busy.chat")["requests"]
    with pytest.raises(openai.RateLimitError):
        client.with_options(max_retries=2).chat.completions.create(**says(model="busy"))
    assert daemon.model("busy.chat")["requests"] == before + 3


def test_a_stream_that_breaks_raises_after_its_text(client):
    pieces = []
    stream = client.chat.completions.create(**says(model="cut"), stream=True)
    with pytest.raises(openai.APIError):
        pieces.extend(chunk.choices[0].delta.content for chunk in _noting(stream, pieces))
    assert "".join(pieces) == "one two "


def _noting(stream, pieces):
    for chunk in stream:
        pieces.append(chunk.choices[0].delta.content)
        yield from ()


# -- timeouts and cancelling ------------------------------------------------------------------------------


def test_a_timeout(daemon, client, eventually):
    since = time.monotonic()
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.3).chat.completions.create(**says(model="silent"))
    assert time.monotonic() - since < 5
    eventually(lambda: daemon.model("silent.chat")["in_flight"] == 0)


async def test_a_timeout_async(aclient):
    with pytest.raises(openai.APITimeoutError):
        await aclient.with_options(timeout=0.3).chat.completions.create(**says(model="silent"))


def test_leaving_a_stream_cancels_it(daemon, client, eventually):
    with client.chat.completions.create(**says(model="endless"), stream=True) as stream:
        next(iter(stream))
        assert daemon.model("endless.chat")["in_flight"] == 1
    eventually(lambda: daemon.model("endless.chat")["in_flight"] == 0)


async def test_cancelling_a_task_cancels_its_request(daemon, aclient):
    task = asyncio.ensure_future(aclient.chat.completions.create(**says(model="silent")))
    async with asyncio.timeout(20):
        while daemon.model("silent.chat")["in_flight"] != 1:  # noqa: ASYNC110 - it is the daemon's
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while daemon.model("silent.chat")["in_flight"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_leaving_a_stream_cancels_it_async(daemon, aclient):
    async with await aclient.chat.completions.create(**says(model="endless"), stream=True) as stream:
        async for _ in stream:
            break
    async with asyncio.timeout(20):
        while daemon.model("endless.chat")["in_flight"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


# -- raw --------------------------------------------------------------------------------------------------


def test_raw_responses(client):
    raw = client.chat.completions.with_raw_response.create(**says())
    assert raw.status_code == 200
    assert raw.headers["content-type"] == "application/json"
    assert raw.headers["x-request-id"]
    assert raw.parse().choices[0].message.content == "[scripted] hello"
    with client.chat.completions.with_streaming_response.create(**says()) as response:
        assert json.loads(response.read())["choices"]


def test_extra_fields_and_headers_pass(client):
    answer = client.chat.completions.create(
        **says(), extra_body={"temperature": 0.5, "my_own": {"a": 1}}, extra_headers={"x-mine": "1"}
    )
    assert answer.choices[0].message.content == "[scripted] hello"


def test_a_query_that_the_client_adds_is_not_part_of_the_path(client):
    answer = client.chat.completions.create(**says(), extra_query={"api-version": "2024-10-21"})
    assert answer.choices[0].message.content == "[scripted] hello"
    other = client.with_options(default_query={"api-version": "x", "q": "a b?"})
    assert other.models.list().data
    assert list(other.chat.completions.create(**says(), stream=True))


def test_raw_responses_say_what_the_mesh_did(client):
    raw = client.chat.completions.with_raw_response.create(**says())
    assert raw.headers["x-mesh-model"]
    assert raw.headers["x-mesh-provider"]
    assert float(raw.headers["x-mesh-cost"]) >= 0
    assert len(raw.headers["x-request-id"]) == 32


def test_operations_that_do_not_exist_are_reported_as_such(client):
    import openai

    with pytest.raises(openai.NotFoundError) as caught:
        client.vector_stores.list()
    assert caught.value.code == "unknown_path"
    assert "POST /v1/chat/completions" in str(caught.value)
