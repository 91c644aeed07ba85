"""The methods of `auth.method` that need more than a key, and where each is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from meshd.sdk.http.authorization import Authorization
from meshd.sdk.http.credentials import Credentials
from meshd.sdk.settings import ProviderSettings

METHODS: Mapping[str, str] = {}
"""Method → `module:factory`, imported at its first use."""


def authorization(settings: ProviderSettings, credentials: Credentials) -> Authorization | None:
    """None if the provider's key is enough. credentials: learns the tokens, so that they are masked. Raises ValueError
    for settings that cannot be used."""
    at = METHODS.get(settings.auth_method or "")
    if at is None:
        return None
    module, _, name = at.partition(":")
    factory: Callable[[ProviderSettings, Credentials], Authorization] = getattr(import_module(module), name)
    return factory(settings, credentials)
