"""Calls of libraries that block, each in a thread of its own.

Owns: one thread at a time for each owner, and that libraries log nothing. Must never: keep the daemon from ending.
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
    """Libraries log what a server said, which may repeat a secret. Their exceptions say the same, and are masked."""
    for name in loggers:
        logging.getLogger(name).setLevel(logging.CRITICAL)


class OwnThread:
    """A call that takes too long keeps its thread until it ends; until then there is no other."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._busy = threading.Lock()

    async def run(self, work: Callable[[], Result]) -> Result:
        """Raises what it raises, and NoToken."""
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
