"""An upstream for `streams.py`: each stream gets numbered, timed chunks. `python -m … PORT [SECONDS CHUNKS]`"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from functools import partial

import uvloop
from aiohttp import web

from tests.bench.streams import CHUNKS, INTERVAL


def event(delta: str, finish: str = "null") -> bytes:
    choice = f'{{"index":0,"delta":{delta},"finish_reason":{finish}}}'
    head = '"id":"c","object":"chat.completion.chunk","created":1,"model":"m1"'
    return f'data: {{{head},"choices":[{choice}]}}\n\n'.encode()


async def answer(request: web.Request, interval: float, chunks: int) -> web.StreamResponse:
    await request.read()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await asyncio.sleep(random.random() * interval)  # not all at the same instant
    for number in range(chunks):
        await response.write(event(f'{{"content":"{number} {time.time():.6f}"}}'))
        await asyncio.sleep(interval)
    await response.write(event("{}", '"stop"') + b"data: [DONE]\n\n")
    return response


async def main(port: int, interval: float = INTERVAL, chunks: int = CHUNKS) -> None:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", partial(answer, interval=interval, chunks=chunks))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    port, *pace = sys.argv[1:]
    uvloop.run(main(int(port), *(each(given) for each, given in zip((float, int), pace, strict=False))))
