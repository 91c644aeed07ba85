"""Tracks which of the servers found are in use, and which appeared or disappeared.

Owns: the servers found so far, under their provider names.
Must never: touch a configured server, or forget one because it was busy at a single scan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from meshd.discovery.local_servers import LocalRow, find_local, same_address
from meshd.discovery.outside import OutsideDiscovery
from meshd.messages import CatalogueChanged
from meshd.sdk.discovery import FoundServer

NOTHING_FOUND = 30.0  # s between scans while nothing is found
SOMETHING_FOUND = 60.0  # s otherwise: a model pulled into a running server should be noticed soon
MISSED = 5.0  # s until a server that did not answer is looked for again
MISSES = 2

Find = Callable[..., list[FoundServer]]


@dataclass(frozen=True, slots=True)
class LocalChange:
    name: str
    catalogue: CatalogueChanged
    new: tuple[str, ...]
    gone: tuple[str, ...]
    reason: str = ""


@dataclass(slots=True)
class _Known:
    server: FoundServer
    misses: int = 0


class LocalWatch:
    """rows: called at the first scan for the local rows of the catalogue."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        rows: Callable[[], Iterable[LocalRow]] | None = None,
        find: Find = find_local,
    ) -> None:
        self.enabled = False
        self.found: dict[str, _Known] = {}
        self._environ = environ
        self._rows = rows or _catalogue_rows
        self._find = find
        self._servers: tuple[str, ...] = ()  # kinds to look for
        self._outside = OutsideDiscovery()
        self._interval = 3600.0
        self._configured: dict[str, tuple[str, str | None]] = {}  # name → connector, base URL
        self._seen: list[FoundServer] = []

    def configure(self, generation: Any, outside: OutsideDiscovery | None = None) -> bool:
        """Whether a scan is due: the first time, and when what to look for has changed. outside: the connectors of
        other packages that the configuration names."""
        local = generation.config.discovery.local
        before = (self.enabled, self._servers, self._configured)
        self._servers = tuple(local.servers) if local.enabled else ()
        former, self._outside = self._outside, outside or OutsideDiscovery()
        for known in self.found.values():
            if known.server.base_url in former.addresses:
                known.misses = MISSES - 1  # the connector that found it may be gone: the next scan decides
        self.enabled = bool(self._servers or self._outside or former)
        self._interval = generation.config.discovery.sync.interval
        # Discovered providers are in `providers` but not in `stored`.
        self._configured = {
            name: (settings.connector, settings.base_url)
            for name, settings in generation.providers.items()
            if name in generation.stored.providers
        }
        return bool(former or self._outside) or before != (self.enabled, self._servers, self._configured)

    def look(self) -> list[FoundServer]:
        """Blocks for up to some seconds, so never call it in an actor's thread."""
        rows = [row for row in self._rows() if row.name in self._servers]
        known = [each.server for each in self.found.values()]
        local = self._find(rows, self._environ, skip=self._is_configured, known=known) if self._servers else []
        return [*local, *(server for server in self._outside.look() if not self._is_taken(server))]

    def scanned(self, found: list[FoundServer] | None) -> list[LocalChange]:
        """The changes since the last scan. found: None if the scan failed, which says nothing about servers."""
        if found is None or not self.enabled:
            return []
        self._seen = found
        changes = []
        by_url: dict[str, FoundServer] = {}
        for server in found:
            by_url.setdefault(server.base_url, server)
        for name, known in list(self.found.items()):
            there = by_url.pop(known.server.base_url, None)
            if there is None or there.connector != known.server.connector:
                known.misses += 1
                if known.misses >= MISSES or there is not None:
                    del self.found[name]
                    gone = tuple(model.id for model in known.server.models)
                    reason = f"{name} at {known.server.base_url} does not answer any more"
                    changes.append(LocalChange(name, CatalogueChanged(name, None), (), gone, reason))
                if there is not None:
                    by_url[there.base_url] = there
                continue
            known.misses = 0
            # An empty or unreadable list removes nothing: the server is starting, or busy.
            if there.models and there.models != known.server.models:
                changes.append(_changed(name, known.server, there))
                known.server = there
        for server in by_url.values():
            if server.models:  # a server without models has nothing to offer yet
                name = self._free_name(server)
                self.found[name] = _Known(server)
                new = tuple(model.id for model in server.models)
                reason = f"found {server.name} at {server.base_url} with {len(new)} models"
                changes.append(LocalChange(name, _catalogue(name, server), new, (), reason))
        return changes

    def pause(self) -> float:
        """Seconds until the next scan."""
        if any(known.misses for known in self.found.values()):
            return MISSED
        return min(self._interval, SOMETHING_FOUND if self.found else NOTHING_FOUND)

    def rows(self) -> list[dict[str, Any]]:
        """What the last scan found, for people."""
        names = {known.server.base_url: name for name, known in self.found.items()}
        return [
            {
                "provider": names.get(server.base_url, server.name),
                "kind": "local",
                "base_url": server.base_url,
                "models": len(server.models),
                "new": [],
                "gone": [],
                "error": "" if server.models else "it has no models yet",
            }
            for server in self._seen
        ]

    def _is_configured(self, row: LocalRow, host: str, port: int) -> bool:
        for connector, base_url in self._configured.values():
            if base_url is not None and same_address(base_url, host, port):
                return True
            if base_url is None and connector == row.id:
                return True
        return False

    def _is_taken(self, server: FoundServer) -> bool:
        urls = (base_url for _, base_url in self._configured.values())
        return any(url is not None and url.rstrip("/") == server.base_url.rstrip("/") for url in urls)

    def _free_name(self, server: FoundServer) -> str:
        port = server.base_url.rpartition(":")[2].partition("/")[0]
        numbers = chain((port,) if port.isdigit() else (), map(str, count(2)))
        names = chain((server.name,), (f"{server.name}-{number}" for number in numbers))
        return next(name for name in names if name not in self._configured and name not in self.found)


def _catalogue(name: str, server: FoundServer) -> CatalogueChanged:
    models = tuple(model.to_dict() for model in server.models)
    return CatalogueChanged(name, models, {"connector": server.connector, "base_url": server.base_url})


def _changed(name: str, before: FoundServer, after: FoundServer) -> LocalChange:
    old = {model.id for model in before.models}
    new = {model.id for model in after.models}
    return LocalChange(name, _catalogue(name, after), tuple(sorted(new - old)), tuple(sorted(old - new)))


def _catalogue_rows() -> Iterable[LocalRow]:
    from meshd.catalogue.known import load_provider_rows

    return [row for row in load_provider_rows() if row.local]
