"""One batch that the daemon runs itself: it checks the lines, sends them as requests and writes the results to files.

Owns: the life of a batch, from `validating` to its end. Must never: hold more than the lines that are in flight, send a
line again that an earlier run sent, or start one when the batch's time is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol, TypeVar

import msgspec

from meshd.core.caller import Caller
from meshd.gateway.batches import line_request, records
from meshd.gateway.batches.line_request import Ended
from meshd.gateway.batches.lines import Found, Line, LineReader, Validation, decode
from meshd.gateway.batches.passed.passing import Passing
from meshd.gateway.batches.passed.provider_run import ProviderRun
from meshd.gateway.batches.records import AtProvider, BatchRecord, Fault, caller_of
from meshd.gateway.batches.results import Results
from meshd.gateway.batches.slots import Slots
from meshd.gateway.batches.store import BatchStore
from meshd.gateway.files import disk
from meshd.gateway.files.store import FileStore

logger = logging.getLogger("meshd.gateway")

_LONGEST_PAUSE = 300.0  # s: a budget may be raised before it resets
_DISK_AGAIN = 5.0  # s
_ROOM = 1024**2  # bytes that have to be free before a line is sent
_EXPIRED_AT_ONCE = 500  # lines

T = TypeVar("T")


class Asking(Protocol):
    """How a line becomes a request."""

    def __call__(
        self, caller: Caller, request_id: bytes, path: str, body: bytes, ended: Callable[[Ended], None]
    ) -> None: ...


class BatchRun:
    """ask: begins the request of a line. passing: chooses a provider that takes the whole batch. most_bytes: the limit
    for a line of this caller. lost: lines that an earlier run sent, whose answers it did not write."""

    def __init__(
        self,
        record: BatchRecord,
        batches: BatchStore,
        files: FileStore,
        slots: Slots,
        ask: Asking,
        passing: Passing,
        *,
        most_bytes: int,
        lost: Collection[int] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self.record = record
        self.results = Results(record, files.path(record.output), files.path(record.errors))
        self._batches = batches
        self._files = files
        self._slots = slots
        self._ask = ask
        self._passing = passing
        self._caller = caller_of(record.caller)
        self._most_bytes = most_bytes
        self._lost = frozenset(lost)
        self._now = now
        self._stop = asyncio.Event()  # no further line is to be sent
        self._next_line = asyncio.Lock()
        self._one_tries = asyncio.Lock()
        self._pause = 0.0  # s of the last one; 0: the last request was answered
        self._ready_at = 0.0  # UTC s
        self._passed: ProviderRun | None = None
        self._counted = 0  # bytes of results that count towards the user's space

    @property
    def completed(self) -> int:
        """Requests that are answered, here or at the provider."""
        return self.results.completed + (0 if self._passed is None else self._passed.done)

    def cancel(self) -> None:
        """Send nothing more; lines in flight are completed."""
        if self.record.status in (records.VALIDATING, records.IN_PROGRESS):
            self._change(records.CANCELLING)
            self._stop.set()

    async def run(self) -> None:
        """Until the batch has ended. Raises only CancelledError, if the daemon ends first."""
        while not self.record.ended:
            try:
                await self._run()
            except OSError as error:
                self._complain(error)
                await asyncio.sleep(_DISK_AGAIN)
            except Exception:
                logger.exception("batch %s failed", self.record.id)
                self._fail([Fault("internal_error", "The daemon failed; see its log.")])

    async def _run(self) -> None:
        if self.record.status == records.CANCELLING:
            self._stop.set()
        if self.record.status == records.VALIDATING and not await self._validated():
            return
        await self._work(self.results.open)
        self._count()
        try:
            timer = self._stop_in_time()
            try:
                if self.record.there is not None and not self.record.there.ended:
                    await self._pass_on(self.record.there)
                if self.record.status == records.IN_PROGRESS:
                    await self._answer_all()
            finally:
                timer.cancel()
            await self._finish()
        finally:
            self.results.close()

    def _change(self, status: str, **changed: object) -> None:
        self.record = self.record.in_status(status, self._now(), **changed)
        self._batches.put(self.record)

    def _fail(self, faults: list[Fault]) -> None:
        self._change(records.FAILED, faults=tuple(faults))
        self._give_back()

    # -- the lines ------------------------------------------------------------------------------------

    async def _validated(self) -> bool:
        limits, record = self._batches.limits, self.record
        path = self._files.path(record.input)
        checks = Validation(path, record.endpoint, self._most_bytes, limits.max_lines)
        try:
            while not self._stop.is_set() and await self._work(checks.step):
                pass
        except FileNotFoundError:
            self._fail([Fault("file_not_found", "The input file is gone.")])
            return False
        finally:
            checks.close()
        if checks.faults:
            self._fail(checks.faults)
            return False
        size = (await self._work(path.stat)).st_size
        if not self._stop.is_set():  # asked last, since it may be cancelled during all of the above
            there = self._passing.choose(self._caller, checks.model, checks.total, size)
            model = there.model if there is not None else self._passing.settled_by(checks.model, self._caller)
            self._change(records.IN_PROGRESS, total=checks.total, there=there, **self._settled(model))
        return True

    def _settled(self, model: str) -> dict[str, object]:
        """The record with the settings of its model applied."""
        settings, record = self._passing.settings(model), self.record
        window = settings.completion_window
        ends = record.expires_at if window is None else min(record.expires_at, int(record.created_at + window))
        return {"model": model, "expires_at": ends, "told": not settings.callback}

    def _stop_in_time(self) -> asyncio.TimerHandle:
        left = self.record.expires_at - self._now()
        return asyncio.get_running_loop().call_later(max(left, 0.0), self._stop.set)

    async def _pass_on(self, there: AtProvider) -> None:
        """Have a provider's own batch answer what it can; the rest is sent as usual."""

        async def note(at: AtProvider) -> None:
            self.record = msgspec.structs.replace(self.record, there=at)
            await self._batches.save(self.record)

        async def keep(number: int, written: bytes, ok: bool) -> None:
            await self._surely_keep(number, written, ok=ok)

        scratch = self._files.path(f"{self.record.output}{disk.PART}")
        self._passed = ProviderRun(
            self.record,
            there,
            self._passing.preparing(self.record, self._caller, there),
            self.results,
            self._files.path(self.record.input),
            scratch,
            work=self._work,
            note=note,
            keep=keep,
            lost=self._lost,
            stop=self._stop,
            most_bytes=self._most_bytes,
        )
        try:
            await self._passed.run()
        finally:
            self._passed = None
        self._lost = frozenset()

    async def _answer_all(self) -> None:
        reader = await self._work(partial(LineReader, self._files.path(self.record.input), self._most_bytes))
        workers = min(self._batches.limits.max_inflight, self.record.total)
        tasks = [asyncio.ensure_future(self._answer_some(reader)) for _ in range(workers)]
        try:
            await asyncio.gather(*tasks)
            if self._stop.is_set() and self.record.status == records.IN_PROGRESS:
                await self._expire(reader)
        finally:
            for task in tasks:
                task.cancel()
            reader.close()

    async def _answer_some(self, reader: LineReader) -> None:
        """Answer one line after another; several tasks do so at once."""
        found: Found | None = None
        tries = 0
        while not self._stop.is_set():
            async with self._turn(), self._slots.one(self.record.user):
                if self._stop.is_set():
                    return
                if found is None:
                    found, tries = await self._next(reader), 0
                    if found is None:
                        return
                data = found.data or await self._surely(partial(reader.again, found))
                wait, begun = await self._asked(found.number, data, tries)
            if wait is None:
                found, self._pause = None, 0.0
            else:
                found, tries = found._replace(data=b""), tries + begun
                self._rest(wait)

    async def _next(self, reader: LineReader) -> Found | None:
        """The next line without a result."""
        async with self._next_line:
            while (found := await self._surely(reader.next)) is not None:
                if self.results.is_done(found.number):
                    continue
                if found.number not in self._lost:
                    return found
                written = self.results.interrupted(found.number, decode(found.data).custom_id)
                await self._surely_keep(found.number, written, ok=False)
            return None

    async def _asked(self, number: int, data: bytes, tries: int) -> tuple[float | None, bool]:
        """Send a line once. tries: how often it was sent to a provider. Returns (seconds after which it may be sent
        again, None: it has its result; whether it was sent)."""
        line = decode(data)
        done: asyncio.Future[tuple[float | None, bool]] = asyncio.get_running_loop().create_future()
        unwritten: list[tuple[bytes, bool]] = []

        def ended(how: Ended) -> None:  # in the turn in which it is settled, so that a crash in between is unlikely
            wait = line_request.passes_in(how, tries + how.begun)
            try:
                if wait is None:
                    self._take(number, line, how, unwritten)
            finally:
                done.set_result((wait, how.begun))

        self._ask(self._caller, self.record.request_id(number), self.record.endpoint, bytes(line.body), ended)
        how = await done
        for written, ok in unwritten:  # it is paid for
            await self._surely_keep(number, written, ok=ok)
        return how

    def _take(self, number: int, line: Line, ended: Ended, unwritten: list[tuple[bytes, bool]]) -> None:
        id, ok = self.record.request_id(number).hex(), ended.error is None
        if ended.error is None:
            written = self.results.answer(number, line.custom_id, id, ended.answer)
        else:
            written = self.results.error(number, line.custom_id, id, ended.error)
        try:
            self._keep(number, written, ok=ok)
        except OSError as error:
            self._complain(error)
            unwritten.append((written, ok))

    def _keep(self, number: int, written: bytes, *, ok: bool) -> None:
        """Raises OSError."""
        self.results.append(number, written, ok=ok)
        self._count()

    async def _surely_keep(self, number: int, written: bytes, *, ok: bool) -> None:
        """Keep it as soon as the disk accepts it."""
        while True:
            try:
                return self._keep(number, written, ok=ok)
            except OSError as error:
                self._complain(error)
            await asyncio.sleep(_DISK_AGAIN)

    # -- waiting --------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """After a limit was reached, one line at a time tries whether there is room again."""
        if not self._pause and self._files.space.fits(self.record.user, _ROOM):
            yield
            return
        async with self._one_tries:
            while not self._stop.is_set():
                wait = self._ready_at - self._now()
                if not self._files.space.fits(self.record.user, _ROOM):
                    wait = max(wait, _DISK_AGAIN)
                if wait <= 0:
                    break
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), wait)
            yield

    def _rest(self, wait: float) -> None:
        """Send nothing for at least that many seconds, and for longer each time."""
        if self._ready_at <= self._now():
            self._pause = min(max(2 * self._pause, wait), _LONGEST_PAUSE)
            self._ready_at = self._now() + self._pause

    # -- the end --------------------------------------------------------------------------------------

    async def _expire(self, reader: LineReader) -> None:
        """Write a result for each line that was not sent in time."""
        while True:
            for _ in range(_EXPIRED_AT_ONCE):
                found = await self._next(reader)
                if found is None:
                    return
                written = self.results.expired(found.number, decode(found.data).custom_id)
                await self._surely_keep(found.number, written, ok=False)
            await asyncio.sleep(0)

    async def _finish(self) -> None:
        """Turn the results into files: one for each kind that has any."""
        ended = self._end()
        if self.record.status == records.IN_PROGRESS:
            self._change(records.FINALIZING)
        results, record = self.results, self.record
        kinds = ((record.output, "output", results.completed), (record.errors, "error", results.failed))
        for id, kind, count in kinds:
            path = self._files.path(id)
            if not count:
                await self._work(partial(disk.remove, path))
                continue
            size = (await self._work(path.stat)).st_size
            kept = self._files.record(
                record.owner, id, f"{record.id}_{kind}.jsonl", "batch_output", size, record.results_live
            )
            self._files.adopt(kept)
        self._change(ended, completed=results.completed, failed=results.failed)

    def _end(self) -> str:
        if self.record.status == records.CANCELLING:
            return records.CANCELLED
        late = self._stop.is_set() and self.record.status == records.IN_PROGRESS
        return records.EXPIRED if late else records.COMPLETED

    # -- inside ---------------------------------------------------------------------------------------

    def _count(self) -> None:
        """Results count towards their user's space as they arrive."""
        more = self.results.size - self._counted
        if more:
            self._files.space.grow(self.record.user, more)
            self._counted += more

    def _give_back(self) -> None:
        self._files.space.give(self.record.user, self._counted)
        self._counted = 0

    def _complain(self, error: OSError) -> None:
        logger.warning("batch %s waits, as the disk fails: %s", self.record.id, error.strerror or error)

    async def _surely(self, work: Callable[[], T]) -> T:
        """Do it in the thread for files, as soon as the disk accepts it."""
        while True:
            try:
                return await self._work(work)
            except OSError as error:
                self._complain(error)
            await asyncio.sleep(_DISK_AGAIN)

    async def _work(self, work: Callable[[], T]) -> T:
        """Do it in the thread for files. Raises OSError."""
        return await asyncio.get_running_loop().run_in_executor(self._files.worker, work)
