"""Which operation and format a path means, how its answers are framed, and a provider for apps of that format.

Must never: know who speaks a format.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from meshd.formats.bridge import Bridge
from meshd.formats.known import FORMATS
from meshd.formats.ollama.framing import OLLAMA
from meshd.formats.plain import PLAIN
from meshd.formats.protocol import Format, Framing
from meshd.operations.known import OPERATIONS
from meshd.sdk.provider import OperationSpec, Provider

_FRAMINGS: dict[str, Framing] = {OLLAMA.name: OLLAMA, PLAIN.name: PLAIN}
"""For APIs whose requests become OpenAI's on arrival, and for those that are passed on."""


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


async def in_format(provider: Provider, format: Format, count: Callable[[], Awaitable[int]]) -> Provider | Bridge:
    """The provider, to be asked in an app's format. count: the tokens of the request; asked for only if it is
    translated."""
    if provider.speaks == format.name or format.name in provider.also_speaks:
        return provider
    return Bridge(provider, format, FORMATS[provider.speaks], await count())
