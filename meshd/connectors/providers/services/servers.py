"""The servers of one service: its own, others that its row names, and the file servers that it refers to.

Must never: send the key to a file server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from yarl import URL

from meshd.catalogue.known import provider_row
from meshd.connectors.providers.services.server import ServiceServer
from meshd.sdk.provider import FailureKind, ProviderFailure, ProviderSettings
from meshd.services.seam import Ask

_MOST_KEYLESS = 8
"""File servers whose connections are kept."""


def at_home(settings: ProviderSettings) -> ProviderSettings:
    """The settings with the address that its key belongs to, unless another is configured: the quirk `homes`, by the
    end of the key."""
    homes: Mapping[str, str] = settings.quirks.get("homes") or {}
    row, key = provider_row(settings.connector), settings.api_key or ""
    if row is None or settings.base_url != row.base_url:
        return settings
    return next((replace(settings, base_url=url) for end, url in homes.items() if key.endswith(end)), settings)


class Servers:
    """main: the one at the settings' `base_url`. Raises ValueError for a row without valid addresses."""

    def __init__(self, settings: ProviderSettings, main: ServiceServer) -> None:
        self._settings = settings
        self._main = main
        row = provider_row(settings.connector)
        moved = row is None or settings.base_url != row.base_url  # a proxy, or another server of the same API
        named: Mapping[str, str] = settings.quirks.get("hosts") or {}
        self._named = _moved(named, settings.base_url or "") if moved else named
        self._hosts: dict[str, ServiceServer] = {}
        self._downloads: tuple[str, ...] = tuple(settings.quirks.get("downloads") or ())
        self._keyless: dict[str, ServiceServer] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def of(self, asked: Ask) -> ServiceServer:
        """The server that a request goes to. Raises ProviderFailure."""
        found = self._at(asked.url) if asked.url else self._host(asked.host)
        found.credentials = self._main.credentials
        return found

    def _host(self, name: str) -> ServiceServer:
        """Created when it is first needed: its address may have parts from the environment that no other needs."""
        if name not in self._named:
            return self._main
        if name not in self._hosts:
            try:
                self._hosts[name] = ServiceServer(replace(self._settings, base_url=self._named[name]))
            except ValueError as error:
                raise ProviderFailure(FailureKind.UNSUPPORTED, str(error), unsent=True) from None
        return self._hosts[name]

    async def aclose(self) -> None:
        for server in (*self._hosts.values(), *self._keyless.values()):
            await server.aclose()
        await asyncio.gather(*self._closing)

    def _at(self, url: str) -> ServiceServer:
        try:
            target = URL(url, encoded=True)
            origin = str(target.origin())
        except ValueError:
            raise _foreign() from None
        for server in (self._main, *self._hosts.values()):
            if server.origin == origin:
                return server
        host = f".{target.host}"
        if target.scheme != "https" or not any(host.endswith(f".{each}") for each in self._downloads):
            raise _foreign()
        return self._of_files(origin)

    def _of_files(self, origin: str) -> ServiceServer:
        found = self._keyless.pop(origin, None)
        if found is None:
            bare = replace(self._settings, base_url=origin, api_key=None, api_keys={}, headers={}, auth_method="none")
            found = ServiceServer(bare)
        self._keyless[origin] = found  # the most recently used one comes last
        if len(self._keyless) > _MOST_KEYLESS:
            oldest = self._keyless.pop(next(iter(self._keyless)))
            closing = asyncio.get_running_loop().create_task(oldest.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        return found


def _moved(hosts: Mapping[str, str], base: str) -> dict[str, str]:
    """The hosts that have a path, moved below a configured address, which replaces all hosts."""
    address, ask, query = base.partition("?")
    paths = {name: url.partition("://")[2].partition("/")[2] for name, url in hosts.items()}
    return {name: f"{address.rstrip('/')}/{path}{ask}{query}" for name, path in paths.items() if path}


def _foreign() -> ProviderFailure:
    return ProviderFailure(FailureKind.BAD_ANSWER, "the provider names an address that is not its own", status=200)
