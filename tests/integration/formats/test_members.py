"""Members that speak each of the formats, asked by the real SDKs over the real daemon."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import msgspec
import openai
import pytest
from google import genai

from meshd.catalogue.known import provider_row
from meshd.connectors.providers.http_provider import HttpProvider
from meshd.operations.chat import CHAT
from meshd.sdk import FailureKind, ProviderCall, ProviderFailure, ProviderSettings
from tests.integration.formats.conftest import FORMATS
from tests.support.providers.vendors.six_apis import SixApis, format_of, model_of
from tests.support.providers.vendors.three_apis import Refused, Said

HI: Any = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("spoken", FORMATS)
def test_every_app_is_answered_by_every_member(
    spoken: str, apis: SixApis, claude: anthropic.Anthropic, gpt: openai.OpenAI, google: genai.Client
) -> None:
    pool = f"of-{spoken}"
    message = claude.messages.create(model=pool, messages=HI, max_tokens=50)
    assert [block.text for block in message.content if block.type == "text"] == ["Hello there"]
    assert (message.usage.input_tokens, message.usage.output_tokens) == (11, 5)
    chat = gpt.chat.completions.create(model=pool, messages=HI)
    assert chat.choices[0].message.content == "Hello there"
    assert gpt.responses.create(model=pool, input="hi").output_text == "Hello there"
    with claude.messages.stream(model=pool, messages=HI, max_tokens=50) as stream:
        assert "".join(stream.text_stream) == "Hello there"
    chunks = list(gpt.chat.completions.create(model=pool, messages=HI, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello there"
    events = list(gpt.responses.create(model=pool, input="hi", stream=True))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Hello there"
    assert google.models.generate_content(model=pool, contents="hi").text == "Hello there"
    parts = list(google.models.generate_content_stream(model=pool, contents="hi"))
    assert "".join(part.text or "" for part in parts) == "Hello there"
    assert {format_of(asked) for asked in apis.asked} == {spoken}
    assert {model_of(asked) for asked in apis.asked} == {f"m-{spoken}"}


def test_bytes_pass_between_one_format(apis: SixApis, http: httpx.Client) -> None:
    apis.answer = Said(thought="hm", calls=(("f", {"x": 1}),))
    headers = {
        "x-api-key": "of-the-app",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "context-1m-2025-08-07,newer",
        "x-stainless-lang": "js",
        "x-claude-code-session-id": "s",
    }
    sent = (
        '{"model": "of-anthropic", "max_tokens": 5, "messages": [ {"role":"user","content":"h\\u0069"}],'
        '"thinking":{"type":"adaptive"}, "speed": "fast", "newer":{"b":[1e1, null]}}'
    )
    answer = http.post("/v1/messages?beta=true&other=1", content=sent, headers=headers)
    (asked,) = apis.asked
    assert asked.path == "/v1/messages?beta=true"
    assert asked.headers["anthropic-beta"] == "context-1m-2025-08-07,newer"
    assert asked.headers["x-api-key"] == "k-test-0123456789abcdef"
    assert not {"x-stainless-lang", "authorization", "x-claude-code-session-id"} & set(asked.headers)
    assert b'[ {"role":"user","content":"h\\u0069"}]' in asked.raw
    assert asked.body["newer"] == {"b": [10, None]}
    assert asked.body["model"] == "m-anthropic"
    assert [block["type"] for block in answer.json()["content"]] == ["thinking", "text", "tool_use"]
    assert answer.json()["content"][0]["signature"] == "c2ln"


@pytest.mark.parametrize("spoken", [each for each in FORMATS if each != "anthropic"])
def test_what_belongs_to_one_api_stays_there(spoken: str, apis: SixApis, http: httpx.Client) -> None:
    headers = {"anthropic-beta": "context-1m-2025-08-07", "anthropic-version": "2023-06-01"}
    body = {"model": f"of-{spoken}", "max_tokens": 5, "messages": HI, "speed": "fast", "context_management": {"e": []}}
    assert http.post("/v1/messages?beta=true", json=body, headers=headers).status_code == 200
    (asked,) = apis.asked
    assert not [name for name in asked.headers if name.startswith("anthropic-")]
    assert "beta=" not in asked.path
    assert not {"speed", "context_management"} & set(asked.body)


def test_a_limit_is_sent_where_it_is_required(apis: SixApis, gpt: openai.OpenAI, http: httpx.Client) -> None:
    gpt.chat.completions.create(model="of-anthropic", messages=HI)
    http.post("/v1/messages", json={"model": "of-anthropic", "messages": HI})
    gpt.chat.completions.create(model="of-openai", messages=HI)
    assert [body.get("max_tokens") for body in apis.bodies()] == [4096, 4096, None]


def test_an_operation_that_a_format_lacks(apis: SixApis, gpt: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        gpt.embeddings.create(model="anthropic.m-anthropic", input="hi")
    assert refused.value.status_code < 500
    assert not apis.asked


@pytest.mark.parametrize(("status", "kind"), [(400, "invalid_request_error"), (413, "request_too_large")])
def test_a_refusal_keeps_its_words(status: int, kind: str, apis: SixApis, claude: anthropic.Anthropic) -> None:
    error = {"type": "error", "error": {"type": kind, "message": f"words of {kind}"}, "request_id": "req_1"}
    apis.answer = Refused(status, error)
    with pytest.raises(anthropic.APIStatusError) as caught:
        claude.messages.create(model="of-anthropic", messages=HI, max_tokens=5)
    told: Any = json.loads(caught.value.response.text)
    assert (caught.value.status_code, told["type"], told["error"]["type"]) == (status, "error", kind)
    assert f"words of {kind}" in told["error"]["message"]


# -- the connector ----------------------------------------------------------------------------------------

KINDS = [
    (401, "authentication_error", FailureKind.AUTHENTICATION),
    (403, "permission_error", FailureKind.PERMISSION),
    (404, "not_found_error", FailureKind.MODEL_NOT_FOUND),
    (429, "rate_limit_error", FailureKind.RATE_LIMIT),
    (500, "api_error", FailureKind.SERVER),
    (504, "timeout_error", FailureKind.SERVER),
    (529, "overloaded_error", FailureKind.SERVER),
]


@pytest.fixture
async def provider(apis: SixApis) -> AsyncIterator[HttpProvider]:
    row = provider_row("anthropic.llm.v1")
    assert row is not None
    made = HttpProvider(ProviderSettings("a", row.id, base_url=f"{apis.url}/v1", api_key="k" * 20, quirks=row.quirks))
    yield made
    await made.aclose()


def asking(**more: Any) -> ProviderCall:
    return ProviderCall(CHAT, "claude-opus-5-5", {"messages": msgspec.Raw(b"[]")}, **more)


@pytest.mark.parametrize(("status", "type", "kind"), KINDS)
async def test_failures_by_anthropics_types(
    status: int, type: str, kind: FailureKind, provider: HttpProvider, apis: SixApis
) -> None:
    headers = {
        "retry-after": "7",
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-tokens-remaining": "900",
    }
    words = "model: claude-opus-5-5" if status == 404 else "its words"
    apis.answer = Refused(status, {"type": "error", "error": {"type": type, "message": words}}, headers)
    with pytest.raises(ProviderFailure) as failed:
        await provider.execute(asking())
    assert failed.value.kind is kind
    if status == 429:
        assert failed.value.retry_after == 7
        limits = failed.value.limits
        assert limits is not None
        assert (limits.limit_requests, limits.remaining_requests, limits.remaining_tokens) == (50, 0, 900)


async def test_models_and_a_probe(provider: HttpProvider, apis: SixApis) -> None:
    apis.models = [
        {
            "type": "model", "id": "claude-opus-5-5", "display_name": "Claude", "created_at": "2026-01-01T00:00:00Z",
            "max_input_tokens": 1000, "max_tokens": 100,
        }
    ]  # fmt: skip
    (listed,) = await provider.list_models()
    assert (listed.id, listed.context_window, listed.max_output_tokens) == ("claude-opus-5-5", 1000, 100)
    assert await provider.probe(5.0) > 0
    assert {asked.path for asked in apis.asked} == {"/v1/models?limit=1000"}
    assert {asked.headers["anthropic-version"] for asked in apis.asked} == {"2023-06-01"}
    assert {asked.headers["x-api-key"] for asked in apis.asked} == {"k" * 20}


async def test_an_operators_beta_and_an_apps_go_together(apis: SixApis) -> None:
    given = {"base_url": f"{apis.url}/v1", "headers": {"anthropic-beta": "ours"}, "quirks": {"speaks": ["anthropic"]}}
    provider = HttpProvider(ProviderSettings("a", "anthropic-compatible.v1", **given))
    await provider.execute(asking(headers={"anthropic-beta": "theirs"}, query={"beta": "true"}))
    await provider.aclose()
    assert apis.asked[0].headers["anthropic-beta"] == "ours,theirs"
    assert apis.asked[0].path == "/v1/messages?beta=true"


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="speaks klingon"):
        HttpProvider(ProviderSettings("a", "c", base_url="http://h/v1", quirks={"speaks": ["klingon"]}))
