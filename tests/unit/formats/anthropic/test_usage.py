"""Usage in Anthropic's names: each token once, and sums for the rest of the daemon."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.anthropic.usage import usage_in, usage_map
from meshd.formats.anthropic.versions import continues_prefill, takes_sampling, thinks_adaptively, version_of
from meshd.sdk.provider import Usage
from tests.support.formats import openai_chats

START = {"input_tokens": 3, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 100, "output_tokens": 1}


@pytest.mark.parametrize(
    ("report", "before", "usage"),
    [
        (START, None, Usage(123, 1, 100, 20)),
        ({"output_tokens": 9}, Usage(123, 1, 100, 20), Usage(123, 9, 100, 20)),
        ({**START, "output_tokens": 9}, Usage(123, 1, 100, 20), Usage(123, 9, 100, 20)),
        ({"input_tokens": 5, "output_tokens": 9}, Usage(3, 1), Usage(5, 9)),
        (
            {
                "input_tokens": 1,
                "output_tokens": 9,
                "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
            },
            None,
            Usage(6, 9, 0, 5, lasting_tokens=3),
        ),
        ({"input_tokens": 1, "output_tokens": 9, "cache_creation": {"ephemeral_5m_input_tokens": 2}}, None,
         Usage(3, 9, 0, 2, lasting_tokens=0)),
        ({**START, "output_tokens": 9}, Usage(123, 1, 100, 20, lasting_tokens=7),
         Usage(123, 9, 100, 20, lasting_tokens=7)),
        ({"input_tokens": 1, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}, None,
         Usage(1, 9, reasoning_tokens=4)),
        ({"input_tokens": 1, "output_tokens": 9, "server_tool_use": {"web_search_requests": 2}}, None,
         Usage(1, 9, units=(("searches", 2),))),
        ({"input_tokens": "7", "output_tokens": 2.0, "cache_read_input_tokens": None}, None, Usage(7, 2)),
        ({"service_tier": "standard"}, None, None),
        ({}, Usage(3, 1), Usage(3, 1)),
        (None, None, None),
        ([1], None, None),
    ],
)  # fmt: skip
def test_reports(report: Any, before: Usage | None, usage: Usage | None) -> None:
    assert usage_in(report, before) == usage


counts = st.integers(0, 10**6)


@given(counts, counts, counts, counts)
def test_what_is_taken_apart_adds_up(fresh: int, output: int, cached: int, written: int) -> None:
    usage = Usage(fresh + cached + written, output, cached, written)
    assert usage_in(usage_map(usage)) == usage


names = st.sampled_from([*START, "cache_creation", "server_tool_use", "output_tokens_details", "thinking_tokens",
                         "web_search_requests", "ephemeral_1h_input_tokens"])  # fmt: skip
odd = st.recursive(
    openai_chats.scalars | st.just(float("nan")), lambda inner: st.dictionaries(names, inner, max_size=5)
)


@given(st.dictionaries(names, odd), st.none() | st.builds(Usage, counts, counts, counts))
def test_any_report_is_read_and_written(report: dict[str, Any], before: Usage | None) -> None:
    usage = usage_in(report, before)
    if usage is not None:
        assert all(count >= -1 for count in (usage.input_tokens, usage.output_tokens, usage.cached_tokens))
        usage_map(usage)


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("claude-opus-4-8", (4, 8)),
        ("claude-sonnet-4-20250514", (4, 0)),
        ("claude-haiku-4-5-20251001", (4, 5)),
        ("claude-3-7-sonnet-20250219", (3, 7)),
        ("anthropic/claude-3.5-haiku", (3, 5)),
        ("us.anthropic.claude-opus-4-6-v1:0", (4, 6)),
        ("claude-fable-5", (5, 0)),
        ("claude-mythos-preview", (999, 0)),
        ("glm-5", None),
        ("x" * 1000 + "claude", None),
    ],
)
def test_versions(model: str, version: tuple[int, int] | None) -> None:
    assert version_of(model) == version


@pytest.mark.parametrize(
    ("model", "prefill", "adaptive", "sampling"),
    [
        ("claude-sonnet-4-5", True, False, True),
        ("claude-sonnet-4-6", False, True, True),
        ("claude-opus-4-7", False, True, False),
        ("claude-sonnet-5", False, True, False),
        ("glm-5", False, False, True),
    ],
)
def test_what_a_version_takes(model: str, prefill: bool, adaptive: bool, sampling: bool) -> None:
    assert (continues_prefill(model), thinks_adaptively(model), takes_sampling(model)) == (prefill, adaptive, sampling)
