"""First tokens, and a thousand streams at once."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time

import psutil

from tests.bench.tools import places
from tests.bench.tools.figures import Figure, p50, percentile
from tests.bench.tools.paced import CHUNKS
from tests.bench.traffic.requests import drive
from tests.support.network.ports import free_port

STREAMS = 1000
MESSAGES = [{"role": "user", "content": "Hello"}]


def first_token() -> list[Figure]:
    """Until the first chunk with content, of a stream that nginx sends at once."""
    import openai

    import modelmesh

    with places.nginx() as upstream, places.daemon(places.configuration({"chat": upstream.stream_url})) as daemon:
        mesh = modelmesh.OpenAIClient(daemon.socket)
        direct = openai.OpenAI(base_url=upstream.stream_url, api_key="none")

        def first(client: object, model: str) -> float:
            began = time.perf_counter()
            taken = 0.0
            for chunk in client.chat.completions.create(model=model, messages=MESSAGES, stream=True):
                if not taken and chunk.choices and chunk.choices[0].delta.content:
                    taken = time.perf_counter() - began
            return taken

        def median(client: object, model: str) -> float:
            p50(lambda: first(client, model), 1, 50)
            return statistics.median(first(client, model) for _ in range(400))

        through, straight = zip(*[(median(mesh, "chat"), median(direct, "m1")) for _ in range(5)], strict=True)
        mesh.close()
    a, b = statistics.median(through) * 1e3, statistics.median(straight) * 1e3
    detail = f"{a:.3f} ms through the mesh, {b:.3f} ms by the OpenAI SDK"
    return [Figure("first token p50 − OpenAI SDK direct", a - b, 0.5, "ms", detail=detail)]


def chunks() -> list[Figure]:
    """Long streams that come as fast as the daemon takes them, eight at a time."""
    streams = 48
    with places.nginx() as upstream, places.daemon(places.configuration({"chat": upstream.long_url})) as daemon:
        process = psutil.Process(daemon.pid)

        def used() -> float:
            return sum(process.cpu_times()[:2])

        drive(daemon.socket, 8, in_flight=8, stream=True, credit=places.LONG + 1)
        before, began = used(), time.perf_counter()
        drive(daemon.socket, streams, in_flight=8, stream=True, credit=places.LONG + 1)
        cost, taken = used() - before, time.perf_counter() - began
    count = (streams + 8) * places.LONG
    detail = f"{count / taken:,.0f} chunks/s through one daemon to one client"
    return [Figure("streams: processor time of the daemon for a chunk", cost / count * 1e6, 8, "µs", detail=detail)]


def thousand_streams() -> list[Figure]:
    """Each chunk carries when its upstream sent it: how much later does the app have it, and are all there?"""
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    with places.process(sys.executable, "-m", "tests.bench.tools.paced", str(port)):
        places.wait_for(lambda: places.answers(port), "the paced upstream")
        with places.daemon(_config(url)) as daemon:
            direct = asyncio.run(_all(lambda: _direct(url)))
            through = asyncio.run(_all(lambda: _mesh(daemon.socket)))
    held = percentile(through.delays, 0.99) * 1e3
    straight = percentile(direct.delays, 0.99) * 1e3
    detail = f"p99 {held:.1f} ms through the mesh, {straight:.1f} ms by aiohttp direct; {through.chunks} chunks"
    return [
        Figure("1,000 streams: chunks lost or reordered", through.wrong, 0, "", detail=f"of {STREAMS * CHUNKS}"),
        Figure("1,000 streams: p99 of a chunk's delay", held, 50, "ms", detail=detail),
    ]


def _config(url: str) -> str:
    config = json.loads(places.configuration({"chat": url}))
    config["providers"]["chat"]["connection_pool"] = {"max_connections": STREAMS + 10}
    return json.dumps(config)


class _Seen:
    def __init__(self) -> None:
        self.delays: list[float] = []
        self.chunks = 0
        self.wrong = 0

    def stream(self, received: list[tuple[int, float]]) -> None:
        self.chunks += len(received)
        self.wrong += abs(CHUNKS - len(received)) + sum(number != place for place, (number, _) in enumerate(received))
        self.delays += [delay for _, delay in received]


async def _all(open_all: object) -> _Seen:
    seen = _Seen()
    for received in await open_all():
        seen.stream(received)
    return seen


def _read(content: str) -> tuple[int, float]:
    number, _, sent = content.partition(" ")
    return int(number), time.time() - float(sent)


async def _mesh(path: str) -> list[list[tuple[int, float]]]:
    import modelmesh

    async with modelmesh.AsyncOpenAIClient(path) as client:

        async def one() -> list[tuple[int, float]]:
            stream = await client.chat.completions.create(model="chat", messages=MESSAGES, stream=True)
            return [
                _read(chunk.choices[0].delta.content)
                async for chunk in stream
                if chunk.choices and chunk.choices[0].delta.content
            ]

        return list(await asyncio.gather(*(one() for _ in range(STREAMS))))


async def _direct(url: str) -> list[list[tuple[int, float]]]:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one() -> list[tuple[int, float]]:
            received = []
            async with session.post(f"{url}/chat/completions", json={"model": "m1", "stream": True}) as reply:
                async for line in reply.content:
                    if line.startswith(b"data: {"):
                        delta = json.loads(line[6:])["choices"][0]["delta"]
                        if delta.get("content"):
                            received.append(_read(delta["content"]))
            return received

        return list(await asyncio.gather(*(one() for _ in range(STREAMS))))
