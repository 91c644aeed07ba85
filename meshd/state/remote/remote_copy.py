"""What a keeper does with a remote storage, if it has one.

Owns: the copier, and the sums of other directories. Must never: wait for the storage after the start.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from meshd.connectors.storage.encoded import EncodedStorage
from meshd.connectors.storage.open import open_storage
from meshd.connectors.storage.sqlite import SqliteStorage
from meshd.sdk.storage import Claim, Grant, Storage
from meshd.spend.ledger import UsageKey
from meshd.spend.records import Usage
from meshd.state.outage import Report
from meshd.state.remote.copier import USUAL_PATIENCE, Answer, Copier, Patience, Place
from meshd.state.remote.kept_parts import KeptParts
from meshd.state.remote.origin import (
    ELSEWHERE,
    HERE_ONLY,
    Arrival,
    dump_elsewhere,
    holder_of,
    origin_of,
    read_elsewhere,
)
from meshd.state.settings import StateSettings

logger = logging.getLogger("meshd.state")


def near_storage(settings: StateSettings, directory: Path) -> Storage:
    """The storage to work with: the configured one, or the directory's own if that is remote.

    Raises ConfigurationError, ValueError, StorageError.
    """
    form = settings.form()
    if settings.lacks:  # only a remote one may
        return EncodedStorage(SqliteStorage({}, directory), form)
    storage = open_storage(settings.connector, settings.settings, directory, form)
    if not storage.remote:
        return storage
    storage.close()
    return EncodedStorage(SqliteStorage({}, directory), form)


def remote_copy(
    settings: StateSettings,
    directory: Path,
    now: Callable[[], float],
    report: Report,
    patience: Patience = USUAL_PATIENCE,
) -> RemoteCopy:
    """What copies that storage to the remote one, which is not asked yet. Raises like `near_storage`, and OSError."""
    if settings.lacks:
        return RemoteCopy(lacks=settings.lacks)
    storage = open_storage(settings.connector, settings.settings, directory, settings.form())
    if not storage.remote:
        storage.close()
        return RemoteCopy()
    origin = origin_of(directory)
    shared = bool(settings.settings.get("shared", storage.shares))
    place = Place(
        settings.connector,
        f"nodes/{node_of(settings.settings)}/" if shared else "",
        origin,
        holder_of(directory, origin),
        shared,
        settings.lease,
        settings.lease_timeout,
        settings.lease_retry,
        settings.sync_interval,
    )
    return RemoteCopy(Copier(storage, place, now, report, patience))


class RemoteCopy:
    """lacks: why the remote storage cannot be opened yet. elsewhere: what other directories have spent, which counts
    here too."""

    def __init__(self, copier: Copier | None = None, lacks: str = "") -> None:
        self._lacks = lacks
        self.elsewhere: dict[UsageKey, Usage] = {}
        self._copier = copier
        self._arrived = False
        self._news: dict[UsageKey, Usage] = {}
        self._kept = KeptParts()
        if copier is not None:
            copier.start()

    def meet(self, storage: Storage, before: RemoteCopy | None = None) -> None:
        """Adopt what the remote storage has, before the local one is read for the first time. before: what was in use
        until now; the router already has state, so only what it lacks is adopted. Raises StorageInUse, StorageError."""
        self.elsewhere = before.elsewhere if before is not None else {}  # which the router knows
        if self._copier is None:
            return
        if before is None:
            self.elsewhere = read_elsewhere(storage)
        arrival = self._copier.arrive()
        if arrival is not None and before is not None:
            self._add(arrival, storage)
        elif arrival is not None:
            changes: dict[str, bytes | None] = {}
            if arrival.tables is not None:
                there = set(arrival.tables)
                kept = (key for key in storage.list("table/") if not key.startswith(HERE_ONLY) and key not in there)
                changes = dict.fromkeys(kept) | arrival.tables
            self._take(arrival, storage, changes)

    def catch_up(self, storage: Storage) -> None:
        """Adopt what has arrived since. Raises StorageError."""
        if self._copier is None:
            return
        arrival = self._copier.take_arrival()
        if arrival is not None:
            self._add(arrival, storage)
        elif self._copier.take_again():
            self._copier.note(dict(storage.items()))

    def _add(self, arrival: Arrival, storage: Storage) -> None:
        here = set(storage.list("table/"))
        before = self.elsewhere
        self._news = {key: _more(sums, before.get(key, Usage())) for key, sums in arrival.elsewhere.items()}
        self._take(arrival, storage, {key: row for key, row in (arrival.tables or {}).items() if key not in here})

    def _take(self, arrival: Arrival, storage: Storage, changes: Mapping[str, bytes | None]) -> None:
        assert self._copier is not None, "something arrived"
        storage.save_many({**changes, ELSEWHERE: dump_elsewhere(arrival.elsewhere)})
        self.elsewhere = arrival.elsewhere
        self._arrived = True
        self._copier.note(dict(storage.items()))
        self._copier.adopted()

    @property
    def unmet(self) -> str:
        """Why it is not known what the remote storage has, "" if it is. Limits that are divided there are not taken
        before, whatever was spent."""
        if self._copier is None:
            return self._lacks
        known = self._arrived or self._copier.place.shared
        return "" if known else self._copier.problem or f"{self._copier.place.id} has not answered yet"

    def take_news(self) -> dict[UsageKey, Usage]:
        """What others have spent that the router does not know yet."""
        news, self._news = self._news, {}
        return news

    def divide(self, storage: Storage | None, claims: Sequence[Claim], answer: Answer, *, first: bool = False) -> None:
        """Ask for this daemon's part of limits. What is kept is first remembered here, for a start without the remote
        storage. first: the first time since the router started."""
        copier = self._copier
        none = copier is None and not self._lacks
        if none or storage is None or (copier is not None and copier.problem and any(claim.last for claim in claims)):
            # What cannot be given back now is what the next start begins with.
            answer({claim.key: Grant(claim.keeps) for claim in claims}, False)
            return
        claims = self._kept.remember(storage, claims, first=first)
        kept = {claim.key: Grant(claim.keeps) for claim in claims}
        if copier is None:
            answer(kept, False)
        else:
            copier.divide(claims, kept, answer)

    def note(self, changes: Mapping[str, bytes | None]) -> None:
        """The changes have been written to the local storage."""
        if self._copier is not None:
            self._copier.note(changes)

    def with_elsewhere(self, usage: Mapping[UsageKey, Usage]) -> dict[UsageKey, Usage]:
        """Everything that was spent, here and elsewhere."""
        return dict(usage) | {key: _sum(usage.get(key, Usage()), sums) for key, sums in self.elsewhere.items()}

    def without_elsewhere(self, usage: Mapping[UsageKey, Usage]) -> dict[UsageKey, Usage]:
        """The inverse of `with_elsewhere`."""
        return {key: _more(sums, self.elsewhere.get(key, Usage())) for key, sums in usage.items()}

    def status(self) -> dict[str, Any]:
        """For `meshctl status`: error, pending, copied_at (UTC s); {} without a remote storage."""
        copier = self._copier
        if copier is None:
            return {"error": self._lacks, "pending": 0, "copied_at": 0.0, "shared": False} if self._lacks else {}
        told = {"error": copier.problem, "pending": copier.pending, "copied_at": copier.copied_at}
        return {**told, "shared": copier.place.shared}

    def close(self, *, give_back: bool = True) -> None:
        """give_back: end the lease, because no other copier of this directory continues."""
        if self._copier is not None:
            self._copier.close(give_back=give_back)
            self._copier = None


def node_of(settings: Mapping[str, Any]) -> str:
    """The name of this daemon among those that share a storage."""
    return str(settings.get("node") or socket.gethostname()).replace("/", "_")


def _sum(one: Usage, other: Usage) -> Usage:
    numbers = {name: getattr(one, name) + getattr(other, name) for name in _NUMBERS}
    units = {name: one.units.get(name, 0) + other.units.get(name, 0) for name in {**one.units, **other.units}}
    return Usage(**numbers, units=units)


def _more(one: Usage, other: Usage) -> Usage:
    """How much more `one` is than `other`."""
    numbers = {name: max(getattr(one, name) - getattr(other, name), 0) for name in _NUMBERS}
    return Usage(**numbers, units={name: max(count - other.units.get(name, 0), 0) for name, count in one.units.items()})


_NUMBERS = tuple(field.name for field in msgspec.structs.fields(Usage) if field.name != "units")
