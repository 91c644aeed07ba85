"""How an exchange with a server fails.

A `NotConnected` failed before anything was sent; of any other it is unknown how much the server has read. Their cause
is the system's error, if there is one.
"""

from __future__ import annotations

import ssl


class TransportError(Exception):
    """cause: the error behind it."""

    def __init__(self, text: str = "", cause: BaseException | None = None) -> None:
        super().__init__(text or str(cause or ""))
        self.__cause__ = cause


class NotConnected(TransportError):
    """There was no connection: nothing was sent."""


class ConnectTimeout(NotConnected):
    """There was no connection in time."""


class Refused(NotConnected):
    """The server says that it has not processed the request (HTTP/2), or it was not sent. It may be sent again."""


class Http1Required(Refused):
    """The server answers this only over HTTP/1.1."""


class CertificateRefused(NotConnected):
    """context: the TLS context that did not accept the server's certificate."""

    def __init__(self, cause: BaseException, context: ssl.SSLContext | None = None) -> None:
        super().__init__(f"certificate not accepted: {cause}", cause)
        self.context = context


class ProxyUnreachable(NotConnected):
    """No connection to an HTTP proxy."""


class ProxyAnswered(NotConnected):
    """An HTTP proxy did not open a tunnel."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}".strip())
        self.status = status


class ConnectionLost(TransportError):
    """An open connection broke before the answer began."""


class Disconnected(TransportError):
    """The server closed the connection without an answer."""


class Cancelled(TransportError):
    """The server cancelled the exchange, for its own reason (HTTP/2)."""


class Cut(TransportError):
    """The connection was closed, or unreadable, in the middle of an answer."""


class NotHttp(TransportError):
    """The server did not answer in HTTP."""


class PoolFull(TimeoutError):
    """No connection was free in time: the request was not sent."""
