"""Checks whether a refused key has been replaced at its source.

Owns: one check per provider at a time, however many attempts are refused at once.
Must never: use a key except to compare it, or hold a request beyond its deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from meshd import messages
from meshd.core.messaging.mailboxes import ActorUnavailable
from meshd.gateway.actors import Actors
from meshd.gateway.configured.connector_pool import ConnectorPool
from meshd.host import clock
from meshd.routing.rates.key_ring import KEY_REFUSED
from meshd.sdk.provider import ProviderFailure, ProviderSettings

_PATIENCE = 3.0  # s to wait for a file that is being written
_AGAIN = 0.05
_ANSWER = 5.0  # s that the secret actor may take to read its stores
_RELOAD = 10.0


class KeyRenewal:
    def __init__(self, actors: Actors, connectors: ConnectorPool) -> None:
        self._actors = actors
        self._connectors = connectors
        self._secrets: Mapping[str, tuple[str, ...]] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    def configure(self, secrets: Mapping[str, tuple[str, ...]]) -> None:
        """secrets: provider → the names of its secrets, if they may be replaced while the daemon runs."""
        self._secrets = secrets

    async def renewed(
        self, refused: ProviderSettings, key: str, failure: ProviderFailure, deadline: float
    ) -> str | None:
        """The fingerprint of the key to use instead ("" for a provider with one key); None if there is none.

        refused, key: what the attempt was made with. deadline: by `clock.now()`.
        """
        if failure.kind not in KEY_REFUSED:
            return None
        found = self._replacement(refused, key)
        if found is None and self._secrets.get(refused.name):
            joined = await self._ask(refused.name, deadline - clock.now())
            found = self._replacement(refused, key)
            if found is None and joined:  # the shared check may have been made before this key was replaced
                await self._ask(refused.name, deadline - clock.now())
                found = self._replacement(refused, key)
        return found

    def _replacement(self, refused: ProviderSettings, key: str) -> str | None:
        current = self._connectors.settings(refused.name)
        if current is None:
            return None
        instead = successor(refused, current, key)
        if _credential(refused, key) == _credential(current, instead):
            return None
        return instead

    async def _ask(self, provider: str, seconds: float) -> bool:
        """Whether a check was already running."""
        asking = self._asking.get(provider)
        joined = asking is not None
        if asking is None:
            asking = self._asking[provider] = self._actors.spawn(self._question(provider))
            asking.add_done_callback(lambda _: self._asking.pop(provider, None))
        if seconds > 0:
            await asyncio.wait({asking}, timeout=seconds)
        return joined

    async def _question(self, provider: str) -> None:
        names = tuple(self._secrets.get(provider, ()))
        until = clock.now() + _PATIENCE
        try:
            while True:
                looked = await self._actors.ask("secret", messages.RefreshSecret(names, provider), _ANSWER)
                if looked.changed or not looked.unsettled or clock.now() > until:
                    break
                await asyncio.sleep(_AGAIN)
            # The answer comes once any reload that was requested earlier is done.
            await self._actors.ask("config", messages.LastReload(), _RELOAD)
        except ActorUnavailable:
            return


def successor(refused: ProviderSettings, current: ProviderSettings, key: str) -> str:
    """The key that replaced the refused one, for a provider with several."""
    if not key or key in current.api_keys:
        return key
    before, now = list(refused.api_keys), list(current.api_keys)
    if key in before and len(before) == len(now):
        return now[before.index(key)]
    return next((id for id in now if id not in refused.api_keys), "")


def _credential(settings: ProviderSettings, key: str) -> tuple[Any, ...]:
    """Everything by which a provider identifies us."""
    return settings.api_keys.get(key, settings.api_key), settings.headers, settings.base_url, settings.auth
