"""The page about what each format can express is as the trials say."""

from __future__ import annotations

import pytest

from meshd.formats.known import FORMATS
from tests.support import conformance

NEEDED = (
    "system prompt", "several turns", "image, as data", "tools", "parallel tool calls and results", "tool choice",
    "JSON schema", "temperature",
)  # fmt: skip


def test_the_page_is_as_tried() -> None:
    again = "`.venv/bin/python -m tests.support.conformance` writes it"
    assert conformance.PAGE.read_text("utf-8") == conformance.page(), again


def test_every_format_is_on_it() -> None:
    assert set(conformance.TITLES) == set(FORMATS)


@pytest.mark.parametrize("format", FORMATS)
def test_all_can_say_what_conversations_need(format: str) -> None:
    for feature in NEEDED:
        assert conformance.asked(format, feature) == "yes", feature
    for feature in ("text", "reasoning", "parallel tool calls", "citations of web pages", "input and output tokens"):
        for stream in (False, True):
            assert conformance.read_from(format, feature, stream=stream) == "yes", feature
    assert set(conformance.kinds_of_errors(format)) == {
        "invalid_request", "context_length", "authentication", "model_not_found", "rate_limit", "server",
    }  # fmt: skip
