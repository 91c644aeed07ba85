"""The HTTP transport of every provider: an aiohttp session, and the body of an answer.

Owns: connections (reuse, limits, TLS, proxies, UNIX sockets) and the one transparent retry on a connection that the
server had just closed.
Must never: interpret a body, follow a redirect, or switch TLS verification off.

The caller passes a parsed URL and finished headers: `httpx_aiohttp.AiohttpTransport` costs twice as much, as it parses
the URL again and rebuilds headers and timeouts for every call.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from meshd.net.connecting import UnixConnector, opened, queued, tcp_connector, trusted, trusts_others
from meshd.net.encodings import Decoder, decoder
from meshd.net.proxies import Proxy, ProxyRefused, find_proxy

# An idle connection that was closed fails within a round trip. A request that failed later was being processed, and
# must not be sent twice.
STALE_WITHIN = 1.0
# What the server may still send after the last event, so that the connection can be reused.
LINGER = 1.0


class BodyTooLarge(Exception):
    """The answer exceeds the size limit."""


class UpstreamBody:
    """The body of an answer, still on its connection. It is decompressed piece by piece, so that a bound on reading
    bounds memory. Reading may raise EncodingError."""

    __slots__ = ("_coded", "_content", "_decoder", "_failed", "_response")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._content = response.content
        self._coded = "content-encoding" in response.headers
        self._decoder: Decoder | None = None
        self._failed: Exception | None = None

    async def read(self, limit: int) -> bytes:
        """The whole body."""
        length = self._response.content_length
        # This is the compressed length: a megabyte may become gigabytes.
        if length is not None and length <= limit and not self._coded:
            return await self._response.read()
        body = bytearray()
        try:
            while chunk := await self.read_some():
                body += chunk
                if len(body) > limit:
                    raise BodyTooLarge(f"more than {limit} bytes")
        except BaseException:
            self.abort()
            raise
        return bytes(body)

    async def read_some(self) -> bytes:
        """The bytes that have come, at least one; b"" at the end. An error is raised only after all bytes before it
        were read."""
        if self._coded:
            if self._decoder is not None:
                return await self._read_decoded(self._decoder)
            self._decoder = decoder(",".join(self._response.headers.getall("content-encoding")))
            self._coded = self._decoder is not None
            return await self.read_some()
        return await self._read_raw()

    async def _read_decoded(self, decoder: Decoder) -> bytes:
        waited = False
        while True:
            while decoder.more:
                if not waited:  # nothing awaited the network: let other tasks and timers run
                    await asyncio.sleep(0)
                    if self._failed is not None:
                        raise self._failed
                waited = False
                if piece := decoder.read():
                    return piece
            data = await self._read_raw()
            waited = True
            if not data:
                decoder.finish()
                return b""
            decoder.feed(data)

    async def _read_raw(self) -> bytes:
        try:
            return await self._content.readany()
        except Exception:
            # What came before the connection broke is content that has to be paid for; aiohttp would drop it.
            rest = self._content._read_nowait(-1)
            if not rest:
                raise
            return rest

    def fail(self, reason: Exception) -> None:
        """Wake a waiting `read_some` with `reason`."""
        self._failed = reason
        self._content.set_exception(reason)

    def abort(self) -> None:
        """Close the connection now, unless the answer was read to its end."""
        self._response.close()

    def linger(self, loop: asyncio.AbstractEventLoop) -> None:
        """The reader is done: keep the connection for reuse if the body ends at once."""
        if not self._content.is_eof():
            loop.call_later(LINGER, self._response.close)


class BodyInHand:
    """A body that was read completely, with the interface of one that is still arriving."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read_some(self) -> bytes:
        body, self._body = self._body, b""
        return body

    def fail(self, reason: Exception) -> None: ...

    def abort(self) -> None: ...

    def linger(self, loop: asyncio.AbstractEventLoop) -> None: ...


class Transport:
    """One provider's connections. Created outside a loop, opened at the first request. found: the user of its
    server is checked at each connection."""

    def __init__(
        self,
        *,
        secure: bool,
        host: str,
        port: int | None = None,
        uds: str | None = None,
        connect_timeout: float = 5.0,
        max_connections: int = 256,
        keepalive: float = 90.0,
        ca_file: str | None = None,
        environ: Mapping[str, str] | None = None,
        found: bool = False,
    ) -> None:
        self._secure = secure
        self._found = found
        self._uds = uds
        self._max_connections = max_connections
        self._keepalive = keepalive
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None  # never reuses a connection; for the retry after a stale one
        self._opening: asyncio.Lock | None = None
        self._connect_timeout = connect_timeout
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
        self._by_proxy: Proxy | None = None
        self._refused: ProxyRefused | None = None  # raised when something is sent
        try:
            self._by_proxy = None if uds else find_proxy(secure, host, port, environ)
        except ProxyRefused as refused:
            self._refused = refused
        self._proxy = proxy_arguments(self._by_proxy, secure)

    async def send(
        self, method: str, target: URL, headers: CIMultiDict[str], body: bytes | None = None
    ) -> aiohttp.ClientResponse:
        """The answer, with its body still to read (`UpstreamBody`)."""
        if not self._secure and self._by_proxy is not None and (who := proxy_authorization(self._by_proxy)):
            headers = CIMultiDict(headers)
            headers.update(who)
        session = self._session or await self._open()
        loop = asyncio.get_running_loop()
        started = loop.time()
        opened.set(False)
        queued.set(False)
        try:
            return await session.request(
                method, target, data=body, headers=headers, timeout=self._timeout, allow_redirects=False, **self._proxy
            )
        except aiohttp.ClientConnectorCertificateError:
            if not await trusts_others(self._ca_file, trusted.get()):
                raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as exc:
            if (
                opened.get()
                or isinstance(exc, aiohttp.ClientConnectorError)
                or loop.time() - started > STALE_WITHIN
                or session.closed
            ):
                raise
            # The server closed an idle connection while the request was being sent, so it cannot have read it. Retry
            # once on a new connection: others in the pool may be stale as well.
            if self._fresh is None:
                self._fresh = self._make_session(await self._connector(force_close=True))
            session = self._fresh
        return await session.request(
            method, target, data=body, headers=headers, timeout=self._timeout, allow_redirects=False, **self._proxy
        )

    @property
    def full(self) -> str:
        return f"all {self._max_connections} connections are in use; raise max_connections"

    async def _open(self) -> aiohttp.ClientSession:
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._session is None:
                self._session = self._make_session(await self._connector(force_close=False))
            return self._session

    @staticmethod
    def _make_session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
        # Cookies are off: requests of different apps are unrelated.
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), max_field_size=65536, auto_decompress=False
        )

    async def _connector(self, *, force_close: bool) -> aiohttp.BaseConnector:
        reuse: dict[str, Any] = {"force_close": True} if force_close else {"keepalive_timeout": self._keepalive}
        if self._refused is not None:
            raise ProxyRefused(*self._refused.args)
        if self._uds:
            by_socket = UnixConnector(self._uds, limit=self._max_connections, **reuse)
            by_socket.found = self._found
            return by_socket
        return await tcp_connector(
            secure=self._secure,
            ca_file=self._ca_file,
            proxy=self._by_proxy,
            limit=self._max_connections,
            connect_timeout=self._connect_timeout,
            found=self._found,
            **reuse,
        )

    async def aclose(self) -> None:
        sessions, self._session, self._fresh = (self._session, self._fresh), None, None
        for session in sessions:
            if session is not None:
                await session.close()


def proxy_arguments(proxy: Proxy | None, secure: bool) -> dict[str, Any]:
    """aiohttp's arguments for an HTTP proxy. Credentials go with the opening of a tunnel, or, without a tunnel, with
    every request."""
    if proxy is None or proxy.socks:
        return {}
    arguments: dict[str, Any] = {"proxy": proxy.url}
    if secure and (who := proxy_authorization(proxy)):
        arguments["proxy_headers"] = who
    return arguments


def proxy_authorization(proxy: Proxy) -> dict[str, str]:
    if proxy.user is None or proxy.socks:
        return {}
    said = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
    return {"Proxy-Authorization": f"Basic {said}"}
