"""What the embedded providers share: the OpenAI connector over a child's socket.

Owns: starting the child for a call, and keeping it alive during the call.
Must never: start a child only to describe it (`list_models`, `probe`, `describe`).
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from meshd.connectors.providers.embedded.process import IDLE_TIMEOUT, START_TIMEOUT, ChildServer
from meshd.connectors.providers.openai import OpenAIProvider
from meshd.connectors.providers.services.provider import ServiceProvider
from meshd.host.installing import how_to_install
from meshd.sdk.provider import FailureKind, ProviderAnswer, ProviderCall, ProviderFailure, ProviderSettings, StreamEvent


class EmbeddedModel:
    """One model: its child, and the connector that speaks to it, in OpenAI's format or as a service of
    `meshd/services`."""

    def __init__(
        self, settings: ProviderSettings, model: str, command: Callable[[str], list[str]], service: str = ""
    ) -> None:
        options = settings.options
        self.model = model
        self.child = ChildServer(
            f"{settings.name}-{model}",
            command,
            runtime_dir=settings.runtime_dir,
            start_timeout=float(options.get("start_timeout") or START_TIMEOUT),
            idle_timeout=float(options.get("idle_timeout") or IDLE_TIMEOUT),
        )
        connector = ServiceProvider if service else OpenAIProvider
        self._http = connector(
            ProviderSettings(
                name=settings.name,
                connector=settings.connector,
                base_url=f"unix:{self.child.socket}",
                auth_method="none",
                timeout=settings.timeout,
                connect_timeout=settings.connect_timeout,
                max_connections=settings.max_connections,
                quirks={"service": service} if service else {},
            )
        )

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        async with self._started(call):
            try:
                return await self._http.execute(call)
            except ProviderFailure as failure:
                await self._look_after(failure)
                raise

    async def stream(self, call: ProviderCall) -> AsyncGenerator[StreamEvent, None]:
        async with self._started(call), aclosing(self._http.stream(call)) as events:
            try:
                async for event in events:
                    yield event
            except ProviderFailure as failure:
                await self._look_after(failure)
                raise

    async def _look_after(self, failure: ProviderFailure) -> None:
        if failure.kind in (FailureKind.CONNECTION, FailureKind.STREAM_CUT):
            await self.child.suspect()

    def describe(self) -> dict[str, Any]:
        return self.child.describe()

    async def aclose(self) -> None:
        await self._http.aclose()
        await self.child.aclose()

    def _started(self, call: ProviderCall) -> Started:
        return Started(self.child, call.timeout)


def check_installed(package: str, extra: str = "local") -> None:
    """Raises ProviderFailure."""
    if importlib.util.find_spec(package) is None:
        message = f"the package {package} is not installed: {how_to_install(extra)}"
        raise ProviderFailure(FailureKind.CONNECTION, message)


def described(package: str, model: str, models: Mapping[str, EmbeddedModel]) -> dict[str, Any]:
    """`Provider.describe` of a provider with these models."""
    seen = {"embedded": package, "model": model, "children": {name: each.describe() for name, each in models.items()}}
    remarks = [each.child.remark for each in models.values() if each.child.remark]
    return seen | {"remark": remarks[0]} if remarks else seen


class Started:
    """`child.use()`, waiting no longer than the call may take."""

    def __init__(self, child: ChildServer, timeout: float) -> None:
        self._child = child
        self._use = child.use()
        self._timeout = timeout

    async def __aenter__(self) -> None:
        if self._child.running:
            await self._use.__aenter__()
            return
        try:
            async with asyncio.timeout(self._timeout):
                await self._use.__aenter__()
        except TimeoutError:
            message = f"{self._child.name} was not ready within {self._timeout:g} s"
            raise ProviderFailure(FailureKind.TIMEOUT, message) from None

    async def __aexit__(self, *exc: Any) -> None:
        await self._use.__aexit__(*exc)
