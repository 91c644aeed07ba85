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


def test_real_families() -> None:
    chat = ("chat-completion",)
    assert "vision" in family_features(load_models("anthropic.claude.v1"), "claude-sonnet-6-1", chat)
    assert "reasoning" in family_features(load_models("openai.llm.v1"), "gpt-5.9-mini", chat)
    assert "system_prompt" in family_features(load_models("zai.glm.v1"), "glm-6", chat)
