"""Features of a model that the catalogue does not have."""

from __future__ import annotations

import pytest

from meshd.catalogue.families import family_features
from meshd.catalogue.known import ModelRow, load_models

ROWS = [
    ("acme-5-mini", ("tool_calling", "vision")),
    ("acme-5", ("tool_calling", "vision", "reasoning")),
    ("acme-4-large", ("tool_calling",)),
    ("maker/acme-5", ("json_mode",)),
    ("unsaid-1", ()),
]


def rows() -> list[ModelRow]:
    of_text = [
        ModelRow(provider="p", id=id, capabilities=("chat-completion",), features=features, source="", date="")
        for id, features in ROWS
    ]
    voice = ModelRow(
        provider="p", id="acme-voice", capabilities=("text-to-speech",), features=("x",), source="", date=""
    )
    return [*of_text, voice]


@pytest.mark.parametrize(
    ("model", "features"),
    [
        ("acme-5-mini-2027", ("tool_calling", "vision")),
        ("Acme-5.1", ("tool_calling", "vision")),
        ("acme-6", ("tool_calling",)),
        ("maker/acme-6", ("json_mode",)),
        ("other/acme-5", ()),
        ("acmed-5", ()),
        ("unsaid-2", ()),
        ("", ()),
    ],
)
def test_a_model_has_what_all_of_its_family_have(model: str, features: tuple[str, ...]) -> None:
    assert family_features(rows(), model, ("chat-completion",)) == features
    assert family_features(rows(), model, ("text-embeddings",)) == ()


@pytest.mark.parametrize(
    ("connector", "id", "feature"),
    [
        ("openai.llm.v1", "o5-mini", "reasoning"),
        ("google.gemini.v1", "models/gemini-5-pro", "vision"),
        ("aws.bedrock.v1", "us.anthropic.claude-sonnet-6-v1:0", "tool_calling"),
        ("aws.bedrock.v1", "anthropic.claude-opus-6", "reasoning"),
        ("aws.bedrock.v1", "us-gov.amazon.nova-pro-v2:0", "tool_calling"),
        ("aws.bedrock.v1", "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-6", "vision"),
        ("alibaba.dashscope.v1", "qwen4-max", "tool_calling"),
        ("openrouter.gateway.v1", "qwen/qwen4-max", "tool_calling"),
        ("siliconflow.api.v1", "Pro/deepseek-ai/DeepSeek-V5", "system_prompt"),
        ("fireworks.api.v1", "accounts/fireworks/models/kimi-k4", "tool_calling"),
        ("huggingface.inference.v1", "openai/gpt-oss-500b:groq", "reasoning"),
        ("cloudflare.workers-ai.v1", "@cf/meta/llama-5-8b-instruct", "tool_calling"),
        ("minimax.api.v1", "minimax-m4", "reasoning"),
        ("together.api.v1", "Qwen/Qwen4-72B", "tool_calling"),
    ],
)
def test_names_as_providers_have_them(connector: str, id: str, feature: str) -> None:
    assert feature in family_features(load_models(connector), id, ("chat-completion",))


def test_of_what_is_in_no_family_nothing_is_said() -> None:
    for connector, id in (("microsoft.azure-openai.v1", "my-deployment"), ("perplexity.search.v1", "openai/gpt-7")):
        assert family_features(load_models(connector), id, ("chat-completion",)) == ()


def test_real_families() -> None:
    chat = ("chat-completion",)
    assert "vision" in family_features(load_models("anthropic.claude.v1"), "claude-sonnet-6-1", chat)
    assert "reasoning" in family_features(load_models("openai.llm.v1"), "gpt-5.9-mini", chat)
    assert "system_prompt" in family_features(load_models("zai.glm.v1"), "glm-6", chat)
