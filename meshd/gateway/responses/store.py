"""The store of responses, in memory and copied to the state store, and of their events, which are only in memory.

Owns: which responses and events are kept, who owns them, for how long and in how many bytes.
Must never: find a response for anyone but the app that made it, let one user push out another's, or wait for a disk.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from meshd.config.schema.connectors.stores import ResponsesConfig
from meshd.core.fair_eviction import Shares
from meshd.formats.keeping import Stored
from meshd.gateway.access.owner import Owner, key_of
from meshd.gateway.actors import Tell
from meshd.gateway.responses.events import EventLog
from meshd.messages import StateChanged

logger = logging.getLogger("meshd.gateway")

TABLE = "response"
LARGEST_SHARE = 4  # no response takes more than this part of `max_size`, nor do its events
ENTRY_BYTES = 1024  # bytes of memory in addition to the response itself


class Kept(msgspec.Struct, frozen=True):
    """at: UTC seconds."""

    owner: Owner
    stored: Stored
    at: float

    @property
    def size(self) -> int:
        """Bytes of memory, approximately."""
        return ENTRY_BYTES + len(self.stored.input) + len(self.stored.response)


class _Row(msgspec.Struct, frozen=True):
    """A response in the state store."""

    user: str
    app: str
    id: str
    input: str
    response: str
    at: float
    session: str = ""


class ResponseStore:
    """tell: reaches the state actor. now: UTC seconds."""

    def __init__(self, tell: Tell, now: Callable[[], float] = time.time) -> None:
        self._tell = tell
        self._now = now
        self._config: ResponsesConfig | None = None  # None before the first: nothing is dropped yet
        self._kept: dict[str, Kept] = {}
        self._logs: dict[str, EventLog] = {}
        self._shares: Shares[str] = Shares()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def enabled(self) -> bool:
        return self._config is None or self._config.enabled

    @property
    def size(self) -> int:
        """Bytes, as they count towards `max_size`."""
        return self._shares.size

    # -- life -----------------------------------------------------------------------------------------

    def inherit(self, before: ResponseStore) -> None:
        """Take over the responses of an earlier run."""
        self._kept, self._logs = before._kept, before._logs
        self._shares, self._config = before._shares, before._config

    def restore(self, rows: Mapping[str, dict[str, Any]]) -> None:
        """Load what an earlier process stored, except responses that are here already."""
        found = []
        for key, value in rows.items():
            try:
                found.append((key, msgspec.convert(value, _Row)))
            except msgspec.ValidationError as error:
                logger.warning("a stored response is ignored: %s", error)
        for key, row in sorted(found, key=lambda each: each[1].at):
            if key not in self._kept:
                stored = Stored(row.id, row.input.encode(), row.response.encode(), row.session)
                self._keep(key, Kept(Owner(row.user, row.app), stored, row.at))
        self._trim()

    def configure(self, config: ResponsesConfig) -> None:
        """Use these limits from now on."""
        self._config = config
        kept, self._kept, self._shares = self._kept, {}, Shares()
        for key, each in kept.items():
            self._keep(key, each)
        for name, log in self._logs.items():
            self._shares.put(name, log.user, log.size)
        for key in [] if config.enabled else list(self._kept):
            self._drop(key)
        for name in [] if config.enabled else list(self._logs):
            self._forget(name)
        self.sweep()
        self._trim()

    def sweep(self) -> None:
        """Drop what has expired. Call it now and then."""
        if self._config is None:
            return
        oldest = self._now() - self._config.ttl
        for key in [key for key, kept in self._kept.items() if kept.at <= oldest]:
            self._drop(key)
        for name in [name for name, log in self._logs.items() if log.ended and log.at <= oldest]:
            self._forget(name)

    # -- responses ------------------------------------------------------------------------------------

    def put(self, owner: Owner, stored: Stored) -> bool:
        """Keep a response, replacing its earlier state. Returns whether there is room for it at all."""
        key = key_of(owner, stored.id)
        before = self._kept.get(key)
        kept = Kept(owner, stored, self._now() if before is None else before.at)
        if self._config is None or not self._config.enabled or kept.size > self._config.max_size // LARGEST_SHARE:
            self._drop(key)
            return False
        self._keep(key, kept)
        self._tell("state", StateChanged(TABLE, key, _row(kept)))
        self._trim()
        return True

    def find(self, owner: Owner | None, id: str) -> Stored | None:
        """The response of that id, if this owner made it."""
        key = "" if owner is None else key_of(owner, id)
        kept = self._kept.get(key)
        if kept is None or self._config is None or kept.at <= self._now() - self._config.ttl:
            return None
        self._shares.used(key)
        return kept.stored

    def drop(self, owner: Owner, id: str) -> None:
        """Drop the response and its events. Idempotent."""
        self._drop(key_of(owner, id))
        self._forget(_log_name(owner, id))

    def all(self) -> list[Kept]:
        return list(self._kept.values())

    # -- their events ---------------------------------------------------------------------------------

    def open_log(self, owner: Owner, id: str) -> None:
        """Keep the events of this response too."""
        self._logs[_log_name(owner, id)] = EventLog(owner.user, self._now())

    def log(self, owner: Owner | None, id: str) -> EventLog | None:
        """None if its events are not kept, or no longer kept."""
        name = "" if owner is None else _log_name(owner, id)
        self._shares.used(name)
        return self._logs.get(name)

    def record(self, owner: Owner, id: str, event: bytes, *, last: bool = False) -> None:
        """Add an event of a response, unless its events are not kept."""
        name = _log_name(owner, id)
        log = self._logs.get(name)
        if log is None or self._config is None:
            return
        log.add(event, self._config.max_size // LARGEST_SHARE, last=last)
        self._shares.put(name, log.user, log.size)
        self._trim()

    # -- inside ---------------------------------------------------------------------------------------

    def _keep(self, key: str, kept: Kept) -> None:
        """Each counts for at least its share, so that the number is limited too."""
        least = 0 if self._config is None else self._config.max_size // self._config.max_count
        self._kept[key] = kept
        self._shares.put(key, kept.owner.user, max(kept.size, least))

    def _trim(self) -> None:
        while self._config is not None and self._shares.size > self._config.max_size:
            name = self._shares.pop()
            log = self._logs.get(name)
            if log is None:
                self._drop(name)
            elif log.ended:
                self._forget(name)
            else:
                log.clear()

    def _drop(self, key: str) -> None:
        self._shares.drop(key)
        if self._kept.pop(key, None) is not None:
            self._tell("state", StateChanged(TABLE, key, None))

    def _forget(self, name: str) -> None:
        self._shares.drop(name)
        log = self._logs.pop(name, None)
        if log is not None:
            log.forget()


def _log_name(owner: Owner, id: str) -> str:
    return f"events {key_of(owner, id)}"


def _row(kept: Kept) -> dict[str, Any]:
    stored = kept.stored
    return {
        "user": kept.owner.user,
        "app": kept.owner.app,
        "id": stored.id,
        "input": stored.input.decode(errors="replace"),
        "response": stored.response.decode(errors="replace"),
        "at": kept.at,
        "session": stored.session,
    }
