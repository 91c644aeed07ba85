"""The connectors in use: created when first needed, kept while their settings stay the same, closed when unused.

Owns: provider instances, across generations.
Must never: close a connector under a request that uses it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from meshd.connectors.registry import ConnectorRegistry
from meshd.sdk.http.credentials import Credentials, secrets_of
from meshd.sdk.provider import FailureKind, Provider, ProviderFailure, ProviderSettings
from modelmesh.errors import MeshError

logger = logging.getLogger("meshd.gateway")


class _Held:
    """A connector and the number of its users. It is its own lease: it counts its users as they enter and leave, and
    masks secrets in failures."""

    __slots__ = ("_close", "provider", "stale", "users")

    def __init__(self, provider: Provider, close: Callable[[Provider], None]) -> None:
        self.provider = provider
        self.users = 0
        self.stale = False
        self._close = close

    def __enter__(self) -> Provider:
        self.users += 1
        return self.provider

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            failure = getattr(error, "failure", error)  # the failure inside the exception of a broken stream
            if isinstance(failure, ProviderFailure):
                self.provider.credentials.clean(failure)
        self.users -= 1
        if self.stale and not self.users:
            self._close(self.provider)

    def retire(self) -> None:
        """Its settings have changed: close it as soon as it is unused."""
        self.stale = True
        if not self.users:
            self._close(self.provider)


class ConnectorPool:
    """Lives on the router's loop."""

    def __init__(self, registry: ConnectorRegistry) -> None:
        self._registry = registry
        self._settings: dict[str, ProviderSettings] = {}
        self._credentials: dict[str, Credentials] = {}
        self._held: dict[str, _Held] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def replace(self, settings: Mapping[str, ProviderSettings]) -> None:
        """Use these settings from now on. A connector whose settings changed or were removed is closed when the last
        request that uses it has ended."""
        stale = [name for name, known in self._settings.items() if settings.get(name) != known]
        self._settings = dict(settings)
        self._credentials = {name: self._credentials.get(name) or Credentials() for name in settings}
        for name, changed in settings.items():
            self._credentials[name].learn(secrets_of(changed))
        for name in stale:
            held = self._held.pop(name, None)
            if held is not None:
                held.retire()

    def lease(self, name: str) -> AbstractContextManager[Provider]:
        """A provider's connector, which stays open within the context. Raises ProviderFailure if it cannot be
        created."""
        held = self._held.get(name)
        if held is None:
            held = self._held[name] = _Held(self._make(name), self._close_soon)
        return held

    def made(self, name: str) -> Provider | None:
        """The connector, if it has been created."""
        held = self._held.get(name)
        return held.provider if held is not None else None

    def described(self, name: str) -> dict[str, Any]:
        """What the connector says about itself, without secrets; empty if it has not been created."""
        made = self.made(name)
        if made is None:
            return {}
        try:
            said = msgspec.json.decode(msgspec.json.encode(made.describe()), type=dict[str, Any])
        except Exception as error:  # a connector's bug, or a value that JSON cannot represent
            said = {"error": f"the connector cannot describe itself: {type(error).__name__}"}
        return dict(self.shown(name, said))

    def shown(self, name: str, told: Any) -> Any:
        """A text about a provider, or a structure of texts, without the provider's secrets."""
        known = self._credentials.get(name)
        return known.value(told) if known is not None else told

    def settings(self, name: str) -> ProviderSettings | None:
        return self._settings.get(name)

    async def close(self) -> None:
        """Close them all. Requests have ended by now."""
        held, self._held = list(self._held.values()), {}
        for one in held:
            one.users = 0
            one.retire()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _make(self, name: str) -> Provider:
        settings = self._settings.get(name)
        if settings is None:
            raise ProviderFailure(FailureKind.CONNECTION, f"provider {name} is not configured any more")
        try:
            cls = self._registry.get_connector(settings.connector, "provider")
        except MeshError as unknown:
            raise ProviderFailure(FailureKind.CONNECTION, unknown.message) from None
        credentials = self._credentials[name]
        try:
            if settings.managed is None:
                provider: Provider = cls(settings)
            else:
                from meshd.connectors.providers.managed.provider import ManagedProvider  # few providers are managed

                provider = ManagedProvider(settings, cls)
        except Exception as error:  # a connector of another package may raise anything
            said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            failure = ProviderFailure(FailureKind.CONNECTION, f"provider {name}: {said}")
            raise credentials.clean(failure) from None
        provider.credentials = credentials
        return provider

    def _close_soon(self, provider: Provider) -> None:
        task = asyncio.get_running_loop().create_task(self._close(provider))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    @staticmethod
    async def _close(provider: Provider) -> None:
        try:
            await provider.aclose()
        except Exception as error:
            logger.warning("provider %s did not close cleanly: %s", provider.name, error)
