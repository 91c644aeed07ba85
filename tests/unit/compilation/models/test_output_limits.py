"""How models take their output limit, as the catalogue's data say."""

from __future__ import annotations

import pytest

from meshd.compilation.models.output_limits import limit_of


@pytest.mark.parametrize(
    ("model", "limit", "unheard"),
    [
        ("o1", "max_completion_tokens", True),
        ("o4-mini-2026-01-01", "max_completion_tokens", True),
        ("openai/o3-pro", "max_completion_tokens", True),
        ("GPT-5.4-mini", "max_completion_tokens", True),
        ("gpt-5", "max_completion_tokens", True),
        ("gpt-12", "max_completion_tokens", True),
        ("gpt-4o", None, None),
        ("gpt-oss-120b", None, None),
        ("olmo-2", None, None),
        ("omni", None, None),
        ("google/gemini-2.5-pro", None, True),
        ("gemini-2.0-flash", None, None),
        ("grok-4-fast", None, True),
        ("grok-3-mini", None, None),
    ],
)
def test_a_limit_goes_under_the_name_that_the_model_takes(model: str, limit: str | None, unheard: bool | None) -> None:
    found = limit_of("openai-compatible.v1", model)
    assert (found.get("output_limit"), found.get("thinks_unheard")) == (limit, unheard)
