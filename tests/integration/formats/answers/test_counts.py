"""Tokens of requests and answers of all formats, as a real daemon counts them and tells the SDKs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest

import modelmesh
from tests.integration.formats.conftest import APPS, FORMATS, config
from tests.support.conversations import asked, drawn, over_http
from tests.support.providers.vendors.six_apis import SixApis
from tests.support.providers.vendors.three_apis import Said
from tests.support.waiting import WAIT

HI: Any = [{"role": "user", "content": "hi"}]
WORDS = "seven words that are counted as seven " * 100
LONG: Any = [{"role": "user", "content": WORDS}]
TOKENS = 7 * 100
TOKEN = "token-of-the-test"


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_apis: SixApis) -> Any:
    """The pools of-… of the other tests, and `known`, whose model has a vocabulary."""
    made = config(module_apis)
    settings = {**module_apis.provider("openai"), "connector": "openai.llm.v1"}
    made["providers"]["known"] = settings
    made["models"]["known.gpt-5-mini"] = {"capabilities": ["chat-completion"]}
    made["pools"]["known"] = {"models": ["known.gpt-5-mini"]}
    made["apps"] = {"narrow": {"match": {"token": hashlib.sha256(TOKEN.encode()).hexdigest()}, "pools": ["known"]}}
    return module_meshd(made)


@pytest.fixture(params=["http", "socket"])
def either(request: Any, daemon: Any, claude: anthropic.Anthropic) -> Iterator[anthropic.Anthropic]:
    """Anthropic's SDK over HTTP, and over the mesh socket."""
    if request.param == "http":
        yield claude
        return
    with modelmesh.http_client(socket=str(daemon.socket), library=httpx2, timeout=WAIT) as http:
        yield claude.with_options(http_client=http)


# -- before a request is sent -----------------------------------------------------------------------------


def test_a_count_is_an_estimate_without_a_vocabulary(either: anthropic.Anthropic, apis: SixApis) -> None:
    assert 5 <= either.messages.count_tokens(model="of-anthropic", messages=HI).input_tokens <= 20
    long = either.messages.count_tokens(model="of-anthropic", messages=HI, system="You are brief. " * 100)
    assert 250 <= long.input_tokens <= 500
    assert not apis.asked


def test_a_count_is_exact_with_a_vocabulary(either: anthropic.Anthropic, gpt: openai.OpenAI, apis: SixApis) -> None:
    count = either.messages.count_tokens(model="known", messages=LONG).input_tokens
    assert TOKENS <= count <= TOKENS + 20
    other = gpt.responses.input_tokens.count(model="known", input=LONG)
    assert abs(other.input_tokens - count) <= 20
    assert not apis.asked


def test_a_count_reserves_and_bills_nothing(claude: anthropic.Anthropic, daemon: Any) -> None:
    before = daemon.ask("GET", "/mesh/v1/stats")
    claude.messages.count_tokens(model="known", messages=LONG)
    after = daemon.ask("GET", "/mesh/v1/stats")
    assert after["data"] == before["data"]


def test_a_count_is_refused_as_its_request_is(claude: anthropic.Anthropic, http: httpx.Client) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        claude.messages.count_tokens(model="nope", messages=HI)
    told: Any = unknown.value.body
    assert (told["type"], told["error"]["type"]) == ("error", "not_found_error")
    narrow = claude.with_options(api_key=TOKEN)
    assert narrow.messages.count_tokens(model="known", messages=HI).input_tokens
    with pytest.raises(anthropic.PermissionDeniedError):
        narrow.messages.count_tokens(model="of-openai", messages=HI)
    for body in (b"[]", b"{", b'{"model": "known", "messages": 5}'):
        answer = http.post("/v1/messages/count_tokens", content=body)
        assert (answer.status_code, answer.json()["type"]) == (400, "error")
        assert answer.json()["error"]["type"] == "invalid_request_error"


# -- at the beginning of a stream -------------------------------------------------------------------------


def begun(claude: anthropic.Anthropic, pool: str, messages: Any) -> tuple[int, int]:
    """The input tokens that a stream tells at its beginning, and at its end."""
    with claude.messages.stream(model=pool, messages=messages, max_tokens=50) as stream:
        first = next(event.message.usage.input_tokens for event in stream if event.type == "message_start")
        return first, stream.get_final_message().usage.input_tokens


@pytest.mark.parametrize("spoken", ["openai", "responses"])
def test_a_translated_stream_begins_with_a_count(spoken: str, claude: anthropic.Anthropic, apis: SixApis) -> None:
    first, last = begun(claude, f"of-{spoken}", HI)
    assert 5 <= first <= 20
    assert last == 11
    first, _ = begun(claude, f"of-{spoken}", LONG)
    assert len(WORDS) // 5 <= first <= len(WORDS) // 4 + 20


def test_a_translated_stream_begins_with_its_models_count(claude: anthropic.Anthropic, apis: SixApis) -> None:
    apis.answer = Said(usage=False)
    told = begun(claude, "known", LONG)
    count = claude.messages.count_tokens(model="known", messages=LONG).input_tokens
    assert told == (count, count)


def test_a_stream_of_its_own_format_begins_as_its_provider_says(claude: anthropic.Anthropic, apis: SixApis) -> None:
    assert begun(claude, "of-anthropic", HI)[0] == 11


# -- of an answer whose provider counts nothing -----------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("spoken", FORMATS)
@pytest.mark.parametrize("api", APPS)
def test_an_answer_without_usage_counts_by_its_text(
    api: str, spoken: str, stream: bool, http: httpx.Client, daemon: Any, apis: SixApis
) -> None:
    apis.answer = Said("word " * 40, usage=False)
    before = counted(daemon, spoken)
    path, body = over_http.request(api, f"of-{spoken}", asked.body(api, drawn.HELLO), stream=stream)
    assert http.post(path, json=body).status_code == 200
    tokens = counted(daemon, spoken) - before
    assert 40 <= tokens <= 200 // 2, "of 200 bytes"


def counted(daemon: Any, spoken: str) -> int:
    """The output tokens that a member was settled with until now."""
    rows = daemon.ask("GET", f"/mesh/v1/stats?by=provider&name={spoken}")["data"]
    return sum(row["tokens_out"] for row in rows)
