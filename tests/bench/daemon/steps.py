"""What the daemon does for a request and for nothing: counted, or as a ratio of processor time. No other load on the
machine changes the counts, so that they show a regression that times would hide.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from tests.bench.tools import places
from tests.bench.tools.counting import FILE, Steps, counted
from tests.bench.tools.figures import Figure
from tests.bench.traffic.requests import drive

_FEW, _MANY = 100, 400  # what differs between the two is requests alone
_CHUNKS = 3


def steps() -> list[Figure]:
    """Function calls and bytecodes of the router's thread, beside those of aiohttp asking the same by itself."""
    with places.nginx() as upstream:
        direct = _direct(f"{upstream.url}/chat/completions")
        unary, stream = _through(upstream.url, stream=False), _through(upstream.stream_url, stream=True)
    rows = [("a unary request", unary, 4.0, 6.0), (f"a stream of {_CHUNKS} chunks", stream, 5.0, 8.0)]
    figures = []
    for what, taken, most_calls, most_bytecodes in rows:
        for name, count, base, most in (
            ("function calls", taken.calls, direct.calls, most_calls),
            ("bytecodes", taken.bytecodes, direct.bytecodes, most_bytecodes),
        ):
            detail = f"{count:,} in the router, {base:,} by aiohttp.ClientSession"
            figures.append(Figure(f"{name}, {what} / aiohttp direct", count / base, most, detail=detail))
    return figures


def idle() -> list[Figure]:
    """The share of a processor that the daemon takes without requests."""
    with places.nginx() as upstream, places.daemon(places.configuration({"chat": upstream.url})) as daemon:
        drive(daemon.socket, 500)
        time.sleep(12)  # counters and sums are saved now and then, and after that all is quiet
        began = _cpu(daemon.pid)
        time.sleep(10)
        rest = (_cpu(daemon.pid) - began) / 10
    detail = f"{rest * 1e3:.2f} ms of processor time a second"
    return [Figure("idle: processor time / time", rest * 100, 0.2, "%", detail=detail)]


def _through(url: str, *, stream: bool) -> Steps:
    few, many = (_counted(url, stream, count) for count in (_FEW, _MANY))
    more = _MANY - _FEW
    return Steps((many.calls - few.calls) // more, (many.bytecodes - few.bytecodes) // more)


def _counted(url: str, stream: bool, count: int) -> Steps:
    """Of a whole life of the router, with so many requests one after the other."""
    with tempfile.TemporaryDirectory() as place:
        counts = Path(place, "counts.json")
        config = places.configuration({"chat": url})
        with places.daemon(config, "tests.bench.tools.counting", {FILE: str(counts)}) as daemon:
            drive(daemon.socket, count, in_flight=1, stream=stream)
        return Steps(**json.loads(counts.read_text()))


def _direct(url: str) -> Steps:
    import aiohttp
    import uvloop

    body = b'{"model":"m1","messages":[{"role":"user","content":"Hello"}]}'

    async def ask() -> Steps:
        async with aiohttp.ClientSession() as session:

            async def once() -> None:
                async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as reply:
                    json.loads(await reply.read())

            await once()
            with counted() as steps:
                for _ in range(_FEW):
                    await once()
        return Steps(steps.calls // _FEW, steps.bytecodes // _FEW)

    return uvloop.run(ask())


def _cpu(pid: int) -> float:
    """Seconds of processor time of all its threads."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
