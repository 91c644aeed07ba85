"""A request's body that is sent while it is still arriving.

Owns: its pace. Must never: hold more than a piece of it.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from meshd.host.awake import Timeout
from meshd.net.answers import Answer
from meshd.net.failures import TransportError


class Source(Protocol):
    """length: bytes, None if unknown."""

    length: int | None

    async def read(self) -> bytes:
        """The bytes that have arrived, at least one; b"" at the end."""


async def send(answer: Answer, source: Source, timeout: float) -> None:
    """Send all of it, as fast as the server takes it. A failure becomes the answer's error. timeout: seconds within
    which the server has to take some of it, and to begin its answer after the end."""
    try:
        while data := await source.read():
            with Timeout(timeout):
                await answer.write(data)
        await answer.finish()
        await asyncio.sleep(timeout)
        if not answer.begun:
            raise TimeoutError
    except TransportError:
        return  # the connection has ended, and its answer knows
    except Exception as error:
        answer.fail(error)
