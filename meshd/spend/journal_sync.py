"""Waits until records of the journal would survive a power cut (`storage.durability: power`).

Owns: when the journal's file is synced. One sync serves all attempts that wait when it begins.
Must never: sync in the router's loop, or let an attempt wait without end for a disk that hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor

from meshd.spend.journal import JournalWriter

logger = logging.getLogger("meshd.router")

PATIENCE = 5.0  # s for a disk


class JournalSync:
    """enabled: whether attempts wait at all. place: the segment in use, whose name has to survive, too."""

    def __init__(self, writer: JournalWriter) -> None:
        self.enabled = False
        self.place = ""
        self._writer = writer
        self._files: dict[int, int] = {}  # the writer's descriptors → ones of our own, which no rotation closes
        self._named = ""  # the segment whose name is on the disk
        self._waiting: list[asyncio.Future[None]] = []
        self._work: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._slow = False

    async def done(self) -> None:
        """Return when all that has been written is on the disk, or the disk has had its time."""
        if not self.enabled or self._writer.fd < 0 or self._writer.error is not None:
            return  # what cannot be written is kept in memory, and reported
        if self._writer.fd not in self._files:
            self._files[self._writer.fd] = os.dup(self._writer.fd)
        synced = asyncio.get_running_loop().create_future()
        self._waiting.append(synced)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._sync())
        try:
            await asyncio.wait_for(synced, PATIENCE)
        except TimeoutError:
            if not self._slow:
                logger.warning("the disk has not synced the spend journal within %g s; requests continue", PATIENCE)
            self._slow = True
        else:
            self._slow = False

    async def _sync(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            files, self._files = [*self._files.values()], {}
            folder = os.path.dirname(self.place) if self.place != self._named else ""
            self._thread = self._thread or ThreadPoolExecutor(1, "meshd-sync")
            try:
                await loop.run_in_executor(self._thread, _sync_all, files, folder)
                self._named = self.place
            except OSError as error:
                logger.warning("the spend journal cannot be synced: %s", error.strerror)
            for each in waiting:
                if not each.done():
                    each.set_result(None)

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)


def _sync_all(files: list[int], folder: str) -> None:
    """Raises OSError; the files are closed."""
    with contextlib.ExitStack() as stack:
        for file in files:
            stack.callback(os.close, file)
        for file in files:
            os.fdatasync(file)
        if folder:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, fd)
            os.fsync(fd)
