"""The catalogue's rows: that each can be used, says where it is from, and what a provider costs."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from meshd.catalogue import known as catalogue
from meshd.catalogue.known import ModelRow, load_models
from meshd.catalogue.retirements import RetirementRow, load_retirements, retirement
from meshd.compilation.compile import prices_of
from meshd.config.schema import PricingConfig
from meshd.config.schema.routing.models import FeaturesConfig
from meshd.formats.openai.body.prefill import PREFILLS
from meshd.gateway.requests.token_counting import load
from meshd.routing.table.capabilities import CapabilityTree

FILES = sorted(Path(catalogue.__file__).parent.glob("models/*.toml"))
WITH_MODELS = [file.stem for file in FILES]
ROWS = [row for provider in WITH_MODELS for row in load_models(provider)]
TREE = CapabilityTree.default()

PROVIDERS = [
    "openai.llm.v1",
    "anthropic.claude.v1",
    "google.gemini.v1",
    "xai.grok.v1",
    "deepseek.api.v1",
    "mistral.api.v1",
    "groq.api.v1",
    "together.api.v1",
    "fireworks.api.v1",
    "openrouter.gateway.v1",
    "perplexity.search.v1",
    "cohere.nlp.v1",
    "voyage.api.v1",
    "huggingface.inference.v1",
    "cloudflare.workers-ai.v1",
    "cerebras.inference.v1",
    "sambanova.cloud.v1",
    "nvidia.nim.v1",
    "moonshot.kimi.v1",
    "zai.glm.v1",
    "minimax.api.v1",
    "alibaba.dashscope.v1",
    "siliconflow.api.v1",
    "aws.bedrock.v1",
    "microsoft.azure-openai.v1",
    "google.vertex.v1",
    "elevenlabs.tts.v1",
    "azure.tts.v1",
    "assemblyai.stt.v1",
    "google.cloud-ai.v1",
    "stability.image-gen.v1",
    "fal.media-gen.v1",
    "replicate.inference.v1",
    "tavily.search.v1",
    "serper.search.v1",
    "google.search.v1",
    "microsoft.bing-search.v1",
    "brave.search.v1",
    "searxng.search.v1",
    "jina.search.v1",
    "firecrawl.search.v1",
    "unstructured.doc-parse.v1",
    "llamaindex.doc-parse.v1",
    "deepgram.speech.v1",
    "deepl.translation.v1",
    "google.moderation.v1",
    "ollama.local.v1",
    "lmstudio.local.v1",
    "vllm.local.v1",
    "localai.local.v1",
    "llama-server.local.v1",
    "sglang.local.v1",
    "lemonade.local.v1",
    "openai-compatible.v1",
    "anthropic-compatible.v1",
    "gemini-compatible.v1",
    "responses-compatible.v1",
    "modelmesh.local-llm.v1",
    "modelmesh.local-embeddings.v1",
    "modelmesh.local-speech.v1",
    "modelmesh.local-transcription.v1",
    "modelmesh.scripted.v1",
]
"""Every provider connector of the catalogue and of the daemon."""

WITHOUT_PRICES = {
    "nvidia.nim.v1": "billed in credits",
    "firecrawl.search.v1": "billed in credits, whose price depends on the plan",
    "searxng.search.v1": "a server of one's own",
    "ollama.local.v1": "local",
    "lmstudio.local.v1": "local",
    "vllm.local.v1": "local",
    "localai.local.v1": "local",
    "llama-server.local.v1": "local",
    "sglang.local.v1": "local",
    "lemonade.local.v1": "local",
    "openai-compatible.v1": "whatever its server costs",
    "anthropic-compatible.v1": "whatever its server costs",
    "responses-compatible.v1": "whatever its server costs",
    "gemini-compatible.v1": "whatever its server costs",
    "modelmesh.local-llm.v1": "local",
    "modelmesh.local-embeddings.v1": "local",
    "modelmesh.local-speech.v1": "local",
    "modelmesh.local-transcription.v1": "local",
    "modelmesh.scripted.v1": "a script",
}

FREE = (("content-moderation",), ("toxicity-detection",))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_a_provider_costs_is_known_or_why_not(provider: str) -> None:
    priced = any(row.pricing is not None for row in load_models(provider))
    assert priced is (provider not in WITHOUT_PRICES)


def test_rows_are_of_known_providers_and_appear_once() -> None:
    assert set(WITH_MODELS) <= set(PROVIDERS)
    assert {row.id for row in catalogue.load_provider_rows()} <= set(PROVIDERS)
    assert len({(row.provider, row.id) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("provider", WITH_MODELS)
def test_a_file_holds_its_own_provider(provider: str) -> None:
    assert {row.provider for row in load_models(provider)} == {provider}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.provider} {row.id}")
def test_a_row_can_be_used(row: ModelRow) -> None:
    assert row.capabilities
    assert all(TREE.resolve(name) for name in row.capabilities), row.capabilities
    assert row.source.startswith("https://")
    assert row.date.startswith("20")
    assert (row.context_window or 1) > 0
    assert (row.max_output_tokens or 1) > 0
    assert not row.tokens_per_image or "vision" in row.features
    assert set(row.features) | set(row.lacks) <= set(FeaturesConfig.model_fields)
    assert not set(row.features) & set(row.lacks)


def _known(row: ModelRow) -> dict[str, int]:
    return row.pricing or {}


@pytest.mark.parametrize("row", [row for row in ROWS if row.prices], ids=lambda row: f"{row.provider} {row.id}")
def test_prices_are_possible(row: ModelRow) -> None:
    assert row.prices is not None
    known = _known(row)
    for name, price in known.items():
        assert price == Decimal(row.prices[name]) * 10**9
    assert ("input_per_1m" in known) == ("output_per_1m" in known)
    assert known.get("cached_input_per_1m", 0) <= known.get("input_per_1m", 0)
    assert known.get("input_per_1m", 0) <= 100 * 10**9
    assert all(known.get(name, 0) <= 10**9 for name in ("per_request", "per_image", "per_minute", "per_1k_chars"))
    asked = {name for name, price in known.items() if price} - {"cached_input_per_1m"}
    assert asked or row.capabilities in FREE, "free of charge is only what is known to be"


def test_a_price_that_the_daemon_does_not_count_by_is_refused() -> None:
    with pytest.raises(ValueError, match="no price is called per_hour"):
        ModelRow(provider="p", id="m", capabilities=(), prices={"per_hour": "1"}, source="", date="")


@pytest.mark.parametrize("row", [row for row in ROWS if row.long_prompts], ids=lambda row: f"{row.provider} {row.id}")
def test_a_long_prompt_costs_more(row: ModelRow) -> None:
    pricing, long = row.pricing, row.pricing_of_long_prompts
    assert pricing is not None
    inputs = [pricing["input_per_1m"], *(each.input_per_1m for each in long)]
    outputs = [pricing["output_per_1m"], *(each.output_per_1m for each in long)]
    lengths = [0, *(each.above for each in long)]
    assert inputs == sorted({*inputs}), "each step costs more"
    assert outputs == sorted(outputs)
    assert lengths == sorted({*lengths})
    assert lengths[-1] < (row.context_window or 0)


@pytest.mark.parametrize("vocabulary", sorted({row.vocabulary for row in ROWS} - {""}))
def test_a_vocabulary_is_there(vocabulary: str) -> None:
    tokenizer = load(vocabulary)
    assert tokenizer is not None
    assert len(tokenizer.encode_ordinary("Hello world")) == 2


def test_openais_vocabularies() -> None:
    of = {row.id: row.vocabulary for row in load_models("openai.llm.v1")}
    assert of["gpt-5-mini"] == of["gpt-4o"] == of["o3"] == "o200k_base"
    assert of["text-embedding-3-small"] == of["gpt-4-turbo"] == "cl100k_base"
    assert of["whisper-1"] == ""


def test_a_row_is_found_by_an_old_spelling_and_no_file_by_a_path() -> None:
    assert load_models("xai.api.v1") == load_models("xai.grok.v1") != ()
    assert load_models("nobody") == ()
    assert load_models("../local_models") == ()


def test_the_first_model_is_the_default() -> None:
    assert load_models("openai.llm.v1")[0].id == "gpt-5.4-mini"
    default = catalogue.load_local_models()[0]
    assert default.name == "smollm2-135m"
    assert default.sha256


def test_prices_of_long_prompts_reach_the_table_unless_others_are_configured() -> None:
    row = next(row for row in ROWS if row.long_prompts)
    nothing = PricingConfig()
    compiled = prices_of(nothing, nothing, row)
    assert compiled.long_prompts[0].input_per_1m == Decimal(row.long_prompts[0]["input_per_1m"]) * 10**9
    own = PricingConfig(input_per_1m=1)
    assert prices_of(own, nothing, row).long_prompts == ()
    assert prices_of(nothing, own, row).long_prompts == ()
    assert prices_of(nothing, nothing, None).long_prompts == ()


def test_how_a_provider_continues_with_an_answer_is_one_of_the_known_ways() -> None:
    of = {row.id: row.quirks["prefill"] for row in catalogue.load_provider_rows() if "prefill" in row.quirks}
    assert set(of.values()) == set(PREFILLS)
    assert of["openai.llm.v1"] == of["microsoft.azure-openai.v1"] == "instruct"
    assert of["mistral.api.v1"] == "prefix"
    assert of["moonshot.kimi.v1"] == "partial"
    assert of["vllm.local.v1"] == "final_message"


@pytest.mark.parametrize("row", load_retirements(), ids=lambda row: f"{row.provider} {row.day}")
def test_a_retirement_names_a_day_and_its_source(row: RetirementRow) -> None:
    assert row.provider in PROVIDERS
    assert date.fromisoformat(row.day).isoformat() == row.day
    assert row.models == tuple(dict.fromkeys(row.models))
    assert row.source.startswith("https://")
    assert date.fromisoformat(row.date) >= date(2026, 11, 28)


def test_a_retirement_is_found_by_an_old_spelling_of_its_provider() -> None:
    assert retirement("groq.inference.v1", "llama-3.1-8b-instant") == "2026-08-16"
    assert retirement("openai.llm.v1", "gpt-none") == retirement("acme.llm.v1", "gpt-5") == ""


@pytest.mark.parametrize("provider", WITH_MODELS)
def test_a_model_that_ends_is_not_preferred(provider: str) -> None:
    """Of one kind, the first is asked first where a user names none."""
    lasting: set[str] = set()
    for row in reversed(load_models(provider)):
        ends, kind = retirement(provider, row.id), row.capabilities[0]
        assert not ends or kind not in lasting, row.id
        lasting |= set() if ends else {kind}
