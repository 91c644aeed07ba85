"""One batch at a provider: submitted once, looked at now and then, and fetched.

Owns: its state there. Must never: submit it a second time if the first submission may have arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from meshd.formats.batches.protocol import BatchApi, Remote, Result, Send
from meshd.gateway.batches.passed.connection import KeyMissing
from meshd.gateway.batches.passed.parts import PartFile
from meshd.gateway.batches.records import Part
from meshd.sdk.provider import FailureKind, ProviderFailure

logger = logging.getLogger("meshd.gateway")

SOONEST, RAREST = 0.5, 60.0  # s between two looks
_GIVE_UP = 600.0  # s after its end that a provider has for ending a batch
_LONGEST = 64 * 1024**2  # bytes of a result

Note = Callable[[Part], Awaitable[None]]
Take = Callable[[Result], Awaitable[None]]
Open = Callable[[], Awaitable[PartFile]]


class Gone(Exception):
    """What was submitted is out of reach."""


class Submission:
    """name: finds it at the provider. part: its state. note: saves that; returns when it is saved. take: takes a
    result. seen: is told how many requests are answered there. stop: set when the batch is cancelled or its time is
    over. polling: seconds between two looks; None: less often each time. batch: the mesh's id for it, for the log."""

    def __init__(
        self,
        api: BatchApi,
        name: str,
        part: Part,
        *,
        send: Send,
        note: Note,
        take: Take,
        seen: Callable[[int], None],
        stop: asyncio.Event,
        polling: Callable[[], float | None],
        batch: str,
    ) -> None:
        self._api = api
        self._name = name
        self._part = part
        self._send = send
        self._note, self._take, self._seen = note, take, seen
        self._stop = stop
        self._polling = polling
        self._batch = batch
        self._stopped_at = 0.0  # by the monotonic clock

    async def run(self, path: str, open: Open | None) -> None:
        """Run until nothing more comes from the provider. path: where its requests would be sent alone. open: opens the
        file of requests; None: an earlier run has submitted it. Raises Gone; ProviderFailure if it is refused."""
        for remote in await self._submitted(path, open):
            await self._fetch(await self._ended(remote))

    # -- to the provider ------------------------------------------------------------------------------

    async def _submitted(self, path: str, open: Open | None) -> list[Remote]:
        """The provider's batches that may be this one: several, if its submission was cut off and the API has no names.
        Empty if there is none."""
        if self._part.id:
            return [Remote(self._part.id)]
        wait = SOONEST
        while True:
            if self._part.since:
                found = await self._found()
                if found or open is None:  # an earlier run began the submission, and it is not there
                    return found
            if self._stop.is_set() or open is None:
                return []
            await self._noted(since=time.time())
            try:
                remote = await self._submit(path, open)
                await self._noted(id=remote.id)
                return [remote]
            except ProviderFailure as failure:
                if failure.unsent or 400 <= failure.status < 500:
                    raise
                logger.warning("batch %s may not have arrived: %s", self._batch, failure.message)
            wait = await self._pause(wait)

    async def _submit(self, path: str, open: Open) -> Remote:
        file = await open()
        try:
            return await self._api.submit(self._send, file, path, self._name)
        finally:
            await file.close()

    async def _found(self) -> list[Remote]:
        wait = SOONEST
        while True:
            try:
                found = await self._api.find(self._send, self._name, self._part.since, self._part.count)
                if len(found) == 1 and self._api.named:
                    await self._noted(id=found[0].id)
                return found
            except ProviderFailure as failure:
                logger.warning("looking for batch %s failed: %s", self._batch, failure.message)
                self._give_up_late(failure)
            wait = await self._pause(wait)

    async def _ended(self, remote: Remote) -> Remote:
        """When nothing more comes."""
        wait, cancelled = SOONEST, not self._part.id  # one that may belong to another submission is left alone
        while True:
            failed: ProviderFailure | None = None
            try:
                if self._stop.is_set() and not cancelled:
                    cancelled = True
                    await self._api.cancel(self._send, remote.id)
                remote = await self._api.look(self._send, remote.id)
                self._seen(remote.done)
                if remote.ended:
                    return remote
            except ProviderFailure as failure:
                failed = failure
                logger.warning("batch %s: %s", self._batch, failure.message)
            self._give_up_late(failed)
            wait = await self._pause(wait)

    # -- its results ----------------------------------------------------------------------------------

    async def _fetch(self, remote: Remote) -> None:
        wait = SOONEST
        for path in remote.results:
            while True:
                try:
                    async for line in self._result_lines(path):
                        result = self._api.result(line)
                        if result is not None:
                            await self._take(result)
                    break
                except ProviderFailure as failure:  # what came is kept; the next fetch sends it again
                    if 400 <= failure.status < 500:
                        raise Gone from None
                    logger.warning("results of batch %s: %s", self._batch, failure.message)
                    self._give_up_late(failure)
                await asyncio.sleep(wait)
                wait = min(2 * wait, RAREST)

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

    # -- inside ---------------------------------------------------------------------------------------

    def _give_up_late(self, failure: ProviderFailure | None) -> None:
        """Raises Gone some time after the batch should have ended; at once if the provider cannot be asked about it."""
        if not self._stop.is_set():
            self._stopped_at = 0.0
        elif isinstance(failure, KeyMissing):
            raise Gone
        elif not self._stopped_at:
            self._stopped_at = time.monotonic()
        elif time.monotonic() - self._stopped_at > _GIVE_UP:
            raise Gone

    async def _pause(self, wait: float) -> float:
        """Pause, or stop pausing when the batch is stopped. Returns the next wait."""
        polling = self._polling()
        seconds = wait if polling is None else max(polling, SOONEST)
        if not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), seconds)
        else:
            await asyncio.sleep(min(seconds, RAREST))
        return min(2 * wait, RAREST)

    async def _noted(self, **changed: object) -> None:
        self._part = self._part.changed(**changed)
        await self._note(self._part)
