"""Which form of list a request asks for."""

from __future__ import annotations

from collections.abc import Mapping

from meshd.formats.lists.anthropic import AnthropicList
from meshd.formats.lists.codex import CodexCatalogue
from meshd.formats.lists.entry import Form
from meshd.formats.lists.openai import OpenAIList

FORMS: tuple[Form, ...] = (AnthropicList(), CodexCatalogue(), OpenAIList())
"""The first that is asked for; the last is, always."""


def form_of(headers: Mapping[str, str], query: Mapping[str, str]) -> Form:
    return next(form for form in FORMS if form.asked(headers, query))
