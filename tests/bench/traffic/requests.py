"""Round trips, first replies and throughput of unary requests, beside the OpenAI SDK and httpx."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time

from tests.bench.tools import places
from tests.bench.tools.figures import Figure

MESSAGES = [{"role": "user", "content": "Hello"}]
IN_FLIGHT = 64


def round_trip() -> list[Figure]:
    """Sequential calls, alternating in blocks so that both see the same machine; by a client that spins before it
    sleeps, and by one that does not."""
    figures = []
    with places.nginx() as upstream, places.daemon(places.configuration({"chat": upstream.url})) as daemon:
        for how in ("spinning", "asleep"):
            command = (sys.executable, "-m", "tests.bench.tools.asking", how, daemon.socket, upstream.url)
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            a, b = (float(each) for each in said.split())
            detail = f"{a * 1e3:.3f} ms through the mesh, {b * 1e3:.3f} ms by the OpenAI SDK"
            beside = "" if how == "spinning" else ", without spinning"
            figures.append(Figure(f"round trip p50 / OpenAI SDK direct{beside}", a / b, 0.45, detail=detail))
    return figures


_FIRST_MESH = """
import modelmesh
client = modelmesh.OpenAIClient({socket!r})
reply = client.chat.completions.create(model="chat", messages=[{{"role": "user", "content": "Hello"}}])
reply.choices[0].message.content
"""
_FIRST_DIRECT = """
import openai
client = openai.OpenAI(base_url={url!r}, api_key="none")
reply = client.chat.completions.create(model="m1", messages=[{{"role": "user", "content": "Hello"}}])
reply.choices[0].message.content
"""


def first_reply() -> list[Figure]:
    """Import and one reply, timed inside a fresh process."""

    def once(script: str) -> float:
        timed = f"import time; began = time.perf_counter()\n{script}\nprint(time.perf_counter() - began)"
        return float(subprocess.run([sys.executable, "-c", timed], check=True, capture_output=True).stdout)

    with places.nginx() as upstream, places.daemon(places.configuration({"chat": upstream.url})) as daemon:
        scripts = _FIRST_MESH.format(socket=daemon.socket), _FIRST_DIRECT.format(url=upstream.url)
        for script in scripts:
            once(script)
        through, straight = zip(*[(once(scripts[0]), once(scripts[1])) for _ in range(9)], strict=True)
    a, b = statistics.median(through), statistics.median(straight)
    detail = f"{a * 1e3:.0f} ms through the mesh, {b * 1e3:.0f} ms by the OpenAI SDK"
    return [Figure("import + first reply / OpenAI SDK", a / b, 0.2, detail=detail)]


def throughput() -> list[Figure]:
    """One daemon with 64 in flight, driven by bare frames so that the driver costs little; and stock httpx."""
    import uvloop

    with places.nginx() as upstream, places.daemon(places.configuration({"chat": upstream.url})) as daemon:
        through, straight = [], []
        for _ in range(3):
            through.append(drive(daemon.socket, 12_000))
            straight.append(uvloop.run(_httpx(upstream.url, 1_920)))
    a, b = statistics.median(through), statistics.median(straight)
    detail = f"{a:,.0f} requests/s through one daemon, {b:,.0f}/s by httpx.AsyncClient"
    return [Figure("throughput at 64 in flight / httpx direct", a / b, 9, at_least=True, detail=detail)]


def drive(path: str, count: int, in_flight: int = IN_FLIGHT, stream: bool = False, credit: int = 0) -> float:
    """Requests a second, so many at a time. credit: chunks of a stream that may be outstanding, 0: the default. Raises
    RuntimeError for any end but an answer's."""
    import zmq

    from modelmesh import protocol as wire

    body = b'{"model":"chat","messages":[{"role":"user","content":"Hello"}]%s}' % (b',"stream":true' if stream else b"")
    head = wire.RequestHead(path="/v1/chat/completions", stream=stream, credit=credit)
    last = wire.END if stream else wire.RESPONSE
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.connect(f"ipc://{path}")

        def send() -> None:
            socket.send_multipart(wire.encode(wire.REQUEST, wire.new_request_id(), head, body))

        def end() -> None:
            while (frames := socket.recv_multipart())[0] != last:
                if frames[0] != wire.CHUNK:
                    raise RuntimeError(f"not an answer: {frames}")

        for _ in range(in_flight):
            send()
        began = time.perf_counter()
        for _ in range(count):
            end()
            send()
        taken = time.perf_counter() - began
        for _ in range(in_flight):
            end()
        return count / taken


async def _httpx(url: str, count: int) -> float:
    import httpx

    async with httpx.AsyncClient() as client:

        async def worker(times: int) -> None:
            for _ in range(times):
                reply = await client.post(f"{url}/chat/completions", json={"model": "m1", "messages": MESSAGES})
                reply.json()

        await asyncio.gather(*(worker(5) for _ in range(IN_FLIGHT)))
        began = time.perf_counter()
        await asyncio.gather(*(worker(count // IN_FLIGHT) for _ in range(IN_FLIGHT)))
        return count / (time.perf_counter() - began)
