"""The wire formats that there are."""

from __future__ import annotations

from meshd.formats.anthropic.format import ANTHROPIC
from meshd.formats.openai.format import OPENAI
from meshd.formats.protocol import Format
from meshd.formats.responses.format import RESPONSES

FORMATS: dict[str, Format] = {each.name: each for each in (OPENAI, ANTHROPIC, RESPONSES)}
"""By name."""
