"""Whether there is another key: who joins a question that was asked sooner does not get an answer that is too old."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from meshd import messages
from meshd.gateway.upkeep.key_renewal import KeyRenewal
from meshd.host import clock
from meshd.sdk.provider import FailureKind, ProviderFailure, ProviderSettings

REFUSED = ProviderFailure(FailureKind.AUTHENTICATION, "Incorrect API key")


class Core:
    """As much of the router as `KeyRenewal` needs: one provider, whose key is read when it is looked for and runs
    when the last reload is asked for."""

    def __init__(self) -> None:
        self.written = "old"
        self.runs = self._with("old")
        self.looks = 0
        self.looked, self.go_on = asyncio.Event(), asyncio.Event()
        self.providers = SimpleNamespace(settings=lambda name: self.runs)
        provider = SimpleNamespace(auth=SimpleNamespace(key_rotation=True))
        self.generation = SimpleNamespace(secret_names={"p": ("K",)}, config=SimpleNamespace(providers={"p": provider}))

    def _with(self, key: str) -> ProviderSettings:
        return ProviderSettings(name="p", connector="c", api_key=key)

    def spawn(self, work: Any) -> asyncio.Task[None]:
        return asyncio.ensure_future(work)

    async def ask(self, actor: str, message: Any, timeout: float) -> Any:
        if isinstance(message, messages.RefreshSecret):
            self.looks += 1
            self.found = self.written
            self.looked.set()
            return messages.SecretsLookedAt((), False)
        await self.go_on.wait()
        self.runs = self._with(self.found)
        return None


async def test_who_joins_a_question_of_before_asks_again() -> None:
    async with asyncio.timeout(20):
        core = Core()
        renewal = KeyRenewal(core)  # type: ignore[arg-type]
        old, deadline = core.runs, clock.now() + 60

        def refused() -> asyncio.Task[str | None]:
            return asyncio.ensure_future(renewal.renewed(old, "", REFUSED, deadline))

        first = refused()
        await core.looked.wait()
        core.written = "new"  # and the old one ends
        others = [refused() for _ in range(63)]
        await asyncio.sleep(0)  # each of them has its turn
        core.go_on.set()
        await first
        assert [await other for other in others] == [""] * 63
        assert core.looks == 2
