"""The files that are kept: their records, their owners, and how long they are kept.

Owns: the records, in memory and in the state store, and the folder of their bytes.
Must never: find a file for anyone but the app that made it, or wait for a disk in the loop.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import msgspec

from meshd.config.schema.connectors.stores import KeptFilesConfig
from meshd.core.messaging.mailboxes import ActorUnavailable
from meshd.gateway.access.owner import Owner, key_of
from meshd.gateway.actors import Actors
from meshd.gateway.files import disk
from meshd.gateway.files.space import Space
from meshd.messages import StateChanged
from modelmesh.errors import InvalidRequestError, MeshError, NotFoundError

logger = logging.getLogger("meshd.gateway")

TABLE = "file"
_FOLDER = "files"
_SAVED_IN = 10.0  # s


class KeptFile(msgspec.Struct, frozen=True):
    """created_at, expires_at: UTC seconds."""

    id: str
    user: str
    app: str
    filename: str
    purpose: str
    bytes: int
    created_at: int
    expires_at: int

    @property
    def owner(self) -> Owner:
        return Owner(self.user, self.app)

    def shown(self) -> dict[str, Any]:
        """In OpenAI's form."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.bytes,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
        }


class FileStore:
    """worker: the thread that reads and writes. used: whether a batch needs this file now. growing: a file that has no
    record yet and to which a batch still adds, if it can be read already."""

    def __init__(self, actors: Actors, worker: Executor, now: Callable[[], float] = time.time) -> None:
        self.space = Space()
        self.worker = worker
        self.used: Callable[[str], bool] = lambda id: False
        self.growing: Callable[[Owner, str], KeptFile | None] = lambda owner, id: None
        self._actors = actors
        self._now = now
        self._config: KeptFilesConfig | None = None  # None before the first: nothing is dropped yet
        self._kept: dict[str, KeptFile] = {}  # by `key_of`, in order of time
        self.directory: Path | None = None

    # -- life -----------------------------------------------------------------------------------------

    @property
    def enabled(self) -> bool:
        return self.directory is not None and (self._config is None or self._config.enabled)

    @property
    def limits(self) -> KeptFilesConfig:
        return self.space.limits

    def inherit(self, before: FileStore) -> None:
        """Take over the files of an earlier run. What it was writing has no record yet, and is not counted."""
        self.directory, self._config = before.directory, before._config
        self.space.limits = before.space.limits
        for key, kept in before._kept.items():
            self._add(key, kept)

    def restore(self, rows: Mapping[str, dict[str, Any]], directory: str) -> None:
        """Load what an earlier process stored. directory: that of the daemon's state."""
        self.directory = Path(directory) / _FOLDER if directory else self.directory
        found = []
        for key, value in rows.items():
            try:
                found.append((key, msgspec.convert(value, KeptFile)))
            except msgspec.ValidationError as error:
                logger.warning("a stored file is ignored: %s", error)
        for key, kept in sorted(found, key=lambda each: each[1].created_at):
            if key not in self._kept:
                self._add(key, kept)

    def configure(self, config: KeptFilesConfig) -> None:
        """Use these limits from now on. Files beyond them stay until they expire."""
        self._config = self.space.limits = config
        self.sweep()

    def sweep(self) -> None:
        """Drop what has expired. Call it now and then."""
        if self._config is None:
            return
        now = self._now()
        for key, kept in list(self._kept.items()):
            if kept.expires_at <= now and not self.used(kept.id):
                self._drop(key)

    def remove_unknown(self, others: set[str]) -> None:
        """Bytes without a record, which a crash left. others: ids of further files that are needed."""
        if self.directory is not None:
            known = {kept.id for kept in self._kept.values()} | others
            self.worker.submit(disk.remove_others, self.directory, known, self._now() - self.limits.ttl)

    # -- files ----------------------------------------------------------------------------------------

    def path(self, id: str) -> Path:
        """id: made by `new_id`."""
        assert self.directory is not None, "no file is kept here"
        return self.directory / id

    def record(
        self, owner: Owner, id: str, filename: str, purpose: str, size: int, lives: float | None = None
    ) -> KeptFile:
        """lives: seconds; None: as long as files are kept."""
        now = int(self._now())
        expires = now + int(self.limits.ttl if lives is None else lives)
        return KeptFile(id, *owner, filename, purpose, size, now, expires)

    async def keep(self, kept: KeptFile) -> None:
        """Its bytes are written, and count towards its user already. Returns when the record is saved. Raises
        MeshError."""
        key = key_of(kept.owner, kept.id)
        await save(self._actors, TABLE, key, msgspec.to_builtins(kept))
        self._kept[key] = kept

    def adopt(self, kept: KeptFile) -> None:
        """The same without waiting, for results, which have no place yet. Idempotent."""
        key = key_of(kept.owner, kept.id)
        if key in self._kept:  # by an earlier run: its bytes count twice now
            self.space.give(kept.user, kept.bytes)
        else:
            self.space.add_place(kept.user)
        self._kept[key] = kept
        self._actors.tell("state", StateChanged(TABLE, key, msgspec.to_builtins(kept), durable=True))

    def find(self, owner: Owner | None, id: str) -> KeptFile:
        """Raises NotFoundError, also for another app's."""
        kept = None if owner is None else self._kept.get(key_of(owner, id)) or self.growing(owner, id)
        if kept is None or (kept.expires_at <= self._now() and not self.used(kept.id)):
            raise NotFoundError(f"There is no file {id[:80]!r}.", code="file_not_found", param="file_id")
        return kept

    def of(self, owner: Owner | None, purpose: str = "") -> list[KeptFile]:
        """Oldest first."""
        return [
            kept for kept in self._kept.values() if kept.owner == owner and (not purpose or kept.purpose == purpose)
        ]

    def delete(self, owner: Owner | None, id: str) -> None:
        """Raises MeshError."""
        kept = self.find(owner, id)
        if self.used(kept.id):
            raise InvalidRequestError(
                "A batch that has not ended needs this file; cancel it, or wait.", status_code=409, code="file_in_use"
            )
        self._drop(key_of(kept.owner, kept.id))

    # -- inside ---------------------------------------------------------------------------------------

    def _add(self, key: str, kept: KeptFile) -> None:
        self._kept[key] = kept
        self.space.add_place(kept.user)
        self.space.grow(kept.user, kept.bytes)

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key)
        self.space.give_place(kept.user)
        self.space.give(kept.user, kept.bytes)
        self._actors.tell("state", StateChanged(TABLE, key, None, durable=True))
        self.worker.submit(disk.remove, self.path(kept.id))


async def save(actors: Actors, table: str, key: str, row: dict[str, Any]) -> None:
    """Returns when the row is in the state store, so that no crash loses it. Raises MeshError."""
    try:
        await actors.ask("state", StateChanged(table, key, row, durable=True), _SAVED_IN)
    except ActorUnavailable as error:
        raise MeshError(f"{error}; try again in a moment", status_code=503, retryable=True) from None


def new_id(kind: str) -> str:
    return f"{kind}{os.urandom(12).hex()}"
