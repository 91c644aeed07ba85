"""Requests to token servers, through the provider's own proxy and with its own certificate authorities.

Owns: one small request and its answer. Must never: follow a redirect, or put what was sent into a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from yarl import URL

from meshd.connectors.providers.authorizations.tokens import NoToken
from meshd.connectors.providers.http_requests import USER_AGENT, shown
from meshd.formats.errors.transport_failures import failure_from_exception
from meshd.net.encodings import EncodingError
from meshd.net.failures import TransportError
from meshd.net.http import BodyTooLarge, Transport, UpstreamBody
from meshd.sdk.settings import ProviderSettings

_MOST = 256 * 1024  # bytes of an answer
_MOST_SERVERS = 8


class Answered(NamedTuple):
    """headers: by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetcher:
    """The connections of one provider's authorization."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self._transports: dict[URL, Transport] = {}

    async def fetch(self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None) -> Answered:
        """Raises NoToken."""
        transport = self._transport(url)
        try:
            head = transport.head(method, url, {"Accept-Encoding": "identity", "User-Agent": USER_AGENT, **headers})
            answer = await transport.send(head, body)
            said = await UpstreamBody(answer).read(_MOST)
        except BodyTooLarge as error:
            raise NoToken(f"{shown(url)} answered {error}") from None
        except (TransportError, OSError, EncodingError) as error:
            timeout = self._settings.connect_timeout
            raise NoToken(f"no token: {failure_from_exception(error, shown(url), timeout).message}") from None
        named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
        return Answered(answer.status, named, said)

    def _transport(self, url: URL) -> Transport:
        origin = url.origin()
        if origin not in self._transports:
            if url.scheme not in ("http", "https") or len(self._transports) >= _MOST_SERVERS:
                raise NoToken(f"{shown(url)} cannot be used as a token server")
            settings = self._settings
            self._transports[origin] = Transport(
                secure=url.scheme == "https",
                host=url.host or "",
                port=url.port,
                connect_timeout=settings.connect_timeout,
                max_connections=4,
                ca_file=settings.options.get("ca_file"),
                proxy=settings.options.get("proxy"),
            )
        return self._transports[origin]

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()
