"""Which operation and format a path means, how its answers are framed, and a provider for apps of that format.

Owns: the formats there are. Must never: know who speaks one.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshd.formats.anthropic.format import ANTHROPIC
from meshd.formats.bridge import Bridge
from meshd.formats.ollama.framing import OLLAMA
from meshd.formats.openai.format import OPENAI
from meshd.formats.plain import PLAIN
from meshd.formats.protocol import Format, Framing
from meshd.formats.responses.format import RESPONSES
from meshd.operations.known import OPERATIONS
from meshd.sdk.provider import OperationSpec, Provider

FORMATS: dict[str, Format] = {each.name: each for each in (OPENAI, ANTHROPIC, RESPONSES)}
_FRAMINGS: dict[str, Framing] = {OLLAMA.name: OLLAMA, PLAIN.name: PLAIN}
"""Of APIs whose requests become OpenAI's on arrival, and of those that are passed on."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """An operation, as it is asked for at one path."""

    operation: OperationSpec
    format: Format


def spoken_at() -> dict[str, Spoken]:
    """By path."""
    return {
        path: Spoken(operation, FORMATS[name])
        for operation in OPERATIONS.values()
        for name, path in operation.paths.items()
        if name in FORMATS
    }


def framing(format: str) -> Framing:
    return _FRAMINGS[format] if format in _FRAMINGS else FORMATS[format].app


def in_format(provider: Provider, format: Format, input_tokens: int) -> Provider | Bridge:
    """The provider, to be asked in an app's format. input_tokens: of the request, as the mesh counts them."""
    if provider.speaks == format.name:
        return provider
    return Bridge(provider, format, FORMATS[provider.speaks], input_tokens)
