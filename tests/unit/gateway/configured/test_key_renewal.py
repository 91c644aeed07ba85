"""Whether there is another key: who joins a question that was asked sooner does not get an answer that is too old."""

from __future__ import annotations

import asyncio
from typing import Any

from meshd import messages
from meshd.connectors.registry import ConnectorRegistry
from meshd.gateway.actors import Actors
from meshd.gateway.configured.connector_pool import ConnectorPool
from meshd.gateway.configured.key_renewal import KeyRenewal
from meshd.host import clock
from meshd.sdk.provider import FailureKind, ProviderFailure, ProviderSettings

REFUSED = ProviderFailure(FailureKind.AUTHENTICATION, "Incorrect API key")


class Secrets:
    """One provider, whose key is read when it is looked for and runs when the last reload is asked for."""

    def __init__(self) -> None:
        self.written = "old"
        self.connectors = ConnectorPool(ConnectorRegistry(builtin=False, outside=False))
        self.run("old")
        self.looks = 0
        self.looked, self.go_on = asyncio.Event(), asyncio.Event()

    def run(self, key: str) -> None:
        self.connectors.replace({"p": ProviderSettings(name="p", connector="c", api_key=key)})

    async def ask(self, actor: str, message: Any, timeout: float) -> Any:
        if isinstance(message, messages.RefreshSecret):
            self.looks += 1
            self.found = self.written
            self.looked.set()
            return messages.SecretsLookedAt((), False)
        await self.go_on.wait()
        self.run(self.found)
        return None


async def test_a_caller_that_joined_an_earlier_check_asks_again() -> None:
    async with asyncio.timeout(20):
        secrets = Secrets()
        renewal = KeyRenewal(
            Actors(lambda actor, message: None, secrets.ask, asyncio.ensure_future), secrets.connectors
        )
        renewal.configure({"p": ("K",)})
        old, deadline = secrets.connectors.settings("p"), clock.now() + 60
        assert old is not None

        def refused() -> asyncio.Task[str | None]:
            return asyncio.ensure_future(renewal.renewed(old, "", REFUSED, deadline))

        first = refused()
        await secrets.looked.wait()
        secrets.written = "new"  # and the old one ends
        others = [refused() for _ in range(63)]
        await asyncio.sleep(0)  # each of them has its turn
        secrets.go_on.set()
        await first
        assert [await other for other in others] == [""] * 63
        assert secrets.looks == 2
