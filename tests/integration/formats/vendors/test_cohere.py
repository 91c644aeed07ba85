"""Cohere's API behind the real daemon, asked by OpenAI's SDK; and Cohere's own SDK against the same server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import cohere
import httpx
import openai
import pytest

from tests.support.providers.vendors.cohere import KEY, CohereApi
from tests.support.providers.vendors.three_apis import Asked, Json, Refused, Said, serving
from tests.support.waiting import WAIT

HI: Any = [{"role": "user", "content": "hi"}]
TOOLS: Any = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in "fg"]
CALLS = (("f", {"x": 1}), ("g", {"y": ["ü"]}))
CHAT, EMBED, RERANK = "cohere.command-r-08-2024", "cohere.embed-v4.0", "cohere.rerank-v3.5"


@pytest.fixture(scope="module")
def served() -> Iterator[CohereApi]:
    with serving(CohereApi()) as api:
        yield api


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path, served: CohereApi) -> Any:
    off = {"sync": {"enabled": False}, "health": {"enabled": False}}
    proxy = {"enabled": True, "port": "auto"}
    return module_meshd({"providers": {"cohere": served.connector()}, "proxy": proxy, "discovery": off})


@pytest.fixture
def api(served: CohereApi) -> CohereApi:
    fresh = CohereApi()
    fresh.url = served.url
    served.__dict__.update(fresh.__dict__)
    return served


@pytest.fixture
def url(daemon: Any, api: CohereApi) -> str:
    found: str = daemon.status()["http"]["addresses"][0]
    return found


@pytest.fixture
def gpt(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=WAIT) as made:
        yield made


@pytest.fixture
def theirs(api: CohereApi) -> Iterator[cohere.ClientV2]:
    with httpx.Client(timeout=WAIT) as http:
        yield cohere.ClientV2(api_key=KEY, base_url=api.url, httpx_client=http)


# -- the server, by Cohere's own SDK ----------------------------------------------------------------------


def test_the_sdk_chats_with_the_server(theirs: cohere.ClientV2, api: CohereApi) -> None:
    api.answer = Said(text="I look.", thought="hm", calls=CALLS)
    messages: Any = [{"role": "user", "content": "hi"}]
    answer = theirs.chat(model="command-a", messages=messages)
    calls = [
        (call.function.name, json.loads(call.function.arguments or "")) for call in answer.message.tool_calls or ()
    ]
    assert (answer.finish_reason, answer.message.tool_plan, tuple(calls)) == ("TOOL_CALL", "I look.", CALLS)
    assert answer.usage is not None
    assert answer.usage.billed_units is not None
    assert answer.usage.billed_units.input_tokens == 11
    events: list[Any] = list(theirs.chat_stream(model="command-a", messages=messages))
    plan = [event.delta.message.tool_plan for event in events if event.type == "tool-plan-delta"]
    pieces = [event.delta.message.tool_calls.function.arguments for event in events if event.type == "tool-call-delta"]
    assert "".join(plan) == "I look."
    assert "".join(pieces) == "".join(json.dumps(arguments) for _, arguments in CALLS)
    assert (events[0].type, events[-1].type, events[-1].delta.finish_reason) == (
        "message-start", "message-end", "TOOL_CALL",
    )  # fmt: skip


def test_the_sdk_embeds_and_ranks(theirs: cohere.ClientV2, api: CohereApi) -> None:
    made = theirs.embed(model="e", texts=["12345678"], input_type="search_query", embedding_types=["float", "int8"])
    assert made.embeddings.float_ == [[1.0, 0.5, 0.5, 0.5]]
    assert made.embeddings.int8 == [[16, 8, 8, 8]]
    ranked = theirs.rerank(model="r", query="a cat", documents=["a dog", "a cat"], top_n=1)
    assert [(result.index, result.relevance_score) for result in ranked.results] == [(1, 1.0)]
    api.models = [{"name": f"m{n}", "endpoints": ["chat"]} for n in range(3)]
    page = theirs.models.list(page_size=2)
    assert [model.name for model in page.models] == ["m0", "m1"]
    assert page.next_page_token == "2"


def test_the_sdk_knows_its_errors(theirs: cohere.ClientV2, api: CohereApi) -> None:
    with pytest.raises(cohere.errors.UnauthorizedError, match="invalid api token"):
        cohere.ClientV2(api_key="wrong", base_url=api.url).chat(model="m", messages=HI)
    api.answer = Refused(429, {"message": "You are using a Trial key, which is limited to 40 API calls / minute."})
    with pytest.raises(cohere.errors.TooManyRequestsError):
        theirs.chat(model="m", messages=HI, request_options={"max_retries": 0})


# -- the daemon -------------------------------------------------------------------------------------------


def test_a_chat_through_the_daemon(gpt: openai.OpenAI, api: CohereApi) -> None:
    api.answer = Said(text="Hello there", thought="hm", cached=4)
    answer = gpt.chat.completions.create(model=CHAT, messages=HI, max_tokens=9)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello there", "stop")
    assert answer.choices[0].message.to_dict()["reasoning_content"] == "hm"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 5)
    [asked] = api.asked
    assert asked.path == "/v2/chat"
    assert asked.body == {"model": "command-r-08-2024", "messages": HI, "max_tokens": 9}


def test_a_stream_with_parallel_calls(gpt: openai.OpenAI, api: CohereApi) -> None:
    api.answer = Said(text="I look.", calls=CALLS)
    chunks = list(
        gpt.chat.completions.create(
            model=CHAT, messages=HI, tools=TOOLS, tool_choice="required", stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "I look."
    arguments: dict[int, str] = {}
    for call in (call for delta in deltas for call in delta.tool_calls or ()):
        assert call.function is not None
        arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    assert [json.loads(text) for text in arguments.values()] == [given for _, given in CALLS]
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == [
        "tool_calls"
    ]
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (11, 5)
    assert api.asked[0].body["tool_choice"] == "REQUIRED"
    assert api.asked[0].body["stream"] is True


@pytest.mark.parametrize("form", ["float", "base64"])
def test_embeddings_through_the_daemon(form: Any, gpt: openai.OpenAI, api: CohereApi) -> None:
    made = gpt.embeddings.create(model=EMBED, input=["12345678", "1234"], encoding_format=form, dimensions=3)
    vectors = [each.embedding for each in made.data]
    if form == "float":
        assert vectors == [[1.0, 0.5, 0.5], [0.5, 0.5, 0.5]]
    else:
        assert [type(each) for each in vectors] == [str, str]
    assert (made.usage.prompt_tokens, made.usage.total_tokens) == (6, 6)
    assert api.asked[0].path == "/v2/embed"
    assert api.asked[0].body == {
        "model": "embed-v4.0", "texts": ["12345678", "1234"], "input_type": "search_document",
        "embedding_types": [form], "output_dimension": 3,
    }  # fmt: skip
    usual = gpt.embeddings.create(model=EMBED, input="12345678", extra_body={"input_type": "search_query"})
    assert usual.data[0].embedding == [1.0, 0.5, 0.5, 0.5], "read by the SDK from base64"
    assert api.asked[1].body["input_type"] == "search_query"


def test_more_texts_than_cohere_takes_at_once(gpt: openai.OpenAI, api: CohereApi) -> None:
    texts = ["x" * (n % 50 + 1) for n in range(200)]
    made = gpt.embeddings.create(model=EMBED, input=texts)
    assert [(each.index, each.embedding[0] * 8) for each in made.data] == [
        (n, len(each)) for n, each in enumerate(texts)
    ]
    assert made.usage.prompt_tokens == 200 * api.tokens
    assert sorted(len(asked.body["texts"]) for asked in api.asked) == [8, 96, 96]


def test_reranking_through_the_daemon(url: str, api: CohereApi) -> None:
    body = {
        "model": RERANK, "query": "a cat", "documents": [{"text": "a dog"}, "a cat"], "top_n": 1,
        "return_documents": True,
    }  # fmt: skip
    answer = httpx.post(f"{url}/v1/rerank", json=body, timeout=WAIT).json()
    assert answer["results"] == [{"index": 1, "relevance_score": 1.0, "document": {"text": "a cat"}}]
    assert api.asked[0].path == "/v2/rerank"
    assert api.asked[0].body == {
        "model": "rerank-v3.5", "query": "a cat", "documents": ["a dog", "a cat"], "top_n": 1,
    }  # fmt: skip


REFUSED: list[tuple[str, Json]] = [
    ("parallel_tool_calls", {"tools": TOOLS, "parallel_tool_calls": False}),
    ("response_format", {"tools": TOOLS, "response_format": {"type": "json_object"}}),
    ("n", {"n": 2}),
    ("stop", {"stop": ["a", "b", "c", "d", "e", "f"]}),
    ("logprobs", {"logprobs": True}),
]


@pytest.mark.parametrize(("param", "more"), REFUSED)
def test_what_cannot_be_said_is_an_error(param: str, more: Json, gpt: openai.OpenAI, api: CohereApi) -> None:
    with pytest.raises(openai.APIStatusError, match="Cohere's API does not take"):
        gpt.chat.completions.create(model=CHAT, messages=HI, **more)
    assert not api.asked


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (400, "invalid request: message must be at least 1 token long", openai.BadRequestError),
        (422, "invalid type: parameter k is of type string but should be of type int.", openai.APIStatusError),
        (400, "too many tokens: total number of tokens in the prompt cannot exceed 4081", openai.BadRequestError),
    ],
)
def test_a_refusal_keeps_its_words(
    status: int, message: str, error: type[openai.APIStatusError], gpt: openai.OpenAI, api: CohereApi
) -> None:
    api.answer = Refused(status, {"id": "1", "message": message})
    with pytest.raises(error) as caught:
        gpt.chat.completions.create(model=CHAT, messages=HI)
    assert caught.value.status_code < 500
    assert message[:40] in str(caught.value)


def test_a_failed_generation_is_not_an_answer(daemon: Any, api: CohereApi) -> None:
    """It says so at the end, with a good status."""

    def timed_out(asked: Asked) -> Any:
        return Refused(200, {"id": "1", "finish_reason": "TIMEOUT", "message": {"role": "assistant", "content": []}})

    api.answer = timed_out
    with daemon.client() as client, pytest.raises(Exception, match="TIMEOUT"):
        client.chat.completions.create(model="cohere.command-r7b-12-2024", messages=HI)


def test_what_it_costs(daemon: Any, api: CohereApi) -> None:
    """By the prices of https://cohere.com/pricing, worked out by hand: per million tokens, and per search."""
    api.answer = Said(tokens_in=2000, tokens_out=300)
    with daemon.client() as client:
        chat = client.chat.completions.create(model="cohere.command-a-03-2025", messages=HI, max_tokens=900)
        assert Decimal(str(chat.mesh.cost)) == 2000 * Decimal("2.5") / 10**6 + 300 * Decimal("10") / 10**6
        api.tokens = 50
        embedded = client.embeddings.create(model=EMBED, input=["x" * 400] * 2)
        assert Decimal(str(embedded.mesh.cost)) == 100 * Decimal("0.12") / 10**6
        ranked = client.rerank.create(model=RERANK, query="q", documents=["d"] * 250)
        assert Decimal(str(ranked.mesh.cost)) == 3 * Decimal("0.002")
