"""The socket's server alone, without a daemon around it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from meshd.core.caller import Caller
from meshd.gateway.frontends.admission import STRANGERS_MESSAGE, Admission, Limits, Rights
from meshd.gateway.frontends.exchange import Request
from meshd.gateway.frontends.ipc.connections import Connection
from meshd.gateway.frontends.ipc.server import IpcServer
from meshd.gateway.frontends.shares.connection_places import ConnectionPlaces
from meshd.gateway.frontends.shares.room import Room


class Served:
    """An IpcServer that answers nothing by itself. limit: of a message's size, in bytes. room, places: for bytes and
    connections."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: str,
        limit: int,
        room: Room | None = None,
        places: ConnectionPlaces | None = None,
        **options: Any,
    ) -> None:
        self.accepted: list[Request] = []
        self.operators = {os.getuid()}
        self.events: list[tuple[str, str, int]] = []
        limits = Limits(60.0, limit, 3)
        self.admission = Admission(self.accept, ("/v1/chat/completions",), limits, self.rights, room, places)
        self.server = IpcServer(
            self.admission,
            on_event=lambda type, reason, caller: self.events.append((type, reason, caller.pid)),
            **options,
        )
        self.admission.open(loop)
        self.server.open(loop)
        self.server.bind(address)

    def accept(self, exchange: Request) -> None:
        exchange.begun = True
        exchange.task = asyncio.ensure_future(asyncio.Event().wait())
        self.accepted.append(exchange)

    def rights(self, caller: Caller) -> Rights:
        operator, limit = caller.uid in self.operators, self.admission.limits.max_message_size
        return Rights(operator, limit if operator else min(limit, STRANGERS_MESSAGE))

    def allow(self, message_size: int) -> None:
        """Another `max_message_size`, as by a reload."""
        self.admission.use(replace(self.admission.limits, max_message_size=message_size))

    def allow_in_flight(self, requests: int) -> None:
        self.admission.use(replace(self.admission.limits, max_inflight=requests))

    @property
    def connections(self) -> list[Connection]:
        return [each for each in self.server.connections.known if each.greeted]

    @property
    def lost(self) -> list[str]:
        """Why clients were given up, in order."""
        return [reason for type, reason, _ in self.events if type == "client_lost"]


def served_in(directory: Path, limit: int = 1024**2, **options: Any) -> Callable[[Any], None]:
    """Runs a coroutine function with a Served and the address it is at, on uvloop as the router does."""

    def run(test: Callable[[Served, str], Awaitable[None]]) -> None:
        async def main() -> None:
            address = f"ipc://{directory}/s"
            served = Served(asyncio.get_running_loop(), address, limit, **options)
            try:
                await test(served, address)
            finally:
                served.server.close()

        uvloop.run(main())

    return run


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in libzmq
            await asyncio.sleep(0.002)
