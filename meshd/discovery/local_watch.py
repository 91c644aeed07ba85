"""Tracks which of the found servers are in use, which have appeared or disappeared, and which belong to another user.

Owns: the servers found so far, under their provider names.
Must never: touch a configured server, forget one because it was busy during a single scan, or keep one even for a
moment if its user is no longer trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import msgspec

from meshd.discovery.local_servers import LocalRow, Refused, find_local, judged, same_address
from meshd.discovery.outside import OutsideDiscovery
from meshd.discovery.settings import SyncSettings
from meshd.host.trust.local_servers import UNKNOWN, distrust_url, is_here
from meshd.messages import CatalogueChanged
from meshd.sdk.discovery import FoundServer

NOTHING_FOUND = 30.0  # s between scans while nothing is found
SOMETHING_FOUND = 60.0  # s otherwise: a model pulled into a running server should be noticed soon
MISSED = 5.0  # s until a server that did not answer is looked for again
MISSES = 2

_ADVICE = "configure it as a provider to use it anyway"

Find = Callable[..., list[FoundServer | Refused]]


class LocalChange(msgspec.Struct, frozen=True):
    """catalogue: None if no provider changes, but the operator should know who runs a server."""

    name: str
    catalogue: CatalogueChanged | None
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
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
        self._servers: tuple[str, ...] = ()  # the kinds to look for
        self._outside = OutsideDiscovery()
        self._interval = SyncSettings().interval
        self._configured: dict[str, tuple[str, str | None]] = {}  # name → connector, base URL
        self._local: dict[str, str] = {}  # configured providers on this machine → base URL
        self._seen: list[FoundServer | Refused] = []
        self._refused: dict[tuple[str, str], Refused] = {}
        self._dropped: set[str] = set()  # addresses of servers that were in use until another user took their port

    @property
    def active(self) -> bool:
        """Whether there is anything to scan for: servers, or the users behind configured ones."""
        return self.enabled or bool(self._local)

    def configure(self, generation: Any, outside: OutsideDiscovery | None = None) -> bool:
        """Whether a scan is due: the first time, and when what to look for has changed. outside: the connectors of
        other packages that the configuration names."""
        local = generation.config.discovery.local
        before = (self.enabled, self._servers, self._configured, self._local)
        self._servers = tuple(local.servers) if local.enabled else ()
        settings = generation.providers
        # Disabled providers count too: neither their names nor their servers are free. Discovered providers are in
        # `providers` but not in `stored`.
        self._configured = {
            name: (provider.connector, provider.base_url)
            for name in generation.stored.providers
            for provider in [settings.get(name) or generation.config.providers[name]]
        }
        self._local = {
            name: url
            for name, (_, url) in self._configured.items()
            if name in settings and url is not None and is_here(url)
        }
        for name in self._configured:
            self.found.pop(name, None)
        former, self._outside = self._outside, outside or OutsideDiscovery()
        for known in self.found.values():
            if known.server.base_url in former.addresses or known.server.name not in self._servers:
                known.misses = MISSES - 1  # perhaps nothing looks for it any more: the next scan decides
        self.enabled = bool(self._servers or self._outside or former or self.found)
        # The refusal of a server that nothing looks for any more is not reported.
        self._refused = {
            key: each
            for key, each in self._refused.items()
            if (each.name in self._local if each.configured else bool(self._servers or self._outside))
        }
        self._interval = generation.config.discovery.sync.interval
        return bool(former or self._outside) or before != (self.enabled, self._servers, self._configured, self._local)

    def look(self) -> list[FoundServer | Refused]:
        """Blocks for up to some seconds, so never call it in an actor's thread."""
        rows = [row for row in self._rows() if row.name in self._servers]
        known = [each.server for each in self.found.values()]
        local = self._find(rows, self._environ, skip=self._is_configured, known=known) if self._servers else []
        free = (server for server in self._outside.look() if not self._is_taken(server))
        outside = (judged(server, distrust_url(server.base_url)) for server in free)
        strange = ((name, url, distrust_url(url)) for name, url in self._local.items())
        configured = (Refused(name, url, why, True) for name, url, why in strange if why and why != UNKNOWN)
        return [*local, *outside, *configured]

    def scanned(self, found: list[FoundServer | Refused] | None) -> list[LocalChange]:
        """The changes since the last scan. found: None if the scan failed, which says nothing about servers."""
        if found is None or not self.active:
            return []
        self._seen = found
        changes = []
        by_url: dict[str, FoundServer] = {}
        refused = [server for server in found if isinstance(server, Refused)]
        reasons = {server.base_url: server.reason for server in refused if not server.configured}
        for server in found:
            if isinstance(server, FoundServer):
                by_url.setdefault(server.base_url, server)
        for name, known in list(self.found.items()):
            there = by_url.pop(known.server.base_url, None)
            why = reasons.get(known.server.base_url)
            if why is not None:
                self._dropped.add(known.server.base_url)
                changes.append(self._forget(name, f"is not used any more: {why}"))
                continue
            if there is None or there.connector != known.server.connector:
                known.misses += 1
                if known.misses >= MISSES or there is not None:
                    changes.append(self._forget(name, "does not answer any more"))
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
        return changes + self._news(refused)

    def remarks(self) -> list[str]:
        """What an operator should know at all times."""
        told = [each for each in self._refused.values() if each.configured or each.base_url in self._dropped]
        return [self._remark(each) for each in told]

    def pause(self) -> float:
        """Seconds until the next scan."""
        if any(known.misses for known in self.found.values()):
            return MISSED
        return min(self._interval, SOMETHING_FOUND if self.found else NOTHING_FOUND)

    def rows(self) -> list[dict[str, Any]]:
        """What the last scan found, for display."""
        names = {known.server.base_url: name for name, known in self.found.items()}
        return [
            {
                "provider": names.get(server.base_url, server.name),
                "kind": "local",
                "base_url": server.base_url,
                "models": len(server.models) if isinstance(server, FoundServer) else 0,
                "new": [],
                "gone": [],
                "error": _fault(server),
            }
            for server in self._seen
            if isinstance(server, FoundServer) or not server.configured
        ]

    def _forget(self, name: str, why: str) -> LocalChange:
        server = self.found.pop(name).server
        gone = tuple(model.id for model in server.models)
        return LocalChange(name, CatalogueChanged(name, None), (), gone, f"{name} at {server.base_url} {why}")

    def _news(self, refused: Iterable[Refused]) -> list[LocalChange]:
        """The servers that were not refused before, or not for this reason."""
        before, self._refused = self._refused, {(each.name, each.base_url): each for each in refused}
        self._dropped &= {each.base_url for each in self._refused.values()}
        return [
            LocalChange(each.name, None, reason=self._remark(each))
            for key, each in self._refused.items()
            if before.get(key) != each
        ]

    def _remark(self, refused: Refused) -> str:
        where = f"at {refused.base_url}: {refused.reason}"
        if refused.configured:
            return (
                f"provider {refused.name} is {where}, who can read every prompt; stop that server, or correct base_url"
            )
        used = "no longer used" if refused.base_url in self._dropped else "not used"
        return f"the server {where}, so it is {used}; {_ADVICE}"

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


def _fault(server: FoundServer | Refused) -> str:
    if isinstance(server, Refused):
        return f"not used: {server.reason}; {_ADVICE}"
    return "" if server.models else "it has no models yet"


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
