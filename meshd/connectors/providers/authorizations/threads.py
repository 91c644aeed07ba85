"""Blocking calls of libraries, each in a thread of its own.

Owns: one thread at a time for each owner, and silencing libraries' logs. Must never: keep the daemon from ending.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TypeVar

from meshd.connectors.providers.authorizations.tokens import NoToken

Result = TypeVar("Result")


def quieten(*loggers: str) -> None:
    """Silence libraries' loggers: they log servers' answers, which may repeat a secret. Their exceptions say the same,
    and are masked."""
    for name in loggers:
        logging.getLogger(name).setLevel(logging.CRITICAL)


class OwnThread:
    """One thread at a time: a call that takes too long keeps its thread, and no other starts until it ends."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._busy = threading.Lock()

    async def run(self, work: Callable[[], Result]) -> Result:
        """Raises what `work` raises, and NoToken."""
        if not self._busy.acquire(blocking=False):
            raise NoToken(f"{self._where} has not answered an earlier request")
        done: Future[Result] = Future()

        def run() -> None:
            try:
                result, failed = work(), None
            except Exception as error:
                result, failed = None, error
            finally:
                self._busy.release()
            with suppress(InvalidStateError):  # the caller was cancelled
                done.set_exception(failed) if failed is not None else done.set_result(result)  # type: ignore[arg-type]

        try:
            threading.Thread(target=run, name="meshd-token", daemon=True).start()
        except RuntimeError as error:
            self._busy.release()
            raise NoToken(f"no thread for {self._where}: {error}") from None
        return await asyncio.wrap_future(done)
