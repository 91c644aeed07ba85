"""Requests to the provider that a batch was passed on to, with the key that it was submitted with.

Owns: which key that is. Must never: use another key, whose account has no such batch.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from meshd.compilation.compile import fingerprint
from meshd.formats.batches.protocol import NO_HEADERS
from meshd.gateway.batches.records import AtProvider
from meshd.gateway.runtime import Runtime
from meshd.sdk.calls.passing import RawAnswer, RawBody, RawRequest
from meshd.sdk.provider import FailureKind, ProviderFailure, ProviderSettings

_SENT_WITHIN = 60.0  # s of silence
KEY_MISSING = (
    "The provider's key that this batch was submitted with is not configured any more. Its results can be fetched when "
    "it is configured again; `cancel` ends the batch without them."
)


class KeyMissing(ProviderFailure):
    """The key was removed from the configuration."""


class Connection:
    """trouble: is told why requests cannot be sent for now, and "" when they can."""

    def __init__(self, runtime: Runtime, at: AtProvider, trouble: Callable[[str], Awaitable[None]]) -> None:
        self._runtime = runtime
        self._at = at
        self._trouble = trouble
        self._missing = bool(at.trouble)

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: bytes | RawBody = b"",
        headers: Mapping[str, str] = NO_HEADERS,
        branch: str = "",
    ) -> RawAnswer:
        """See `Send`."""
        with self._runtime.connectors.lease(self._at.provider) as provider:
            key = key_of(self._at, provider.settings)
            if (key is None) != self._missing:
                self._missing = key is None
                await self._trouble(KEY_MISSING if self._missing else "")
            if key is None:
                why = f"the key {self._at.key} of {self._at.provider} is not configured any more"
                raise KeyMissing(FailureKind.AUTHENTICATION, why, unsent=True)
            return await provider.forward(
                RawRequest(method, path, query, headers, body, _SENT_WITHIN, key=key, branch=branch)
            )


def key_of(at: AtProvider, settings: ProviderSettings) -> str | None:
    """The id of the key, "" for the provider's only one; None if it was removed. A provider's only key may be replaced
    by a new one of the same account."""
    if at.key in settings.api_keys:
        return at.key
    if settings.api_keys:
        return None if at.key else ""
    only = settings.api_key
    return "" if not at.key or at.only_key or (only and fingerprint(only) == at.key) else None
