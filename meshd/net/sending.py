"""A request's body that is sent while it still comes.

Owns: its framing, and its pace. Must never: hold more than a piece of it.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from meshd.host.awake import Timeout
from meshd.net.failures import TransportError
from meshd.net.http1 import Answer, HttpConnection


class Source(Protocol):
    """length: bytes, None if it is not known."""

    length: int | None

    async def read(self) -> bytes:
        """What has come, at least a byte; b"" at the end."""


def framing(source: Source) -> bytes:
    """What ends the head of the request."""
    if source.length is None:
        return b"Transfer-Encoding: chunked\r\n\r\n"
    return b"Content-Length: %d\r\n\r\n" % source.length


async def send(connection: HttpConnection, answer: Answer, source: Source, timeout: float) -> None:
    """All of it, as fast as the server takes it. What goes wrong is the answer's error. timeout: seconds in which the
    server has to take something, and to begin its answer after the last of it."""
    connection.sending = True
    try:
        while data := await source.read():
            piece = data if source.length is not None else b"%x\r\n%b\r\n" % (len(data), data)
            with Timeout(timeout):
                await connection.write(piece)
        connection.sending = False
        if source.length is None:
            await connection.write(b"0\r\n\r\n")
        await asyncio.sleep(timeout)
        if not answer.begun:
            raise TimeoutError
    except TransportError:
        return  # the connection has ended, which its answer is told
    except Exception as error:
        answer.fail(error)
