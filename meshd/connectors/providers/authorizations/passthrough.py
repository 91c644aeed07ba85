"""`auth.method: passthrough`: the app's own credential, for the duration of one request.

Owns: masking it in the provider's errors. Must never: keep a credential.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager

from meshd.sdk.calls.credential import Credential
from meshd.sdk.http.credentials import Credentials
from meshd.sdk.provider import FailureKind, ProviderFailure, StreamEvent


@contextmanager
def masked(credential: Credential | None) -> Iterator[None]:
    """Failures inside the block do not show it."""
    try:
        yield
    except ProviderFailure as failure:
        raise without(credential, failure) from None


async def masked_events(
    events: AsyncGenerator[StreamEvent, None], credential: Credential
) -> AsyncGenerator[StreamEvent, None]:
    """The same for a stream. Closing it closes the original at once."""
    async with aclosing(events):
        with masked(credential):
            async for event in events:
                yield event


def without(credential: Credential | None, failure: ProviderFailure) -> ProviderFailure:
    """The same failure, without the credential in its message and body."""
    if credential is not None:
        failure.cleaned = False
        Credentials(credential.secrets).clean(failure)
    return failure


def required(credential: Credential | None, where: str) -> Credential:
    """Raises ProviderFailure if there is none. Apps' requests without one are not sent here, so such a request is the
    daemon's own."""
    if credential is None:
        message = f"{where} takes the keys of apps, and the daemon has none"
        raise ProviderFailure(FailureKind.UNSUPPORTED, message, unsent=True)
    return credential
