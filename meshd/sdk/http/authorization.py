"""What authorizes requests to a provider with more than a fixed key: a token that expires, or a signature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

Learn = Callable[[Iterable[str]], None]
"""Called with secrets that have to be masked from now on."""


class Unauthorized(NamedTuple):
    """A request as it will be sent. url: complete. body: None if it is still arriving."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


class Authorization(Protocol):
    """For one provider. Used on the router's loop, so it awaits and never blocks."""

    async def headers(self, request: Unauthorized) -> Mapping[str, str]:
        """Headers to add to the request's, or to replace them. Raises ProviderFailure, unsent."""

    def refused(self, given: Mapping[str, str]) -> bool:
        """The provider refused the request's authorization. Returns whether a renewed one may be accepted. given: what
        `headers` returned for that request."""

    async def aclose(self) -> None: ...
