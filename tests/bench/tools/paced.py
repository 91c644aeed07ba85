"""An upstream for streams: each gets numbered, timed chunks. `python -m … PORT [SECONDS CHUNKS]`

It writes bare bytes, so that it takes less of the machine than what it measures.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from typing import cast

import uvloop

CHUNKS = 25
INTERVAL = 0.2  # s: 5 chunks/s a stream
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _event(delta: str, finish: str = "null") -> bytes:
    choice = f'{{"index":0,"delta":{delta},"finish_reason":{finish}}}'
    head = '"id":"c","object":"chat.completion.chunk","created":1,"model":"m1"'
    return f'data: {{{head},"choices":[{choice}]}}\n\n'.encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_LAST = _chunk(_event("{}", '"stop"') + b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Stream(asyncio.Protocol):
    """One connection: a request, then its stream."""

    def __init__(self, interval: float, chunks: int) -> None:
        self._interval, self._chunks = interval, chunks
        self._request = b""
        self._sent = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        self._request += data
        head, ended, body = self._request.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
        if not ended or len(body) < length:
            return
        self._request, self._sent = b"", 0
        self._transport.write(_HEAD)
        delay = random.random() * self._interval  # not all at the same instant
        asyncio.get_running_loop().call_later(delay, self._send)

    def _send(self) -> None:
        if self._transport.is_closing():
            return
        if self._sent == self._chunks:
            self._transport.write(_LAST)
            return
        self._transport.write(_chunk(_event(f'{{"content":"{self._sent} {time.time():.6f}"}}')))
        self._sent += 1
        asyncio.get_running_loop().call_later(self._interval, self._send)


async def main(port: int, interval: float = INTERVAL, chunks: int = CHUNKS) -> None:
    await asyncio.get_running_loop().create_server(lambda: Stream(interval, chunks), "127.0.0.1", port, backlog=2048)
    await asyncio.Event().wait()


if __name__ == "__main__":
    port, *pace = sys.argv[1:]
    uvloop.run(main(int(port), *(each(given) for each, given in zip((float, int), pace, strict=False))))
