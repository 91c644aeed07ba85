"""What authorizes requests to a provider with more than a fixed key: a token that ends, or a signature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

Learn = Callable[[Iterable[str]], None]
"""Takes secrets that are to be masked from now on."""


class Unauthorized(NamedTuple):
    """A request as it will be sent. url: whole. body: None if it still comes and cannot be read yet."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


class Authorization(Protocol):
    """Of one provider, used on the router's loop: it awaits, and never blocks."""

    async def headers(self, request: Unauthorized) -> Mapping[str, str]:
        """What is added to the request's headers, or replaces them. Raises ProviderFailure, unsent."""

    def refused(self, given: Mapping[str, str]) -> bool:
        """The provider refused the request's authorization. Returns whether a renewed one may be accepted. given: what
        `headers` gave for that request."""

    async def aclose(self) -> None: ...
