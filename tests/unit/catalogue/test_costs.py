"""Answers as providers send them cost what their pages of prices say, worked out by hand.

The figures are those of the pages that each row names, read on 28 November 2026; answers have the shapes that the
providers document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from meshd.core.needs import RequestNeeds
from meshd.core.prices import BATCH
from meshd.formats.lookup import provider_format
from meshd.operations.audio.speech import SPEECH
from meshd.operations.audio.transcription import TRANSCRIPTION
from meshd.operations.chat import CHAT
from meshd.operations.embeddings import EMBEDDINGS
from meshd.operations.images.generation import IMAGE_GENERATION
from meshd.routing.attempts.usage import in_tier, in_units
from meshd.routing.request.estimate import cost_of, upper_bound
from meshd.routing.table.specs import ModelSpec
from meshd.sdk import ProviderSettings
from meshd.sdk.provider import ProviderCall, Usage
from tests.support.config.compiling import compiled

M = 10**6


def model(connector: str, id: str) -> ModelSpec:
    made = compiled({"providers": {"p": {"connector": connector, "api_key": "k"}}, "models": {"p.m": _of(id)}})
    return made.table.models["p.m"]


def _of(id: str) -> dict[str, Any]:
    return {"provider": "p", "model": id}


def read(format: str, body: Mapping[str, Any], operation: Any = CHAT) -> Usage:
    side = provider_format(format).provider(ProviderSettings(name="p", connector="p.q.v1"))
    call = ProviderCall(operation=operation, model="m", fields={}, timeout=1.0)
    usage = side.read(json.dumps(body).encode(), call, None).usage  # type: ignore[arg-type]
    assert usage is not None
    return usage


def dollars(usage: Usage, of: ModelSpec, percent: int = 100) -> Decimal:
    return Decimal(cost_of(usage, of, percent)) / 10**9


def chat(tier: str | None = None, **usage: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
    return {"object": "chat.completion", "choices": [choice], "usage": usage} | ({"service_tier": tier} if tier else {})


def prompt(tokens: int, output: int, *, cached: int = 0, thought: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens,
        "completion_tokens": output,
        "total_tokens": tokens + output,
        "prompt_tokens_details": {"cached_tokens": cached, **more},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


@pytest.mark.parametrize(
    ("tier", "prices"),
    [
        (None, ("0.25", "0.025", "2")),
        ("default", ("0.25", "0.025", "2")),
        ("flex", ("0.125", "0.0125", "1")),
        ("priority", ("0.45", "0.045", "3.6")),
    ],
)
def test_openai_by_service_tier(tier: str | None, prices: tuple[str, str, str]) -> None:
    """gpt-5-mini: what it reasons is output."""
    fresh, cached, output = map(Decimal, prices)
    usage = read("openai", chat(tier, **prompt(2000, 300, cached=1536, thought=200)))
    by_hand = (464 * fresh + 1536 * cached + 300 * output) / M
    assert dollars(usage, model("openai.llm.v1", "gpt-5-mini")) == by_hand


def test_openai_beyond_the_length_of_a_long_prompt() -> None:
    """gpt-5.4: above 272,000 tokens of prompt, twice for all input and 1.5 times for output; as flex, half of that."""
    of = model("openai.llm.v1", "gpt-5.4")
    at, beyond = (chat(**prompt(tokens, 1000, cached=100_000)) for tokens in (272_000, 272_001))
    assert dollars(read("openai", at), of) == (172_000 * Decimal("2.5") + 100_000 * Decimal("0.25") + 15_000) / M
    assert dollars(read("openai", beyond), of) == (172_001 * 5 + 100_000 * Decimal("0.5") + 22_500) / M
    flex = read("openai", {**beyond, "service_tier": "flex"})
    assert dollars(flex, of) == (172_001 * Decimal("2.5") + 100_000 * Decimal("0.25") + 11_250) / M


@pytest.mark.parametrize(
    ("tokens", "prices"),
    [
        (32_000, ("1", "0.1", "5")),
        (32_001, ("1.8", "0.18", "9")),
        (128_000, ("1.8", "0.18", "9")),
        (128_001, ("3", "0.3", "15")),
        (256_001, ("6", "0.6", "60")),
    ],
)
def test_qwen_has_steps_for_longer_prompts(tokens: int, prices: tuple[str, ...]) -> None:
    """qwen3-coder-plus, alibabacloud.com/help/en/model-studio/models: each step counts for the whole request."""
    fresh, cached, output = map(Decimal, prices)
    usage = read("openai", chat(**prompt(tokens, 1000, cached=10_000)))
    by_hand = ((tokens - 10_000) * fresh + 10_000 * cached + 1000 * output) / M
    assert dollars(usage, model("alibaba.dashscope.v1", "qwen3-coder-plus")) == by_hand


def test_openai_writes_to_its_cache_unasked() -> None:
    """gpt-5.6: 1.25 times the price of input."""
    of = model("openai.llm.v1", "gpt-5.6-sol")
    fresh, cached, output = (Decimal(of.pricing.price(key)) / 10**9 for key in KEYS)
    usage = read("openai", chat(**prompt(3000, 10, cached=1000, cache_write_tokens=1500)))
    by_hand = (500 * fresh + 1500 * fresh * Decimal("1.25") + 1000 * cached + 10 * output) / M
    assert dollars(usage, of, of.cache_write_percent) == by_hand


KEYS = ("input_per_1m", "cached_input_per_1m", "output_per_1m")


def test_openai_speech_words_and_images() -> None:
    """tts-1: $15 for a million characters; whisper-1: $0.006 a minute; gpt-image-1: $5 and $10 for input, $40."""
    said = in_units(Usage(), RequestNeeds(SPEECH, units={"characters": 2500}), model("openai.llm.v1", "tts-1"))
    assert dollars(said, model("openai.llm.v1", "tts-1")) == Decimal("0.0375")
    heard = Usage(units=(("seconds", 90),))
    assert dollars(heard, model("openai.llm.v1", "whisper-1")) == Decimal("0.009")
    details = {"text_tokens": 50, "image_tokens": 300}
    usage = {"input_tokens": 350, "output_tokens": 1056, "total_tokens": 1406, "input_tokens_details": details}
    drawn = read("openai", {"data": [{"b64_json": "aGk="}], "usage": usage}, IMAGE_GENERATION)
    by_hand = (50 * Decimal(5) + 300 * Decimal(10) + 1056 * Decimal(40)) / M
    assert dollars(drawn, model("openai.llm.v1", "gpt-image-1")) == by_hand


def test_anthropic_with_all_kinds_of_input() -> None:
    """claude-sonnet-5-5: $2; written for 5 minutes $2.50, for an hour $4; read $0.10; $10; 1,000 searches $10."""
    usage = {
        "input_tokens": 120,
        "cache_read_input_tokens": 5000,
        "cache_creation_input_tokens": 3000,
        "cache_creation": {"ephemeral_5m_input_tokens": 2000, "ephemeral_1h_input_tokens": 1000},
        "output_tokens": 400,
        "server_tool_use": {"web_search_requests": 2},
    }
    message = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Yes."}]}
    of = model("anthropic.claude.v1", "claude-sonnet-5-5")
    answer = {**message, "stop_reason": "end_turn", "usage": usage}
    by_hand = 120 * 2 + 2000 * Decimal("2.5") + 1000 * 4 + 5000 * Decimal("0.1") + 400 * 10
    assert dollars(read("anthropic", answer), of) == by_hand / M + Decimal("0.02")
    batch = {**answer, "usage": {**usage, "service_tier": BATCH}}
    assert dollars(read("anthropic", batch), of) == by_hand / 2 / M + Decimal("0.02")


def test_bedrock_with_all_kinds_of_input() -> None:
    """Claude Opus 4.8 by its global profile: $5; written for 5 minutes $6.25, for an hour $10; read $0.50; $25. Titan's
    embeddings: $0.02."""
    usage = {
        "inputTokens": 120,
        "cacheReadInputTokens": 5000,
        "cacheWriteInputTokens": 3000,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 1000}, {"ttl": "5m", "inputTokens": 2000}],
        "outputTokens": 400,
        "totalTokens": 8520,
    }
    message = {"role": "assistant", "content": [{"text": "Yes."}]}
    answer = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}
    by_hand = 120 * 5 + 2000 * Decimal("6.25") + 1000 * 10 + 5000 * Decimal("0.5") + 400 * 25
    of = model("aws.bedrock.v1", "global.anthropic.claude-opus-4-8")
    assert dollars(read("bedrock", answer), of) == by_hand / M
    titan = read("bedrock", {"embedding": [0.5], "inputTextTokenCount": 800}, EMBEDDINGS)
    assert dollars(titan, model("aws.bedrock.v1", "amazon.titan-embed-text-v2:0")) == 800 * Decimal("0.02") / M


def test_a_response_in_the_responses_api() -> None:
    """grok-4.7: $2, $0.50 cached, $6; above 200,000 tokens twice of each."""
    usage = {
        "input_tokens": 1200,
        "input_tokens_details": {"cached_tokens": 1000},
        "output_tokens": 300,
        "output_tokens_details": {"reasoning_tokens": 250},
        "total_tokens": 1500,
    }
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]}
    answer = {"object": "response", "status": "completed", "output": [message], "usage": usage}
    of = model("xai.grok.v1", "grok-4.7")
    assert dollars(read("responses", answer), of) == (200 * Decimal(2) + 1000 * Decimal("0.5") + 300 * Decimal(6)) / M
    answer["usage"] = {"input_tokens": 250_000, "output_tokens": 100, "total_tokens": 250_100}
    assert dollars(read("responses", answer), of) == (250_000 * Decimal(4) + 100 * Decimal(12)) / M


def test_deepseek_groq_and_moonshot() -> None:
    """deepseek-v4-pro at its dearest hour: $1.32, $0.044, $3.96; whisper-large-v3: $0.111 an hour; kimi-k3: $3, $0.30,
    $15, and nothing for writes."""
    hits = {"prompt_cache_hit_tokens": 900, "prompt_cache_miss_tokens": 100}
    usage = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050, **hits}
    by_hand = (100 * Decimal("1.32") + 900 * Decimal("0.044") + 50 * Decimal("3.96")) / M
    assert dollars(read("openai", chat(**usage)), model("deepseek.api.v1", "deepseek-v4-pro")) == by_hand
    heard = in_units(Usage(), RequestNeeds(TRANSCRIPTION, units={"seconds": 600}), model("groq.api.v1", WHISPER))
    assert dollars(heard, model("groq.api.v1", WHISPER)) == Decimal("0.111") / 6
    kimi = read("openai", chat(**prompt(2000, 100, cached=500, cache_write_tokens=1000)))
    of = model("moonshot.kimi.v1", "kimi-k3")
    assert dollars(kimi, of, of.cache_write_percent) == (1500 * Decimal(3) + 500 * Decimal("0.3") + 1500) / M


WHISPER = "whisper-large-v3"


def test_a_tier_that_an_answer_does_not_tell_counts_only_where_it_costs_more() -> None:
    of = model("openai.llm.v1", "gpt-5-mini")
    usage = Usage(1000, 100)
    assert in_tier(usage, RequestNeeds(CHAT, tier="priority"), of).tier == "priority"
    assert in_tier(usage, RequestNeeds(CHAT, tier="flex"), of).tier == ""
    assert in_tier(Usage(1000, 100, tier="flex"), RequestNeeds(CHAT, tier="priority"), of).tier == "flex"


def test_a_dearer_tier_is_reserved_and_a_cheaper_one_is_not_trusted() -> None:
    of = model("openai.llm.v1", "gpt-5-mini")
    usual, flex, priority = (
        upper_bound(RequestNeeds(CHAT, most=1000, max_output=100, tier=tier), of).cost
        for tier in ("", "flex", "priority")
    )
    assert flex == usual < priority
    assert cost_of(Usage(1000, 100, tier="priority"), of, 100) <= priority


def test_configured_prices_apply_to_every_tier() -> None:
    section = {**_of("gpt-5-mini"), "pricing": {"input_per_1m": 1, "output_per_1m": 1}}
    made = compiled({"providers": {"p": {"connector": "openai.llm.v1", "api_key": "k"}}, "models": {"p.m": section}})
    of = made.table.models["p.m"]
    assert cost_of(Usage(M, 0, tier="flex"), of, 100) == cost_of(Usage(M, 0), of, 100) == 10**9


def test_writes_to_a_cache_are_configured_by_their_price() -> None:
    prices = {"input_per_1m": 1, "output_per_1m": 1, "cache_write_per_1m": 1.5, "cache_write_1h_per_1m": 3}
    section = {**_of("m"), "pricing": prices}
    made = compiled({"models": {"house.m": {**section, "provider": "house"}}})
    of = made.table.models["house.m"]
    assert of.cache_write_percent == 150
    written = Usage(M, 0, written_tokens=M, lasting_tokens=M // 2)
    assert cost_of(written, of, 150) == (10**9 * 3 // 2 + 10**9 * 3) // 2


def test_gemini_with_thoughts_a_cache_and_a_long_prompt() -> None:
    """ai.google.dev/gemini-api/docs/pricing: thoughts are output; what the provider's tools add to a prompt counts, and
    beyond 200,000 tokens of it all is dearer. An image costs 0.039 USD."""

    def answer(*parts: dict[str, Any], **usage: int) -> dict[str, Any]:
        content = {"parts": [*parts, {"text": "Yes."}], "role": "model"}
        return {"candidates": [{"content": content, "finishReason": "STOP"}], "usageMetadata": usage}

    counts = {"promptTokenCount": 1000, "cachedContentTokenCount": 400, "toolUsePromptTokenCount": 100}
    counts |= {"candidatesTokenCount": 200, "thoughtsTokenCount": 300, "totalTokenCount": 1600}
    by_hand = (700 * Decimal("1.25") + 400 * Decimal("0.125") + 500 * Decimal(10)) / M
    pro = model("google.gemini.v1", "gemini-2.5-pro")
    assert dollars(read("gemini", answer(**counts)), pro) == by_hand
    counts = {"promptTokenCount": 300_000, "cachedContentTokenCount": 100_000, "candidatesTokenCount": 1000}
    by_hand = (200_000 * Decimal("2.5") + 100_000 * Decimal("0.25") + 1000 * Decimal(15)) / M
    assert dollars(read("gemini", answer(**counts)), pro) == by_hand
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    painter = model("google.gemini.v1", "gemini-2.5-flash-image")
    assert dollars(read("gemini", answer(picture, promptTokenCount=10, candidatesTokenCount=1290)), painter) == Decimal(
        "0.039"
    )
