"""Streams over HTTP: first tokens while many other streams are held, and chunks as fast as they come."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

from tests.bench.tools import places
from tests.bench.tools.figures import Figure, percentile
from tests.support.network.ports import free_port

HELD = 512
INTERVAL = 0.05  # s: 20 chunks/s a stream
LASTING = 30.0  # s of each stream
PROBES = 500
LONG_STREAMS = 24
AT_ONCE = 8


def held_streams() -> list[Figure]:
    """The time to a first token, through the daemon and at the upstream itself, while 512 streams come through."""
    import uvloop

    paced, port = free_port(), free_port()
    chunks = int(LASTING / INTERVAL)
    command = (sys.executable, "-m", "tests.bench.tools.paced", str(paced), str(INTERVAL), str(chunks))
    with places.nginx() as upstream, places.process(*command):
        places.wait_for(lambda: places.answers(paced), "the paced upstream")
        providers = {"held": f"http://127.0.0.1:{paced}/v1", "chat": upstream.stream_url}
        with places.daemon(_config(providers, port)):
            through, direct, came = uvloop.run(_first_tokens(port, upstream.stream_url))
    added = {part: (percentile(through, part) - percentile(direct, part)) * 1e3 for part in (0.5, 0.99)}
    detail = f"p50 {added[0.5]:.2f} ms; {came:,.0f} chunks/s came at the same time, of {HELD / INTERVAL:,.0f}"
    return [Figure(f"HTTP: added first token p99, {HELD} streams held", added[0.99], 5, "ms", detail=detail)]


def chunks() -> list[Figure]:
    """Long streams as fast as they come, read by aiohttp through the daemon and at the upstream itself."""
    import uvloop

    port = free_port()
    with places.nginx() as upstream, places.daemon(_config({"chat": upstream.long_url}, port)):
        through = f"http://127.0.0.1:{port}/v1"
        rates = [uvloop.run(_rate(url, model)) for url, model in _alternately(through, upstream.long_url)]
    ours, direct = sorted(rates[::2])[1], sorted(rates[1::2])[1]
    detail = f"{ours:,.0f} chunks/s through one daemon, {direct:,.0f}/s from nginx itself"
    return [Figure("HTTP: chunks a second / aiohttp direct", ours / direct, 0.25, "×", at_least=True, detail=detail)]


def _alternately(through: str, direct: str) -> list[tuple[str, str]]:
    return [(through, "chat"), (direct, "m1")] * 3


def _config(providers: dict[str, str], port: int) -> str:
    config = json.loads(places.configuration(providers))
    for provider in config["providers"].values():
        provider["connection_pool"] = {"max_connections": HELD + 10}
    return json.dumps({**config, "proxy": {"enabled": True, "port": port}})


def _head(port: int, model: str, path: str = "/v1/chat/completions") -> bytes:
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "Hello"}]}).encode()
    fields = f"Host: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return f"POST {path} HTTP/1.1\r\n{fields}".encode() + body


class _Held(asyncio.Protocol):
    """A stream of which only the chunks are counted."""

    def __init__(self, count: Callable[[int], None]) -> None:
        self._count = count

    def data_received(self, data: bytes) -> None:
        self._count(data.count(b"data: {"))


async def _first_tokens(port: int, direct: str) -> tuple[list[float], list[float], float]:
    """Seconds to each first token through the daemon and at the upstream, and the chunks that came a second."""
    loop, came, all_came = asyncio.get_running_loop(), 0, asyncio.Event()

    def count(chunks: int) -> None:
        nonlocal came
        came += chunks
        if came >= HELD:
            all_came.set()

    held = []
    for _ in range(HELD):
        transport, _ = await loop.create_connection(lambda: _Held(count), "127.0.0.1", port)
        transport.write(_head(port, "held"))
        held.append(transport)
    await asyncio.wait_for(all_came.wait(), 20)
    upstream = int(direct.partition("://")[2].partition("/")[0].partition(":")[2])
    path = f"/{direct.partition('://')[2].partition('/')[2]}/chat/completions"
    through, straight = [], []
    came, began = 0, loop.time()
    for _ in range(PROBES):
        through.append(await _first(port, _head(port, "chat")))
        straight.append(await _first(upstream, _head(upstream, "m1", path)))
        await asyncio.sleep(0.01)
    rate = came / (loop.time() - began)
    for transport in held:
        transport.abort()
    return through, straight, rate


async def _first(port: int, request: bytes) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.perf_counter()
    writer.write(request)
    await reader.readuntil(b'"content":')
    taken = time.perf_counter() - began
    writer.transport.abort()
    return taken


async def _rate(url: str, model: str) -> float:
    """Chunks a second, read line by line as an app does."""
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def several(count: int) -> int:
            return sum([await one() for _ in range(count)])

        async def one() -> int:
            asked = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
            seen = 0
            async with session.post(f"{url}/chat/completions", json=asked) as reply:
                async for line in reply.content:
                    seen += line.startswith(b"data: {")
            return seen

        async def all_at_once() -> int:
            running: list[Awaitable[int]] = [several(LONG_STREAMS // AT_ONCE) for _ in range(AT_ONCE)]
            return sum(await asyncio.gather(*running))

        await one()
        began = time.perf_counter()
        count = await all_at_once()
        return count / (time.perf_counter() - began)
