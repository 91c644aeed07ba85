"""The records of batches, in memory and in the state store.

Owns: which owner a batch belongs to, and how many there may be. Must never: find a batch for anyone but the app that
made it.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from meshd.config.schema.connectors.stores import BatchesConfig
from meshd.gateway.access.owner import Owner, key_of
from meshd.gateway.actors import Actors
from meshd.gateway.batches.records import BatchRecord
from meshd.gateway.files.store import save
from meshd.messages import StateChanged
from modelmesh.errors import MeshError, NotFoundError, QueueFullError

logger = logging.getLogger("meshd.gateway")

TABLE = "batch"
_ENDED_KEPT = 1000  # of one user, besides those that have not ended


class BatchStore:
    """now: UTC seconds."""

    def __init__(self, actors: Actors, now: Callable[[], float] = time.time) -> None:
        self.limits = BatchesConfig()
        self._actors = actors
        self._now = now
        self._records: dict[str, BatchRecord] = {}  # by `key_of`, in order of time

    def __iter__(self) -> Iterator[BatchRecord]:
        return iter(list(self._records.values()))

    def inherit(self, before: BatchStore) -> None:
        """Take over the records of an earlier run."""
        self._records, self.limits = before._records, before.limits

    def restore(self, rows: Mapping[str, dict[str, Any]]) -> list[BatchRecord]:
        """Load what an earlier process stored. Returns it, oldest first."""
        found = []
        for key, value in rows.items():
            try:
                found.append((key, msgspec.convert(value, BatchRecord)))
            except msgspec.ValidationError as error:
                logger.warning("a stored batch is ignored: %s", error)
        found = sorted((each for each in found if each[0] not in self._records), key=lambda each: each[1].created_at)
        self._records.update(found)
        return [record for _, record in found]

    def sweep(self) -> None:
        """Drop those that ended long ago. Call it now and then."""
        oldest = self._now() - self.limits.ttl
        for record in self:
            if record.ended and record.created_at < oldest:
                self._drop(record)

    # -- batches --------------------------------------------------------------------------------------

    def check_room(self, owner: Owner) -> None:
        """Raises QueueFullError if this user may have no further batch now."""
        going = [record for record in self if not record.ended]
        own = sum(record.user == owner.user for record in going)
        for has, most, key in (
            (own, self.limits.max_user_open, "max_user_open"),
            (len(going), self.limits.max_open, "max_open"),
        ):
            if has >= most:
                raise QueueFullError(
                    f"{has} batches have not ended, and batches.{key} is {most}; wait, or cancel one.", retry_after=60.0
                )

    async def add(self, record: BatchRecord) -> None:
        """Returns when it is saved. Raises MeshError."""
        key = key_of(record.owner, record.id)
        await save(self._actors, TABLE, key, msgspec.to_builtins(record))
        self._records[key] = record
        old = [each for each in self if each.user == record.user and each.ended]
        for each in old[:-_ENDED_KEPT]:
            self._drop(each)

    def put(self, record: BatchRecord) -> None:
        """Replace its earlier state."""
        key = key_of(record.owner, record.id)
        self._records[key] = record
        self._actors.tell("state", StateChanged(TABLE, key, msgspec.to_builtins(record), durable=True))

    async def save(self, record: BatchRecord) -> None:
        """The same, but returns only when the record is in the state store, or is certain to get there."""
        key = key_of(record.owner, record.id)
        self._records[key] = record
        with contextlib.suppress(MeshError):
            await save(self._actors, TABLE, key, msgspec.to_builtins(record))

    def find(self, owner: Owner | None, id: str) -> BatchRecord:
        """Raises NotFoundError, also for another app's."""
        record = None if owner is None else self._records.get(key_of(owner, id))
        if record is None:
            raise NotFoundError(f"There is no batch {id[:80]!r}.", code="batch_not_found", param="batch_id")
        return record

    def of(self, owner: Owner | None) -> list[BatchRecord]:
        """Oldest first."""
        return [record for record in self if record.owner == owner]

    def uses(self, file: str) -> bool:
        """Whether a batch that has not ended reads or writes it."""
        return any(file in (record.input, record.output, record.errors) and not record.ended for record in self)

    def _drop(self, record: BatchRecord) -> None:
        key = key_of(record.owner, record.id)
        del self._records[key]
        self._actors.tell("state", StateChanged(TABLE, key, None, durable=True))
