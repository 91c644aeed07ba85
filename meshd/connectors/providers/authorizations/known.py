"""The methods of `auth.method` that need more than a key, and where each is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from meshd.sdk.http.authorization import Authorization, Learn
from meshd.sdk.settings import ProviderSettings

_HERE = "meshd.connectors.providers.authorizations."

METHODS: Mapping[str, str] = {
    "oauth": _HERE + "oauth:oauth",
    "service_account": _HERE + "google:google",
    "entra": _HERE + "entra:entra",
    "aws": _HERE + "aws:AwsAuthorization",
}
"""Method → `module:factory`, imported at its first use."""


def authorization(settings: ProviderSettings, learn: Learn) -> Authorization | None:
    """None if the provider's key is enough. learn: is called with new tokens. Raises ValueError for settings that
    cannot be used."""
    at = METHODS.get(settings.auth_method or "")
    if at is None:
        return None
    module, _, name = at.partition(":")
    factory: Callable[[ProviderSettings, Learn], Authorization] = getattr(import_module(module), name)
    return factory(settings, learn)
