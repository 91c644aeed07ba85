"""The known wire formats, and where each is. A format is imported at its first use (`lookup.py`).

Owns: what has to be known about a format before that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Known(NamedTuple):
    """at: `module:NAME` of the `ProviderFormat`. app: whether apps speak it to the daemon, so that it is a `Format`.
    api: its API, for people. turns: the field of a request with the conversation. keeps: its apps retrieve answers by
    their ids (`AppSide.keeping`). counts: the path, below that of a request, where apps ask for its tokens
    (`AppSide.counted`); "": none."""

    at: str
    api: str
    app: bool = False
    turns: str = "messages"
    keeps: bool = False
    counts: str = ""


FORMATS: Mapping[str, Known] = {
    "openai": Known("meshd.formats.openai.format:OPENAI", "OpenAI's chat API", app=True),
    "anthropic": Known("meshd.formats.anthropic.format:ANTHROPIC", "Anthropic's API", app=True, counts="count_tokens"),
    "cohere": Known("meshd.formats.cohere.format:COHERE", "Cohere's API"),
    "responses": Known(
        "meshd.formats.responses.format:RESPONSES",
        "the Responses API",
        app=True,
        turns="input",
        keeps=True,
        counts="input_tokens",
    ),
    "bedrock": Known("meshd.formats.bedrock.format:BEDROCK", "Bedrock's Converse API"),
    "gemini": Known("meshd.formats.gemini.format:GEMINI", "Gemini's API", app=True, turns="contents"),
}
"""By name."""
