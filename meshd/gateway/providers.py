"""The connectors in use: made when first needed, kept while their settings stay, closed when nobody uses them.

Owns: provider instances, across generations.
Must never: close a connector under a request that uses it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from meshd.cdk.provider import FailureKind, Provider, ProviderFailure, ProviderSettings
from meshd.connectors.registry import ConnectorRegistry
from modelmesh._errors import MeshError

logger = logging.getLogger("meshd.gateway")


class ProviderSet:
    """Lives on the router's loop."""

    def __init__(self, registry: ConnectorRegistry) -> None:
        self._registry = registry
        self._settings: dict[str, ProviderSettings] = {}
        self._made: dict[str, Provider] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def replace(self, settings: Mapping[str, ProviderSettings], grace: float) -> None:
        """Run by these settings from now on. A connector whose settings changed or went is closed after
        `grace` seconds, when the requests that were under way have ended or passed their deadline."""
        stale = [name for name, known in self._settings.items() if settings.get(name) != known]
        self._settings = dict(settings)
        for name in stale:
            made = self._made.pop(name, None)
            if made is not None:
                task = asyncio.get_running_loop().create_task(self._close_later(made, grace))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    def get(self, name: str) -> Provider:
        """The connector of a provider. Raises ProviderFailure when it cannot be made."""
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = self._make(name)
        return made

    def made(self, name: str) -> Provider | None:
        """The connector if somebody has needed it yet."""
        return self._made.get(name)

    def settings(self, name: str) -> ProviderSettings | None:
        return self._settings.get(name)

    async def close(self) -> None:
        """Close them all, those that wait for their last requests too."""
        for task in list(self._closing):
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        made, self._made = list(self._made.values()), {}
        await asyncio.gather(*(self._close(provider) for provider in made))

    def _make(self, name: str) -> Provider:
        settings = self._settings.get(name)
        if settings is None:
            raise ProviderFailure(FailureKind.CONNECTION, f"provider {name} is not configured any more")
        try:
            cls = self._registry.get_connector(settings.connector, "provider")
        except MeshError as error:
            raise ProviderFailure(FailureKind.CONNECTION, error.message) from None
        try:
            provider: Provider = cls(settings)
        except ValueError as error:
            raise ProviderFailure(FailureKind.CONNECTION, f"provider {name}: {error}") from None
        return provider

    async def _close_later(self, provider: Provider, grace: float) -> None:
        try:
            await asyncio.sleep(grace)
        finally:
            await self._close(provider)

    @staticmethod
    async def _close(provider: Provider) -> None:
        try:
            await provider.aclose()
        except Exception as error:
            logger.warning("provider %s did not close cleanly: %s", provider.name, error)
