"""A provider whose server the daemon starts when it is needed, and stops when it is not.

Owns: the server's process, for any connector over HTTP.
Must never: start the server only to describe or probe it, or send anything to another user's server at its address.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from meshd.connectors.providers.embedded.process import ChildServer, child_environment
from meshd.connectors.providers.embedded.provider import Started
from meshd.connectors.providers.managed import guard
from meshd.sdk.http.credentials import Credentials
from meshd.sdk.provider import (
    FailureKind,
    ModelListing,
    Provider,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    StreamEvent,
)
from meshd.sdk.settings import ManagedServer

_NEVER = 10 * 365 * 86400.0  # s


class ManagedProvider(Provider):
    """settings: with `managed`. make: the connector that speaks to the server."""

    def __init__(self, settings: ProviderSettings, make: Callable[[ProviderSettings], Provider]) -> None:
        server = settings.managed
        assert server is not None
        # found: the server's user is checked at each connection, since anyone may listen at a free port.
        self._provider = make(replace(settings, managed=None, found=True))
        super().__init__(settings)
        self.batches = ""
        self.speaks, self.also_speaks = self._provider.speaks, self._provider.also_speaks
        self.custom_tools = self._provider.custom_tools
        self.late_instructions = self._provider.late_instructions
        self._server = server
        self._child = ChildServer(
            f"the server of {settings.name}",
            lambda _: _command(settings.base_url or "", server),
            runtime_dir=settings.runtime_dir,
            start_timeout=server.start_timeout,
            idle_timeout=server.idle_timeout or _NEVER,
            environ={**child_environment(os.environ), **server.env},
            cwd=server.cwd,
            confines=False,
        )

    @property
    def credentials(self) -> Credentials:
        return self._provider.credentials

    @credentials.setter
    def credentials(self, value: Credentials) -> None:
        self._provider.credentials = value

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        try:
            return await self._execute(call)
        except ProviderFailure as failure:
            if not await self._may_start_again(failure):
                raise
        return await self._execute(call)

    async def _execute(self, call: ProviderCall) -> ProviderAnswer:
        async with self._started(call):
            return await self._provider.execute(call)

    async def stream(self, call: ProviderCall) -> AsyncGenerator[StreamEvent, None]:
        for last in (False, True):
            try:
                async with self._started(call), aclosing(self._streamed(call)) as events:
                    async for event in events:
                        yield event
                return
            except ProviderFailure as failure:
                if last or not await self._may_start_again(failure):
                    raise

    def _streamed(self, call: ProviderCall) -> AsyncGenerator[StreamEvent, None]:
        stream: Any = self._provider.stream(call)
        return stream  # type: ignore[no-any-return]

    async def list_models(self) -> list[ModelListing]:
        if not self._child.running:
            raise ProviderFailure(FailureKind.UNSUPPORTED, "its server is not running, so it lists no models")
        return await self._provider.list_models()

    async def probe(self, timeout: float) -> float:
        """A server that is not running is not needed now, so it counts as healthy."""
        return await self._provider.probe(timeout) if self._child.running else 0.0

    def describe(self) -> dict[str, Any]:
        seen = {key: value for key, value in self._child.describe().items() if key not in ("socket", "confined")}
        return {**self._provider.describe(), "managed": {"command": self._server.command, **seen}}

    async def aclose(self) -> None:
        await self._provider.aclose()
        await self._child.aclose()

    def _started(self, call: ProviderCall) -> Started:
        if self._child.deaths and not self._server.restart and not self._child.running:
            message = f"the server of {self.name} has ended, and `managed.restart` is false: reload to start it again"
            raise ProviderFailure(FailureKind.CONNECTION, message)
        return Started(self._child, call.timeout)

    async def _may_start_again(self, failure: ProviderFailure) -> bool:
        """After a failure: whether the server has ended before it got the request."""
        if failure.kind not in (FailureKind.CONNECTION, FailureKind.STREAM_CUT):
            return False
        if self._child.running:
            await self._child.suspect()
        return failure.unsent and not self._child.running and self._server.restart


def _command(base_url: str, server: ManagedServer) -> list[str]:
    """The guard's arguments."""
    if base_url.startswith("unix:"):
        host, port, base = "/" + base_url.removeprefix("unix:").lstrip("/"), 0, "/v1"
    else:
        parts = urlsplit(base_url)
        host, port, base = parts.hostname or "", parts.port or 80, parts.path.rstrip("/")
    # Isolated, and without the packages of the environment: it starts in a few milliseconds.
    return ["-I", "-S", guard.__file__, host, str(port), server.ready or f"{base}/models", server.command, *server.args]
