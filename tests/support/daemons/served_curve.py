"""The socket's server alone, at an address of CURVE."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from meshd.config.mesh_config import MeshConfig
from tests.support.apps.curve.curve_client import CurveClient
from tests.support.apps.curve.curve_peer import pair
from tests.support.daemons.served import Served, served_in

SERVER, SERVER_SECRET = pair()
LAPTOP, LAPTOP_SECRET = pair()
BENCH, BENCH_SECRET = pair()


def curve_config(*addresses: str, **clients: str) -> MeshConfig:
    """clients: app=public key."""
    allowed = [{"app": app, "key": key} for app, key in clients.items()]
    curve = {"secret_key": SERVER_SECRET, "allowed_clients": allowed}
    return MeshConfig({"daemon": {"listen": list(addresses), "curve": curve}})


def curve_served_in(directory: Path, limit: int = 1024**2, **options: Any) -> Callable[[Any], None]:
    """As `served_in`, with the address of CURVE. The keys of LAPTOP and BENCH are admitted."""

    def run(test: Callable[[Served, str], Awaitable[None]]) -> None:
        async def at_curve(served: Served, address: str) -> None:
            served.allow_in_flight(64)
            served.server.use(curve_config("tcp://127.0.0.1:*", laptop=LAPTOP, bench=BENCH))
            await test(served, served.server.further.addresses[0])

        served_in(directory, limit, **options)(at_curve)

    return run


async def dial(address: str, secret: str = LAPTOP_SECRET) -> CurveClient:
    return await CurveClient.dial(address, SERVER, secret)
