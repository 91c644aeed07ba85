"""Looking up names, and telling a name that does not exist from a name server that does not answer.

Owns: which names were looked up, and with what success.
Must never: look up a name that no provider has.
"""

from __future__ import annotations

import socket
import time
from typing import Any

import aiohttp

from meshd.cdk.lack import ThisNameOnly

_MOST = 1024


class Names:
    """A name fails alone where another was found after it had begun to fail."""

    def __init__(self) -> None:
        self._failing: dict[str, float] = {}  # since when
        self._found: dict[str, float] = {}  # last

    def found(self, name: str, now: float) -> None:
        self._failing.pop(name, None)
        if "." in name.strip("."):  # others are this machine's own, or its neighbours'
            self._remember(self._found, name, now)

    def failed(self, name: str, now: float) -> bool:
        """Whether it fails alone."""
        if name not in self._failing:
            self._remember(self._failing, name, now)
        since = self._failing[name]
        return any(at > since for other, at in self._found.items() if other != name)

    @staticmethod
    def _remember(names: dict[str, float], name: str, now: float) -> None:
        names.pop(name, None)
        names[name] = now
        if len(names) > _MOST:
            del names[next(iter(names))]


_names = Names()


class Resolver(aiohttp.ThreadedResolver):
    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[Any]:
        try:
            found: list[Any] = await super().resolve(host, port, family)
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN and _names.failed(host, time.monotonic()):
                raise ThisNameOnly(*error.args) from None
            raise
        _names.found(host, time.monotonic())
        return found
