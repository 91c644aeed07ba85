"""Which form of list a request asks for."""

from __future__ import annotations

from collections.abc import Mapping

from meshd.formats.lists.anthropic import AnthropicList
from meshd.formats.lists.codex import CodexCatalogue
from meshd.formats.lists.entry import ListForm
from meshd.formats.lists.gemini import GeminiList
from meshd.formats.lists.openai import OpenAIList

LIST_FORMS: tuple[ListForm, ...] = (AnthropicList(), GeminiList(), CodexCatalogue(), OpenAIList())
"""The first that is asked for; the last is, always."""


def list_form_of(headers: Mapping[str, str], query: Mapping[str, str]) -> ListForm:
    return next(form for form in LIST_FORMS if form.asked(headers, query))
