"""A connection for which TLS negotiates HTTP/2 or HTTP/1.1 (ALPN)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from meshd.net.http1 import HttpConnection
from meshd.net.http2.connection import Http2Connection
from meshd.net.seam import Opening


class Negotiated(Opening):
    """make: the connection for HTTP/2, or for HTTP/1.1. connection: None until it is open."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, make: Callable[[bool], HttpConnection | Http2Connection]
    ) -> None:
        self.loop = loop
        self.connection: HttpConnection | Http2Connection | None = None
        self._make = make
        self._early = b""
        self._lost: list[BaseException | None] = []
        self._transport: asyncio.Transport | None = None

    @property
    def socket(self) -> Any:
        return None if self._transport is None else self._transport.get_extra_info("socket")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = cast(asyncio.Transport, transport)
        tls = made.get_extra_info("ssl_object")
        self.connection = connection = self._make(tls is not None and tls.selected_alpn_protocol() == "h2")
        made.set_protocol(connection)
        connection.connection_made(made)
        # Through a proxy's tunnel, data or the end may come before the connection is reported as made.
        if self._early:
            connection.data_received(self._early)
        for error in self._lost:
            connection.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self._early += data

    def connection_lost(self, exc: BaseException | None) -> None:
        self._lost.append(exc)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
