"""All batches: those that run, and what apps ask about them.

Owns: which batches run. Must never: know a provider, or begin before the running configuration is known.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from meshd.config.schema.connectors.stores import BatchesConfig
from meshd.config.units import parse_duration, write_duration
from meshd.core.caller import Caller
from meshd.gateway.access.owner import Owner
from meshd.gateway.actors import Actors
from meshd.gateway.batches.passed.passing import Passing
from meshd.gateway.batches.records import BatchRecord, caller_of, caller_row
from meshd.gateway.batches.slots import Slots
from meshd.gateway.batches.store import BatchStore
from meshd.gateway.files.store import FileStore, KeptFile, new_id
from meshd.gateway.frontends.admission import Admission
from meshd.gateway.spoken import Spoken
from modelmesh.errors import InvalidRequestError
from modelmesh.wording import short

if TYPE_CHECKING:
    from meshd.gateway.batches.batch_run import BatchRun

PURPOSE = "batch"
_WINDOW = re.compile(r"\d{1,6}(s|m|h|d)")
_MOST_METADATA, _LONGEST_KEY, _LONGEST_VALUE = 16, 64, 512
_SHORTEST_LIFE = 3600.0  # s


class _After(msgspec.Struct):
    seconds: int
    anchor: str = "created_at"


class _Asked(msgspec.Struct):
    """The body of a request for a batch."""

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None
    output_expires_after: _After | None = None


class Batches:
    """spoken: path → what it means."""

    def __init__(
        self,
        actors: Actors,
        admission: Admission,
        files: FileStore,
        spoken: Mapping[str, Spoken],
        passing: Passing,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store = BatchStore(actors, now)
        self._files = files
        self._actors = actors
        self._admission = admission
        self._now = now
        self._passing = passing
        self._endpoints = tuple(path for path, each in spoken.items() if each.operation.json)
        self._slots = Slots(lambda: self.store.limits.max_inflight)
        self._running: dict[str, tuple[BatchRun, asyncio.Task[None]]] = {}
        self._sent: frozenset[bytes] = frozenset()  # requests that an earlier run sent
        self._configured = self._unread = False
        files.used, files.growing = self.store.uses, self._growing

    # -- life -----------------------------------------------------------------------------------------

    def inherit(self, before: Batches) -> None:
        """Take over the batches of an earlier run."""
        self.store.inherit(before.store)
        self._sent, self._unread = before._sent, before._unread

    def restore(self, rows: Mapping[str, dict[str, Any]], sent: Iterable[bytes], *, unread: bool = False) -> None:
        """Take what an earlier process left. sent: ids of requests that it had sent, whose answers may be lost. unread:
        this is not all of it; the rest follows."""
        self._sent |= frozenset(sent)
        self._unread = unread
        restored = self.store.restore(rows)
        if self._configured:
            self._resume(restored)

    def configure(self, config: BatchesConfig) -> None:
        """Use these limits from now on. The first call also resumes the batches of earlier runs."""
        self.store.limits = config
        self._slots.grant()
        if not self._configured and self._files.enabled:
            self._configured = True
            open = [record for record in self.store if not record.ended]
            if not self._unread:
                self._files.remove_unknown({id for record in open for id in (record.output, record.errors)})
            self._resume(self.store)

    def _resume(self, records: Iterable[BatchRecord]) -> None:
        for record in records:
            if not record.ended:
                self._begin(record)
            elif not record.told:
                self._actors.spawn(self._tell(record))

    # -- what apps ask for ----------------------------------------------------------------------------

    async def create(self, owner: Owner, caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        """A new batch in OpenAI's form. Raises MeshError."""
        asked = self._read(body)
        if self._files.find(owner, asked.input_file_id).purpose != PURPOSE:
            raise InvalidRequestError(
                f"The file's purpose is not {PURPOSE!r}; upload it with that purpose.", param="input_file_id"
            )
        self.store.check_room(owner)
        window, now = self._window(asked.completion_window), self._now()
        record = BatchRecord(
            new_id("batch_"),
            os.urandom(12).hex(),
            *owner,
            caller_row(caller),
            asked.endpoint,
            asked.input_file_id,
            asked.completion_window,
            int(now),
            int(now + window),
            new_id("file-"),
            new_id("file-"),
            asked.metadata or {},
            self._life(asked.output_expires_after),
        )
        await self.store.add(record)
        self._begin(record)
        return self.shown(record)

    def find(self, owner: Owner | None, id: str) -> dict[str, Any]:
        return self.shown(self.store.find(owner, id))

    def list(self, owner: Owner | None) -> list[dict[str, Any]]:
        """Oldest first."""
        return [self.shown(record) for record in self.store.of(owner)]

    def cancel(self, owner: Owner | None, id: str) -> dict[str, Any]:
        record = self.store.find(owner, id)
        running = self._running.get(record.id)
        if record.ended or running is None:
            raise InvalidRequestError(
                f"The batch has ended: it is {record.status}.", status_code=409, code="batch_ended", param="batch_id"
            )
        running[0].cancel()
        return self.shown(running[0].record)

    def shown(self, record: BatchRecord) -> dict[str, Any]:
        running = self._running.get(record.id)
        if running is None:
            return record.shown(record.completed, record.failed)
        run, _ = running
        return run.record.shown(run.completed, run.results.failed, partial=self._partial(run.record))

    # -- inside ---------------------------------------------------------------------------------------

    def _begin(self, record: BatchRecord) -> None:
        # Together with the code that writes and reads providers' batches, this takes 0.4 MB.
        from meshd.gateway.batches import line_request
        from meshd.gateway.batches.batch_run import BatchRun

        caller = caller_of(record.caller)
        lost = {line for id in self._sent if (line := record.line_of(id)) is not None}
        most = self._admission.rights(caller).max_message_size
        ask = partial(line_request.ask, self._admission)
        run = BatchRun(
            record,
            self.store,
            self._files,
            self._slots,
            ask,
            self._passing,
            most_bytes=most,
            lost=lost,
            now=self._now,
        )
        task = self._actors.spawn(self._to_its_end(run))
        self._running[record.id] = run, task
        task.add_done_callback(lambda _: self._running.pop(record.id, None))

    async def _to_its_end(self, run: BatchRun) -> None:
        await run.run()
        self._running.pop(run.record.id, None)
        if not run.record.told:
            await self._tell(run.record)

    async def _tell(self, record: BatchRecord) -> None:
        """Post the end of a batch to its model's `callback`."""
        url = self._passing.settings(record.model).callback
        if url:
            from meshd.gateway.batches import callback

            await callback.post(url, record)
        self.store.put(msgspec.structs.replace(record, told=True))

    def _partial(self, record: BatchRecord) -> bool:
        return bool(self._passing.settings(record.model).partial_results)

    def _growing(self, owner: Owner, id: str) -> KeptFile | None:
        """A file of results that can be read although its batch still runs."""
        for run, _ in self._running.values():
            record, results = run.record, run.results
            if record.owner == owner and id in (record.output, record.errors) and self._partial(record):
                kind = ("output", "error")[id == record.errors]
                size = results.sizes[id == record.errors]
                return self._files.record(owner, id, f"{record.id}_{kind}.jsonl", "batch_output", size)
        return None

    def _read(self, body: dict[str, Any]) -> _Asked:
        try:
            asked = msgspec.convert(body, _Asked)
        except msgspec.ValidationError as error:
            raise InvalidRequestError(f"The batch cannot be read: {error}") from None
        if asked.endpoint not in self._endpoints:
            raise InvalidRequestError(
                f"A batch's `endpoint` must be one of {', '.join(self._endpoints)}, not {short(repr(asked.endpoint))}.",
                param="endpoint",
            )
        metadata = asked.metadata or {}
        if len(metadata) > _MOST_METADATA or any(
            len(key) > _LONGEST_KEY or len(value) > _LONGEST_VALUE for key, value in metadata.items()
        ):
            raise InvalidRequestError(
                f"`metadata` has at most {_MOST_METADATA} pairs, of {_LONGEST_KEY} and {_LONGEST_VALUE} characters.",
                param="metadata",
            )
        return asked

    def _window(self, text: str) -> float:
        most = self.store.limits.max_window
        seconds = parse_duration(text) if _WINDOW.fullmatch(text) else 0.0
        if not 1.0 <= seconds <= most:
            raise InvalidRequestError(
                f"`completion_window` must be a time like 24h, {write_duration(most)} at most (batches.max_window).",
                param="completion_window",
            )
        return seconds

    def _life(self, after: _After | None) -> float | None:
        if after is None:
            return None
        if after.anchor != "created_at" or after.seconds < _SHORTEST_LIFE:
            raise InvalidRequestError(
                f"`output_expires_after` must count from `created_at` and be at least {_SHORTEST_LIFE:g} seconds.",
                param="output_expires_after",
            )
        return min(float(after.seconds), self._files.limits.ttl)
