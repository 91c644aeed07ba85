"""A batch that is passed on to a provider's own API for batches: submitted once, looked at now and then, and fetched.

Owns: what is at the provider, and what is reserved for it. Must never: submit a batch a second time where the first
submission may have arrived, or count a result twice.

What is not answered there (the provider refused or gave up the batch, or a request failed in a way that may pass) is
left to `batch_run.py`, which sends it by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from meshd.formats.batches.known import APIS
from meshd.formats.batches.protocol import NO_HEADERS, BatchApi, Remote, Result
from meshd.gateway.batches.lines import Found, LineReader, decode
from meshd.gateway.batches.prepared import DoesNotFit, Preparing
from meshd.gateway.batches.records import AtProvider, BatchRecord
from meshd.gateway.batches.results import Results
from meshd.gateway.files import disk
from meshd.routing.budgets.reservations import Reservation
from meshd.sdk.calls.passing import RawAnswer, RawBody, RawRequest
from meshd.sdk.provider import FailureKind, ProviderFailure
from modelmesh.errors import MeshError

logger = logging.getLogger("meshd.gateway")

_SOONEST, _RAREST = 0.5, 60.0  # s between two looks
_SENT_WITHIN = 60.0  # s of silence
_GIVE_UP = 600.0  # s after its end that a provider has for ending a batch
_LONGEST = 64 * 1024**2  # bytes of a result
_LATER = frozenset({408, 409, 425, 429})  # statuses of a request that may succeed alone

T = TypeVar("T")


class Work(Protocol):
    """Does something in the thread for files. Raises OSError."""

    async def __call__(self, work: Callable[[], T]) -> T: ...


Keep = Callable[[int, bytes, bool], Awaitable[None]]
Note = Callable[[AtProvider], Awaitable[None]]


class ProviderRun:
    """record: of the batch. at: what is known of it there. note: saves that; returns when it is saved. keep: keeps a
    line's result. lost: lines that an earlier life has counted, whose results it did not keep. stop: set when the batch
    is cancelled or too late. most_bytes: of a line."""

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
        self._source, self._scratch = source, scratch
        self._work = work
        self._note, self._keep = note, keep
        self._lost = lost
        self._stop = stop
        self._most_bytes = most_bytes
        self._api: BatchApi = APIS[at.api]
        self._lines: dict[int, Found] = {}  # without their data
        self._reserved: dict[int, Reservation] = {}
        self._path = ""  # of all requests, below the base URL
        self._size = 0
        self._stopped_at = 0.0  # by the monotonic clock

    async def run(self) -> None:
        """Until nothing more comes from there. Raises OSError."""
        reader = await self._work(partial(LineReader, self._source, self._most_bytes))
        try:
            await self._prepare(reader, fresh=not self._at.since)
            for remote in await self._submitted():
                await self._fetch(await self._ended(remote), reader)
        except (MeshError, DoesNotFit, ProviderFailure) as error:  # before it was sent
            why = "a budget has no room for all of it" if isinstance(error, DoesNotFit) else str(error)
            logger.info("batch %s is not passed on to %s: %s", self._record.id, self._at.provider, why)
        except _Gone:
            await self._interrupt(reader)
        finally:
            reader.close()
            for reservation in self._reserved.values():
                self._preparing.give_back(reservation)
            self._reserved.clear()
            await self._work(partial(disk.remove, self._scratch))
        await self._noted(ended=True)

    async def _interrupt(self, reader: LineReader) -> None:
        """What is there is out of reach, and may have been billed."""
        for number, found in self._lines.items():
            if not self._results.is_done(number):
                line = decode(await self._work(partial(reader.again, found)))
                await self._keep(number, self._results.interrupted(number, line.custom_id), False)

    # -- before it is sent ----------------------------------------------------------------------------

    async def _prepare(self, reader: LineReader, *, fresh: bool) -> None:
        """Reserve what all lines may cost and, unless it may be there already, write the provider's file. Raises
        MeshError, ProviderFailure, DoesNotFit."""
        fd = await self._work(partial(disk.append_to, self._scratch)) if fresh else -1
        try:
            if fresh:
                await self._work(partial(os.ftruncate, fd, 0))
            while (found := await self._work(reader.next)) is not None:
                self._lines[found.number] = found._replace(data=b"")
                if self._results.is_done(found.number) or found.number in self._lost:
                    continue
                await self._prepare_line(found, fd)
        finally:
            if fd >= 0:
                self._size = (await self._work(partial(os.fstat, fd))).st_size
                await self._work(partial(os.close, fd))

    async def _prepare_line(self, found: Found, fd: int) -> None:
        body, id = bytes(decode(found.data).body), self._record.request_id(found.number)
        try:
            self._reserved[found.number] = self._preparing.reserve(id, body)
        except (DoesNotFit, MeshError):
            if fd >= 0:  # otherwise it is there already, and will be paid for
                raise
        if fd < 0:
            return
        written = await self._preparing.write(id, body)
        if self._path not in ("", written.path):
            raise ProviderFailure(FailureKind.UNSUPPORTED, "its requests are for several paths", unsent=True)
        between = self._api.between if self._path else b""
        self._path = written.path
        line = between + self._api.line(self._name(found.number), written.path, written.body)
        await self._work(partial(disk.append, fd, line))

    def _name(self, number: int) -> str:
        return f"{self._record.run}-{number:08x}"

    # -- at the provider ------------------------------------------------------------------------------

    async def _submitted(self) -> list[Remote]:
        """Those that may be this batch: several, if its submission was cut off and the API has no names. Empty if there
        is none. Raises ProviderFailure if it is refused."""
        if self._at.id:
            return [Remote(self._at.id)]
        wait = _SOONEST
        while True:
            if self._at.since:
                found = await self._found()
                if found or not self._path:  # of an earlier life, and not there
                    return found
            if self._stop.is_set():
                return []
            await self._noted(since=time.time())
            try:
                remote = await self._submit()
                await self._noted(id=remote.id)
                return [remote]
            except ProviderFailure as failure:
                if failure.unsent or 400 <= failure.status < 500:
                    raise
                logger.warning("batch %s may not have arrived: %s", self._record.id, failure.message)
            await self._sleep(wait)
            wait = min(2 * wait, _RAREST)

    async def _found(self) -> list[Remote]:
        wait = _SOONEST
        while True:
            try:
                found = await self._api.find(self._send, self._record.run, self._at.since, self._record.total)
                if len(found) == 1 and self._api.named:
                    await self._noted(id=found[0].id)
                return found
            except ProviderFailure as failure:
                logger.warning("batch %s cannot be looked for: %s", self._record.id, failure.message)
            self._give_up_late()
            await self._sleep(wait)
            wait = min(2 * wait, _RAREST)

    async def _submit(self) -> Remote:
        fd = await self._work(partial(disk.read_from, self._scratch))
        try:
            file = _File(fd, self._size, self._api.begin, self._api.end, self._work)
            return await self._api.submit(self._send, file, self._path, self._record.run)
        finally:
            await self._work(partial(os.close, fd))

    async def _ended(self, remote: Remote) -> Remote:
        """When nothing more comes. Raises _Gone."""
        wait, cancelled = _SOONEST, not self._at.id  # one that may be another's is left alone
        while True:
            try:
                if self._stop.is_set() and not cancelled:
                    cancelled = True
                    await self._api.cancel(self._send, remote.id)
                remote = await self._api.look(self._send, remote.id)
                if remote.ended:
                    return remote
            except ProviderFailure as failure:
                logger.warning("batch %s: %s", self._record.id, failure.message)
            self._give_up_late()
            await self._sleep(wait)
            wait = min(2 * wait, _RAREST)

    def _give_up_late(self) -> None:
        """Raises _Gone some time after the batch should have ended."""
        if not self._stop.is_set():
            self._stopped_at = 0.0
        elif not self._stopped_at:
            self._stopped_at = time.monotonic()
        elif time.monotonic() - self._stopped_at > _GIVE_UP:
            raise _Gone

    async def _sleep(self, seconds: float) -> None:
        """Until it is stopped, at most."""
        if not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), seconds)
        else:
            await asyncio.sleep(seconds)

    async def _noted(self, **changed: object) -> None:
        self._at = self._at.changed(**changed)
        await self._note(self._at)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: bytes | RawBody = b"",
        headers: Mapping[str, str] = NO_HEADERS,
        branch: str = "",
    ) -> RawAnswer:
        asked = RawRequest(method, path, query, headers, body, _SENT_WITHIN, branch=branch)
        with self._preparing.runtime.connectors.lease(self._at.provider) as provider:
            return await provider.forward(asked)

    # -- its results ----------------------------------------------------------------------------------

    async def _fetch(self, remote: Remote, reader: LineReader) -> None:
        wait = _SOONEST
        for path in remote.results:
            while True:
                try:
                    async for line in self._result_lines(path):
                        result = self._api.result(line)
                        if result is not None:
                            await self._take(result, reader)
                    break
                except ProviderFailure as failure:  # what came is kept, and comes again
                    if 400 <= failure.status < 500:
                        raise _Gone from None
                    logger.warning("results of batch %s: %s", self._record.id, failure.message)
                self._give_up_late()
                await asyncio.sleep(wait)
                wait = min(2 * wait, _RAREST)

    async def _result_lines(self, path: str) -> AsyncIterator[bytes]:
        place, _, query = path.partition("?")
        answer = await self._send("GET", place, query=query)
        try:
            if answer.status >= 400:
                raise ProviderFailure(FailureKind.BAD_ANSWER, f"{path} answered {answer.status}", status=answer.status)
            rest = b""
            while data := await answer.more():
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    yield line
                if len(rest) > _LONGEST:
                    raise ProviderFailure(FailureKind.BAD_ANSWER, f"{path} has too long a line", status=422)
            if rest.strip():
                yield rest
        finally:
            answer.close()

    async def _take(self, result: Result, reader: LineReader) -> None:
        run, _, digits = result.id.rpartition("-")
        number = int(digits, 16) if run == self._record.run and len(digits) == 8 else -1
        found = self._lines.get(number)
        if found is None or self._results.is_done(number) or result.status == 0:
            return
        line = decode(await self._work(partial(reader.again, found)))
        id = self._record.request_id(number)
        if result.status >= 400:
            if result.status in _LATER or result.status >= 500:
                return
            error = MeshError(result.message or "The provider refused it.", status_code=result.status)
            await self._keep(number, self._results.error(number, line.custom_id, id.hex(), error), False)
            return
        reservation = self._reserved.pop(number, None)
        counted = number in self._lost
        try:
            body = await self._preparing.read(id, bytes(line.body), result.body, reservation, counted=counted)
            written, ok = self._results.answer(number, line.custom_id, id.hex(), body), True
        except (MeshError, ProviderFailure) as failure:
            error = failure if isinstance(failure, MeshError) else MeshError(failure.message, status_code=502)
            written, ok = self._results.error(number, line.custom_id, id.hex(), error), False
        await self._keep(number, written, ok)


class _Gone(Exception):
    """What was submitted is out of reach."""


class _File:
    """The file of requests, which is sent while it is read. length: bytes with what is around it; size: those that were
    read."""

    def __init__(self, fd: int, size: int, begin: bytes, end: bytes, work: Work) -> None:
        self.length: int | None = None
        self.size = 0
        self._fd, self._bytes = fd, size
        self._work = work
        self.between(begin, end)

    def between(self, begin: bytes, end: bytes) -> None:
        self._begin, self._end = begin, end
        self.length = len(begin) + self._bytes + len(end)

    async def read(self) -> bytes:
        head, tail = len(self._begin), len(self._begin) + self._bytes
        if self.size < head:
            data = self._begin[self.size :]
        elif self.size < tail:
            data = await self._work(partial(os.pread, self._fd, disk.PIECE, self.size - head))
        else:
            data = self._end[self.size - tail :]
        self.size += len(data)
        return data
