"""What the HTTP listener costs: throughput, and the latency added at a steady rate, beside the upstream itself."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping

import psutil

from tests.bench.tools import places
from tests.bench.tools.figures import Figure, percentile
from tests.support.network.ports import free_port

RATE = 1000  # requests a second
IN_FLIGHT = 64
WARM = 30_000
MORE = 60_000
"""Requests before and while memory is measured: what is remembered of the last 20,000 has its size by then."""
LEAST = 3000
"""Requests a second at 64 in flight: the socket's own throughput, less what HTTP costs a client."""


def listening(url: str, port: int) -> str:
    """The configuration of a daemon that listens there and asks the upstream at `url`."""
    config = json.loads(places.configuration({"chat": url}))
    return json.dumps({**config, "proxy": {"enabled": True, "port": port}})


def over_http() -> list[Figure]:
    import uvloop

    port = free_port()
    with places.nginx() as upstream, places.daemon(listening(upstream.url, port)) as daemon:
        straight = int(upstream.url.partition("://")[2].partition("/")[0].partition(":")[2])
        process = psutil.Process(daemon.pid)
        uvloop.run(throughput(port, WARM))
        before = process.memory_info().rss
        rates = sorted(uvloop.run(throughput(port, MORE // 3)) for _ in range(3))
        grown = (process.memory_info().rss - before) / 1e6
        direct = uvloop.run(steady(straight, RATE, 10.0))
        through = uvloop.run(steady(port, RATE, 10.0))
    added = {part: (percentile(through, part) - percentile(direct, part)) * 1e3 for part in (0.5, 0.99)}
    detail = f"p50 {added[0.5]:.2f} ms; at 1,000 requests/s, by bare connections"
    return [
        Figure("HTTP: throughput at 64 in flight", rates[1], LEAST, "requests/s", at_least=True),
        Figure("HTTP: added latency p99", added[0.99], 1.5, "ms", detail=detail),
        Figure("HTTP: memory that load leaves", grown, 4, "MB", detail=f"{MORE:,} requests, after {WARM:,}"),
    ]


def _request(port: int, headers: Mapping[str, str]) -> bytes:
    body = b'{"model":"chat","messages":[{"role":"user","content":"Hello"}]}'
    fields = {
        "Host": f"127.0.0.1:{port}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **headers,
    }
    lines = ["POST /v1/chat/completions HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join((*lines, "", "")).encode() + body


class _Line:
    """One connection, kept alive."""

    def __init__(self, port: int, headers: Mapping[str, str] | None = None) -> None:
        self._port, self._request = port, _request(port, headers or {})
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> None:
        """Raises RuntimeError for anything but a 200."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"not an answer: {head.decode()}")
        length = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        if length:
            await reader.readexactly(int(length))
        else:
            await reader.readuntil(b"0\r\n\r\n")  # in chunks

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def throughput(port: int, count: int, headers: Mapping[str, str] | None = None) -> float:
    """Requests a second, 64 at a time."""
    lines = [_Line(port, headers) for _ in range(IN_FLIGHT)]

    async def several(line: _Line, times: int) -> None:
        for _ in range(times):
            await line.ask()

    await asyncio.gather(*(several(line, 1) for line in lines))
    began = time.perf_counter()
    await asyncio.gather(*(several(line, count // IN_FLIGHT) for line in lines))
    taken = time.perf_counter() - began
    for line in lines:
        line.close()
    return count // IN_FLIGHT * IN_FLIGHT / taken


async def steady(port: int, rate: int, seconds: float) -> list[float]:
    """Seconds that each request took from when it was due, so that waiting for a free connection counts too. A thread
    keeps the time, because the loop's timers have a resolution of 1 ms, and would send several at once."""
    free: list[_Line] = []
    lines: list[_Line] = []
    taken: list[float] = []

    async def one(due: float) -> None:
        if not free:
            lines.append(_Line(port))
            free.append(lines[-1])
        line = free.pop()
        await line.ask()
        free.append(line)
        taken.append(time.perf_counter() - due)

    loop, all_due = asyncio.get_running_loop(), asyncio.Event()

    def keep_time() -> None:
        began = time.perf_counter()
        for number in range(int(rate * seconds)):
            due = began + number / rate
            time.sleep(max(due - time.perf_counter(), 0))
            loop.call_soon_threadsafe(lambda due=due: tasks.create_task(one(due)))
        loop.call_soon_threadsafe(all_due.set)

    async with asyncio.TaskGroup() as tasks:
        threading.Thread(target=keep_time, daemon=True).start()
        await all_due.wait()
    for line in lines:
        line.close()
    return taken
