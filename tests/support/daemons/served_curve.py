"""The socket's server alone, at an address of CURVE."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from meshd.config.schema import DaemonConfig
from tests.support.apps.curve_client import CurveClient
from tests.support.apps.curve_peer import pair
from tests.support.daemons.served import Served, served_in

SERVER, SERVER_SECRET = pair()
LAPTOP, LAPTOP_SECRET = pair()
BENCH, BENCH_SECRET = pair()
CONFIG = DaemonConfig.model_validate({"listen": ["tcp://127.0.0.1:*"], "curve": {"secret_key": SERVER_SECRET}})
"""What `served.server.use` was given."""


def curve_served_in(directory: Path, limit: int = 1024**2, **options: Any) -> Callable[[Any], None]:
    """As `served_in`, with the address of CURVE. The keys of LAPTOP and BENCH are admitted."""

    def run(test: Callable[[Served, str], Awaitable[None]]) -> None:
        async def at_curve(served: Served, address: str) -> None:
            served.allow_in_flight(64)
            served.server.use(CONFIG, {LAPTOP: "laptop", BENCH: "bench"})
            await test(served, served.server.further.addresses[0])

        served_in(directory, limit, **options)(at_curve)

    return run


async def dial(address: str, secret: str = LAPTOP_SECRET) -> CurveClient:
    return await CurveClient.dial(address, SERVER, secret)
