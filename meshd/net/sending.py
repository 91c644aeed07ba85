"""A request's body that is sent while it still comes.

Owns: its pace. Must never: hold more than a piece of it.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from meshd.host.awake import Timeout
from meshd.net.answers import Answer
from meshd.net.failures import TransportError


class Source(Protocol):
    """length: bytes, None if it is not known."""

    length: int | None

    async def read(self) -> bytes:
        """What has come, at least a byte; b"" at the end."""


async def send(answer: Answer, source: Source, timeout: float) -> None:
    """All of it, as fast as the server takes it. What goes wrong is the answer's error. timeout: seconds in which the
    server has to take something, and to begin its answer after the last of it."""
    try:
        while data := await source.read():
            with Timeout(timeout):
                await answer.write(data)
        await answer.finish()
        await asyncio.sleep(timeout)
        if not answer.begun:
            raise TimeoutError
    except TransportError:
        return  # the connection has ended, which its answer is told
    except Exception as error:
        answer.fail(error)
