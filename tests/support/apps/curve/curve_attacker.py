"""Clients of CURVE on another machine who mean harm: they begin handshakes again and again, or send long messages.

`CurveAttacker(machine, address, server, known, "curve-hellos")` starts them; they run until it is closed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.support.apps.curve.curve_client import CurveClient
from tests.support.apps.curve.curve_peer import on_the_wire, pair
from tests.support.apps.other_users.attacker import Attacker

ROOT = Path(__file__).parents[4]
_MIB = 1024**2


async def _says_hello(client: CurveClient) -> None:
    """And nothing more, until the daemon has had enough."""
    await client.welcome()
    await client.ended()


async def _says_something_else(client: CurveClient) -> None:
    """What looks like a HELLO, and cannot be opened: one multiplication."""
    await client.greet()
    client.send(on_the_wire(client.curve.hello()[:-1] + b"x", 4))
    await client.ended()


async def _shakes_hands(client: CurveClient) -> None:
    """All of it, and leaves."""
    await client.join()


async def _sends_much(client: CurveClient) -> None:
    await client.join()
    while True:
        client.request(bytes(_MIB - 1000), path="/v1/nothing")
        await client.next()


CURVE_FLOODS: dict[str, tuple[Callable[[CurveClient], Awaitable[None]], bool, int]] = {
    "curve-hellos": (_says_hello, False, 2000),
    "curve-garbage": (_says_something_else, False, 256),
    "curve-strangers": (_shakes_hands, False, 256),
    "curve-known": (_shakes_hands, True, 256),
    "curve-large-bodies": (_sends_much, True, 16),
}
"""What each connection does, whether with the key that is admitted, and how many there are at a time."""


class CurveAttacker(Attacker):
    """known: the secret key that is admitted, in Z85."""

    def __init__(
        self, inside: list[str], sources: list[str], address: str, server: str, known: str, flood: str
    ) -> None:
        self.attack = flood
        self.told = {}
        self.process = subprocess.Popen(
            ["nice", "-n", "10", *inside, sys.executable, "-m", __name__, address, server, known, flood, *sources],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip


async def _attack(
    acts: Callable[[CurveClient], Awaitable[None]],
    connections: int,
    address: str,
    server: str,
    secret: str,
    sources: list[str],
) -> Counter[str]:
    counted: Counter[str] = Counter()

    async def one() -> None:
        while True:
            try:
                client = await CurveClient.dial(address, server, secret, random.choice(sources))
            except OSError:
                counted["refused"] += 1
                await asyncio.sleep(0.01)
                continue
            counted["connections"] += 1
            try:
                await acts(client)
                counted["done"] += 1
            except (OSError, EOFError, TimeoutError, AssertionError):  # the last one: it is refused
                counted["closed"] += 1
            finally:
                client.close()

    floods = [asyncio.create_task(one()) for _ in range(connections)]
    while counted["connections"] + counted["refused"] < min(connections, 64):  # noqa: ASYNC110 - others count
        await asyncio.sleep(0.01)
    print("begun", flush=True)
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), over.set)  # it is closed
    await over.wait()
    for each in floods:
        each.cancel()
    return counted


def _main() -> None:
    address, server, known, flood, *sources = sys.argv[1:]
    acts, with_known, connections = CURVE_FLOODS[flood]
    secret = known if with_known else pair()[1]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.setgroups([])
    os.setgid(12345)
    os.setuid(12345)
    print("\n" + json.dumps(asyncio.run(_attack(acts, connections, address, server, secret, sources))), flush=True)


if __name__ == "__main__":
    _main()
