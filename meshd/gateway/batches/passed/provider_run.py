"""A batch that is passed on to a provider's own API for batches, in as many parts as its limits need.

Owns: what is reserved for it, and which line a result belongs to. Must never: count a result twice.

What is not answered there (the provider refused or gave up on a part, or a request failed in a way that may be
temporary) is left to `batch_run.py`, which sends those requests one by one.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from meshd.config.schema.routing.models import ModelBatchConfig
from meshd.formats.batches.known import batch_api
from meshd.formats.batches.protocol import BatchApi, Result
from meshd.gateway.batches.lines import Found, LineReader, decode
from meshd.gateway.batches.passed.connection import KEY_MISSING, Connection
from meshd.gateway.batches.passed.parts import Limits, Parts, Planned, Work
from meshd.gateway.batches.passed.prepared import DoesNotFit, Preparing
from meshd.gateway.batches.passed.settings import batch_settings
from meshd.gateway.batches.passed.submission import Gone, Submission
from meshd.gateway.batches.records import AtProvider, BatchRecord, Part
from meshd.gateway.batches.results import Results
from meshd.routing.budgets.reservations import Reservation
from meshd.sdk.provider import ProviderFailure
from modelmesh.errors import MeshError

logger = logging.getLogger("meshd.gateway")

_NAME = re.compile(r"(.*)-([0-9a-f]{8})", re.ASCII)
_LATER = frozenset({408, 409, 425, 429})  # statuses of a request that may succeed alone

Keep = Callable[[int, bytes, bool], Awaitable[None]]
Note = Callable[[AtProvider], Awaitable[None]]


class ProviderRun:
    """record: that of the batch. at: its state at the provider. note: saves that state; returns when it is saved. keep:
    keeps a line's result. lost: lines that an earlier run has counted, whose results it did not keep. stop: set when
    the batch is cancelled or its time is over. most_bytes: the limit for a line. done: requests that are answered there
    and not fetched yet."""

    def __init__(
        self,
        record: BatchRecord,
        at: AtProvider,
        preparing: Preparing,
        results: Results,
        source: Path,
        scratch: Path,
        *,
        work: Work,
        note: Note,
        keep: Keep,
        lost: frozenset[int],
        stop: asyncio.Event,
        most_bytes: int,
    ) -> None:
        self._record = record
        self._at = at
        self._preparing = preparing
        self._results = results
        self._source = source
        self._work = work
        self._note, self._keep = note, keep
        self._lost = lost
        self._stop = stop
        self._most_bytes = most_bytes
        self._api: BatchApi = batch_api(at.api)
        settings = self._settings()
        limits = Limits(settings.max_items, settings.max_payload).tighter(Limits(*self._api.most))
        self._parts = Parts(scratch, self._api, limits, work)
        self._connection = Connection(preparing.runtime, at, self._troubled)
        self._lines: dict[int, Found] = {}  # without their data
        self._reserved: dict[int, Reservation] = {}
        self._done: dict[int, int] = {}  # by the first line of a part

    @property
    def done(self) -> int:
        return sum(self._done.values())

    async def run(self) -> None:
        """Run until nothing more comes from the provider. Raises OSError."""
        reader = await self._work(partial(LineReader, self._source, self._most_bytes))
        try:
            await self._parts.open()
            await self._prepare(reader)
            await self._parts.close()
            sent = [part for part in self._at.parts if not part.ended]
            parts = [*(Planned(part, 0, 0) for part in sent), *self._parts.planned]
            await _together([self._run_part(each, reader) for each in parts])
        finally:
            reader.close()
            for reservation in self._reserved.values():
                self._preparing.give_back(reservation)
            self._reserved.clear()
            await self._parts.remove()
        await self._noted(ended=True)

    def _settings(self) -> ModelBatchConfig:
        return batch_settings(self._preparing.runtime, self._at.model)

    # -- before it is sent ----------------------------------------------------------------------------

    async def _prepare(self, reader: LineReader) -> None:
        """Reserve what all lines may cost, and write those that cannot be at the provider yet: all of them, or none."""
        whole = True
        while (found := await self._work(reader.next)) is not None:
            number = found.number
            self._lines[number] = found._replace(data=b"")
            if self._results.is_done(number) or number in self._lost:
                continue
            if any(part.first <= number <= part.last for part in self._at.parts):
                self._reserve_sent(found)
                self._parts.end_part()
            elif whole:
                whole = await self._planned(found)

    def _reserve_sent(self, found: Found) -> None:
        """What is at the provider already will be paid for, whether it fits the budget or not."""
        body, id = bytes(decode(found.data).body), self._record.request_id(found.number)
        try:
            self._reserved[found.number] = self._preparing.reserve(id, body)
        except (DoesNotFit, MeshError):
            return

    async def _planned(self, found: Found) -> bool:
        """Returns False if nothing is to be sent."""
        body, number = bytes(decode(found.data).body), found.number
        id = self._record.request_id(number)
        try:
            self._reserved[number] = self._preparing.reserve(id, body)
            written = await self._preparing.write(id, body)
            if not await self._parts.add(number, f"{self._record.run}-{number:08x}", written):
                self._preparing.give_back(self._reserved.pop(number))
            return True
        except (MeshError, DoesNotFit, ProviderFailure) as error:
            why = "a budget has no room for all of it" if isinstance(error, DoesNotFit) else str(error)
            logger.info("batch %s is not passed on to %s: %s", self._record.id, self._at.provider, why)
        for planned in self._parts.planned:
            self._release(planned.part)
        self._release(Part(number, number))
        self._parts.planned.clear()
        return False

    def _release(self, part: Part) -> None:
        """What is reserved for its lines."""
        for number in [each for each in self._reserved if part.first <= each <= part.last]:
            self._preparing.give_back(self._reserved.pop(number))

    # -- one part -------------------------------------------------------------------------------------

    async def _run_part(self, planned: Planned, reader: LineReader) -> None:
        part = planned.part

        async def note(now: Part) -> None:
            nonlocal part
            part = now
            others = tuple(each for each in self._at.parts if each.first != part.first)
            await self._noted(parts=(*others, part))

        async def take(result: Result) -> None:
            if await self._take(result, reader):
                seen(self._done.get(part.first, 0) - 1)

        def seen(done: int) -> None:
            self._done[part.first] = min(max(done, 0), part.count)

        submission = Submission(
            self._api,
            f"{self._record.run}-{part.first}",
            part,
            send=self._connection.send,
            note=note,
            take=take,
            seen=seen,
            stop=self._stop,
            polling=lambda: self._settings().polling,
            batch=self._record.id,
        )
        try:
            await submission.run(self._parts.asked, partial(self._parts.file, planned) if planned.size else None)
        except ProviderFailure as refused:
            logger.info("batch %s was not accepted by %s: %s", self._record.id, self._at.provider, refused)
        except Gone:
            await self._interrupt(part, reader)
        self._release(part)
        self._done.pop(part.first, None)
        await note(part.changed(ended=True))

    async def _interrupt(self, part: Part, reader: LineReader) -> None:
        """What is at the provider is out of reach, and may have been billed."""
        why = KEY_MISSING if self._at.trouble else ""
        for number, found in self._lines.items():
            if part.first <= number <= part.last and not self._results.is_done(number):
                line = decode(await self._work(partial(reader.again, found)))
                await self._keep(number, self._results.interrupted(number, line.custom_id, why), False)

    async def _noted(self, **changed: object) -> None:
        self._at = msgspec.structs.replace(self._at, **changed)
        await self._note(self._at)

    async def _troubled(self, why: str) -> None:
        await self._noted(trouble=why)

    # -- results --------------------------------------------------------------------------------------

    async def _take(self, result: Result, reader: LineReader) -> bool:
        """Returns whether it is an answer that had not been kept yet."""
        named = _NAME.fullmatch(result.id)
        number = int(named[2], 16) if named is not None and named[1] == self._record.run else -1
        found = self._lines.get(number)
        if found is None or self._results.is_done(number) or result.status == 0:
            return False
        line = decode(await self._work(partial(reader.again, found)))
        id = self._record.request_id(number)
        if result.status >= 400:
            if result.status in _LATER or result.status >= 500:
                return False
            error = MeshError(result.message or "The provider refused it.", status_code=result.status)
            await self._keep(number, self._results.error(number, line.custom_id, id.hex(), error), False)
            return False
        reservation = self._reserved.pop(number, None)
        counted = number in self._lost
        try:
            body = await self._preparing.read(id, bytes(line.body), result.body, reservation, counted=counted)
            written, ok = self._results.answer(number, line.custom_id, id.hex(), body), True
        except (MeshError, ProviderFailure) as failure:
            error = failure if isinstance(failure, MeshError) else MeshError(failure.message, status_code=502)
            written, ok = self._results.error(number, line.custom_id, id.hex(), error), False
        await self._keep(number, written, ok)
        return ok


async def _together(runs: list[Coroutine[Any, Any, None]]) -> None:
    """Wait until all have ended, or one has failed."""
    tasks = [asyncio.ensure_future(each) for each in runs]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
