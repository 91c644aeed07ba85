"""Which operation and format a path means, how its answers are framed, and a provider for apps of that format.

Must never: know which apps or providers use a format.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec

from meshd.formats.known import FORMATS
from meshd.formats.lookup import app_format, provider_format
from meshd.formats.ollama.framing import OLLAMA
from meshd.formats.plain import PLAIN
from meshd.formats.protocol import Format, Framing
from meshd.operations.known import OPERATIONS
from meshd.sdk.provider import OperationSpec, Provider

if TYPE_CHECKING:
    from meshd.formats.bridge import Bridge

_FRAMINGS: Final[dict[str, Framing]] = {OLLAMA.name: OLLAMA, PLAIN.name: PLAIN}
"""For APIs whose requests become OpenAI's on arrival, and for those that are passed on."""

_CUSTOM: Final = b'"custom"'  # in a request's tools: there may be one that takes any text


@dataclass(frozen=True)
class Spoken:
    """An operation, as it is asked for at one path. format_name: the format's name."""

    operation: OperationSpec
    format_name: str

    @cached_property
    def format(self) -> Format:
        return app_format(self.format_name)


def spoken_at() -> dict[str, Spoken]:
    """Path → what it means."""
    return {
        path: Spoken(operation, name)
        for operation in OPERATIONS.values()
        for name, path in operation.paths.items()
        if name in FORMATS and FORMATS[name].app and path.startswith("/")  # others are only a provider's
    }


def framing(format: str) -> Framing:
    return _FRAMINGS[format] if format in _FRAMINGS else app_format(format).app


async def in_format(
    provider: Provider, format: Format, fields: Mapping[str, msgspec.Raw], count: Callable[[], Awaitable[int]]
) -> Provider | Bridge:
    """The provider, which can then be asked in the app's format. fields: those of the request. count: returns its
    tokens; called only if the request is translated, into another format or because the provider does not know its
    tools."""
    spoken = format if provider.speaks == format.name or format.name in provider.also_speaks else None
    if spoken is not None and (provider.custom_tools or _CUSTOM not in bytes(fields.get("tools", b""))):
        return provider
    from meshd.formats.bridge import Bridge  # loaded when two formats meet

    return Bridge(provider, format, spoken or provider_format(provider.speaks), await count())
