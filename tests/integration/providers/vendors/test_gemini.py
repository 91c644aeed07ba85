"""Gemini's API on both sides of one real daemon: Google's own SDK asks a server that behaves as Google documents, and
the daemon; and apps of other APIs ask a model of Gemini."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from tests.support.providers.vendors.gemini import KEY, GeminiServer, error, used_up
from tests.support.providers.vendors.three_apis import Said, ThreeApis, serving
from tests.support.waiting import WAIT

PNG = b"\x89PNG\r\n\x1a\n"
MODEL = "gemini-3.5-flash"
POOLS = ["google", "house"]


class Weather(BaseModel):
    place: str
    degrees: int


@pytest.fixture(scope="module")
def google() -> Iterator[GeminiServer]:
    server = GeminiServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def house() -> Iterator[ThreeApis]:
    with serving(ThreeApis()) as apis:
        yield apis


@pytest.fixture(scope="module")
def url(module_meshd: Any, google: GeminiServer, house: ThreeApis) -> str:
    daemon = module_meshd(
        {
            "providers": {
                "gemini": google.provider(max_retries=0),
                "spent": google.provider(max_retries=0),
                "house": house.provider("openai"),
            },
            "models": {
                f"gemini.{MODEL}": {},
                "gemini.gemini-embedding-001": {},
                "spent.gemini-2.5-pro": {},
                "house.m": {"capabilities": ["chat-completion"]},
            },
            "pools": {
                "google": {"models": [f"gemini.{MODEL}"]},
                "house": {"models": ["house.m"]},
                "spent": {"models": ["spent.gemini-2.5-pro"]},
                "vectors": {"models": ["gemini.gemini-embedding-001"]},
            },
            "proxy": {"enabled": True, "port": "auto"},
            "discovery": {"sync": {"enabled": False}, "health": {"enabled": False}},
        }
    )
    found: str = daemon.status()["http"]["addresses"][0]
    return found


@pytest.fixture(autouse=True)
def fresh(google: GeminiServer, house: ThreeApis) -> None:
    google.said, google.refuses, google.cut = Said(), None, None
    google.asked.clear()
    house.asked.clear()
    house.answer = Said()


def client(base: str, key: str = KEY) -> genai.Client:
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=base, timeout=int(WAIT * 1000)))


@pytest.fixture
def direct(google: GeminiServer) -> genai.Client:
    return client(google.url.removesuffix("/v1beta"))


@pytest.fixture
def app(url: str) -> genai.Client:
    return client(url, "any")


@pytest.fixture
def gpt(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=WAIT) as made:
        yield made


def says(google: GeminiServer, house: ThreeApis, said: Said) -> None:
    google.said = house.answer = said


# -- the server itself --------------------------------------------------------------------------------------


def test_googles_sdk_is_content_with_the_server(direct: genai.Client, google: GeminiServer) -> None:
    answer = direct.models.generate_content(model=MODEL, contents="Hello?")
    assert (answer.text, answer.candidates and answer.candidates[0].finish_reason) == ("Hello there", "STOP")
    streamed = list(direct.models.generate_content_stream(model=MODEL, contents="Hello?"))
    assert "".join(chunk.text or "" for chunk in streamed) == "Hello there"
    assert direct.models.count_tokens(model=MODEL, contents="Hello?").total_tokens == 42
    vectors = direct.models.embed_content(model="gemini-embedding-001", contents=["a", "bb"]).embeddings or []
    assert [each.values for each in vectors] == [[1, 0.5], [2, 0.5]]
    listed = list(direct.models.list(config={"page_size": 1, "query_base": True}))
    assert [model.name for model in listed] == ["models/gemini-3.5-flash", "models/gemini-embedding-001"]
    google.refuses = lambda: used_up(7)
    with pytest.raises(errors.ClientError) as refusal:
        direct.models.generate_content(model=MODEL, contents="Hello?")
    assert (refusal.value.code, refusal.value.status) == (429, "RESOURCE_EXHAUSTED")


# -- Google's SDK and the daemon -----------------------------------------------------------------------------


@pytest.mark.parametrize("pool", POOLS)
def test_an_answer_in_one_piece_and_streamed(
    app: genai.Client, google: GeminiServer, house: ThreeApis, pool: str
) -> None:
    says(google, house, Said("Good day.", tokens_in=9, tokens_out=5, cached=2, reasoned=1))
    config = types.GenerateContentConfig(system_instruction="Be brief.", max_output_tokens=50, temperature=0.5)
    answer = app.models.generate_content(model=pool, contents="Hello?", config=config)
    used: Any = answer.usage_metadata
    assert answer.text == "Good day."
    assert (used.prompt_token_count, used.cached_content_token_count, used.thoughts_token_count) == (9, 2, 1)
    assert used.candidates_token_count == 4
    chunks = list(app.models.generate_content_stream(model=pool, contents="Hello?", config=config))
    assert "".join(chunk.text or "" for chunk in chunks) == "Good day."
    last: Any = chunks[-1]
    assert last.candidates[0].finish_reason == "STOP"
    assert last.usage_metadata.total_token_count == 14


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("pool", POOLS)
def test_tools_in_parallel_and_their_results(
    app: genai.Client, google: GeminiServer, house: ThreeApis, pool: str, stream: bool
) -> None:
    says(google, house, Said("", calls=(("weather", {"place": "Zürich"}), ("weather", {"place": "Bern"}))))
    declared = types.FunctionDeclaration(name="weather", parameters_json_schema={"type": "object"})
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declared])],
        tool_config=types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode="ANY")),  # type: ignore[arg-type]
    )
    hello = types.Content(role="user", parts=[types.Part(text="Hello?")])
    if stream:
        chunks = list(app.models.generate_content_stream(model=pool, contents=hello, config=config))
        parts: Any = [part for each in chunks for part in (each.candidates[0].content.parts or [])]  # type: ignore[index, union-attr]
    else:
        answer = app.models.generate_content(model=pool, contents=hello, config=config)
        parts = answer.candidates[0].content.parts  # type: ignore[index, union-attr]
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.name, call.args) for call in calls] == [
        ("weather", {"place": "Zürich"}),
        ("weather", {"place": "Bern"}),
    ]
    says(google, house, Said("Sun."))
    results = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "sun"}))
        for call in calls
    ]
    history = [hello, types.Content(role="model", parts=parts), types.Content(role="user", parts=results)]
    assert app.models.generate_content(model=pool, contents=history, config=config).text == "Sun."
    if pool == "house":
        said = house.bodies()[-1]["messages"]
        assert [call["function"]["name"] for call in said[1]["tool_calls"]] == ["weather"] * 2
        assert [each["content"] for each in said[2:]] == ["sun", "sun"]


@pytest.mark.parametrize("pool", POOLS)
def test_a_schema_and_an_image(app: genai.Client, google: GeminiServer, house: ThreeApis, pool: str) -> None:
    says(google, house, Said('{"place": "Bern", "degrees": 3}'))
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Weather)
    picture = types.Part.from_bytes(data=PNG, mime_type="image/png")
    answer = app.models.generate_content(model=pool, contents=[picture, "How warm?"], config=config)
    assert answer.parsed == Weather(place="Bern", degrees=3)
    if pool == "house":
        [body] = house.bodies()
        assert body["response_format"]["json_schema"]["schema"]["properties"]["degrees"]["type"] == "integer"
        assert body["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_errors_are_googles(app: genai.Client, google: GeminiServer) -> None:
    with pytest.raises(errors.ClientError) as unknown:
        app.models.generate_content(model="no-such-model", contents="Hello?")
    assert (unknown.value.code, unknown.value.status) == (404, "NOT_FOUND")
    google.refuses = lambda: error(400, "INVALID_ARGUMENT", "Temperature must be positive.")
    with pytest.raises(errors.ClientError) as refused:
        app.models.generate_content(model="google", contents="Hello?")
    assert (refused.value.code, refused.value.message) == (400, "Temperature must be positive.")
    google.refuses = lambda: used_up(7000, "Day")
    with pytest.raises(errors.APIError) as spent:
        app.models.generate_content(model="spent", contents="Hello?")
    details: Any = spent.value.details["error"]["details"]
    [wait] = [each["retryDelay"] for each in details if each["@type"].endswith("RetryInfo")]
    assert 6900 < int(wait.removesuffix("s")) <= 7000


def test_counts_lists_and_vectors(app: genai.Client, google: GeminiServer) -> None:
    assert (app.models.count_tokens(model="house", contents="Hello there, world").total_tokens or 0) > 3
    names = {model.name for model in app.models.list(config={"page_size": 1, "query_base": True})}
    assert {"models/google", "models/house", "models/vectors", f"models/gemini.{MODEL}"} <= names
    assert "generateContent" in (app.models.get(model="house").supported_actions or [])
    vectors = app.models.embed_content(model="vectors", contents=["a", "bb"]).embeddings or []
    assert [each.values for each in vectors] == [[1, 0.5], [2, 0.5]]
    assert google.asked[-1][0] == "/v1beta/models/gemini-embedding-001:batchEmbedContents"


def test_the_bytes_pass_and_the_key_is_the_daemons(url: str, google: GeminiServer) -> None:
    body = {
        "contents": [{"parts": [{"text": "é 🗺️"}], "role": "user"}],
        "safetySettings": [],
        "generationConfig": {"topK": 4},
    }
    answer = httpx.post(f"{url}/v1beta/models/google:generateContent?key=any", json=body, timeout=WAIT)
    assert answer.status_code == 200
    [(path, headers, sent)] = google.asked
    assert (path, sent) == (f"/v1beta/models/{MODEL}:generateContent", body)
    assert headers["x-goog-api-key"] == KEY
    assert answer.json()["candidates"][0]["content"]["parts"] == [{"text": "Hello there"}]


@pytest.mark.parametrize("pool", POOLS)
def test_a_stream_without_sse_is_an_array(url: str, pool: str) -> None:
    body = {"contents": [{"parts": [{"text": "Hello?"}]}]}
    answer = httpx.post(f"{url}/v1beta/models/{pool}:streamGenerateContent", json=body, timeout=WAIT)
    assert answer.headers["content-type"].startswith("application/json")
    parts = [part for chunk in answer.json() for part in chunk["candidates"][0]["content"].get("parts", ())]
    assert "".join(part["text"] for part in parts) == "Hello there"


def test_a_stream_that_breaks_off_ends_with_an_error(url: str, google: GeminiServer) -> None:
    google.cut = 2
    body = {"contents": [{"parts": [{"text": "Hello?"}]}]}
    address = f"{url}/v1beta/models/google:streamGenerateContent"
    array = httpx.post(address, json=body, timeout=WAIT).json()
    assert "error" in array[-1]
    events = httpx.post(f"{address}?alt=sse", json=body, timeout=WAIT).text.split("\r\n\r\n")
    assert "error" in json.loads(events[-2].removeprefix("data: "))


@pytest.mark.parametrize(("method", "status"), [("generate", 404), ("generateContent", 400)])
def test_what_is_no_request(url: str, method: str, status: int) -> None:
    answer = httpx.post(f"{url}/v1beta/models/house:{method}", content=b"[]", timeout=WAIT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, status)


# -- apps of other APIs --------------------------------------------------------------------------------------


def test_a_chat_with_gemini_costs_what_its_price_page_says(url: str, google: GeminiServer) -> None:
    """1.50 USD for a million tokens, 0.15 of those that were cached, 9.00 of those that come out, with thoughts."""
    google.said = Said("Good day.", thought="Hm.", tokens_in=100, tokens_out=50, cached=40, reasoned=20)
    body = {"model": "google", "messages": [{"role": "user", "content": "Hello?"}]}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=WAIT)
    assert answer.json()["choices"][0]["message"]["content"] == "Good day."
    assert float(answer.headers["x-mesh-cost"]) == pytest.approx((60 * 1.5 + 40 * 0.15 + 50 * 9) / 10**6)


def test_a_chat_streams_tools_and_brings_the_signature_back(gpt: openai.OpenAI, google: GeminiServer) -> None:
    google.said = Said("", thought="Hm.", calls=(("weather", {"place": "Bern"}),), sealed="c2VhbA==")
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    hello: Any = {"role": "user", "content": "Hello?"}
    answer: Any = gpt.chat.completions.create(model="google", messages=[hello], tools=[tool])
    message = answer.choices[0].message
    google.said = Said("Sun.")
    result: Any = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sun"}
    chunks = gpt.chat.completions.create(
        model="google", messages=[hello, message.to_dict(), result], tools=[tool], stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Sun."
    path, _, body = google.asked[-1]
    assert path == f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"
    [call] = [part for part in body["contents"][1]["parts"] if "functionCall" in part]
    assert call["thoughtSignature"] == "c2VhbA=="
    assert body["contents"][2]["parts"][0]["functionResponse"]["name"] == "weather"


def test_embeddings_in_openais_form(gpt: openai.OpenAI, google: GeminiServer) -> None:
    found = gpt.embeddings.create(model="vectors", input=["a", "bb"], dimensions=2)
    assert [each.embedding for each in found.data] == [[1, 0.5], [2, 0.5]]
    assert google.asked[-1][2]["requests"][0]["outputDimensionality"] == 2
    with pytest.raises(openai.APIStatusError, match="Gemini's API does not take"):
        gpt.embeddings.create(model="vectors", input=[[1, 2]])
