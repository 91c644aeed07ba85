"""The wire formats that there are, and where each is. A format is imported at its first use.

Owns: what has to be known of a format before that.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import NamedTuple

from meshd.formats.protocol import Format, ProviderFormat


class Known(NamedTuple):
    """at: `module:NAME` of the `ProviderFormat`. app: whether apps speak it to the daemon, so that it is a `Format`.
    keeps: its apps retrieve answers by their ids (`AppSide.keeping`). counts: where apps ask for the tokens of a
    request, below its path (`AppSide.counted`); "": nowhere."""

    at: str
    app: bool = False
    keeps: bool = False
    counts: str = ""


FORMATS: Mapping[str, Known] = {
    "openai": Known("meshd.formats.openai.format:OPENAI", app=True),
    "anthropic": Known("meshd.formats.anthropic.format:ANTHROPIC", app=True, counts="count_tokens"),
    "cohere": Known("meshd.formats.cohere.format:COHERE"),
    "responses": Known("meshd.formats.responses.format:RESPONSES", app=True, keeps=True, counts="input_tokens"),
    "bedrock": Known("meshd.formats.bedrock.format:BEDROCK"),
    "gemini": Known("meshd.formats.gemini.format:GEMINI", app=True),
}
"""By name."""


@cache
def provider_format(name: str) -> ProviderFormat:
    """Raises KeyError for a name that is not known."""
    module, _, attribute = FORMATS[name].at.partition(":")
    found: ProviderFormat = getattr(import_module(module), attribute)
    return found


def app_format(name: str) -> Format:
    """One that apps speak. Raises KeyError for another name."""
    found = provider_format(name)
    if not isinstance(found, Format):
        raise KeyError(name)
    return found
