"""The HTTP transport of every provider, and the body of an answer.

Owns: the pool of connections, and the one transparent retry on a connection that the server had just closed.
Must never: interpret a body, follow a redirect, or switch TLS verification off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from multidict import CIMultiDict
from yarl import URL

from meshd.host.awake import Timeout
from meshd.net.answers import Answer
from meshd.net.connections.connecting import Connector, proxy_authorization
from meshd.net.connections.pool import Pool, queued
from meshd.net.connections.proxies import Proxy, ProxyRefused, configured_proxy, find_proxy
from meshd.net.encodings import Decoder, decoder
from meshd.net.failures import CertificateRefused, ConnectionLost, Disconnected, Http1Required, Refused
from meshd.net.sending import Source, send

# An idle connection that was closed fails within a round trip. A request that failed later was being processed, and
# must not be sent twice.
STALE_WITHIN: Final = 1.0
# How much the server may still send after the last event for the connection to be reused.
LINGER = 1.0
# How many times to send a request that the server says it has not processed.
MOST_TRIES: Final = 3


class BodyTooLarge(Exception):
    """The answer exceeds the size limit."""


class UpstreamBody:
    """The body of an answer, still on its connection. It is decompressed piece by piece, so that a bound on reading
    bounds memory. Reading may raise EncodingError."""

    __slots__ = ("_answer", "_coded", "_decoder", "_failed")

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._coded = answer.header(b"content-encoding")
        self._decoder: Decoder | None = None
        self._failed: Exception | None = None

    async def read(self, limit: int) -> bytes:
        """The whole body."""
        try:
            if not self._coded:
                whole = await self._answer.read_whole(limit)
                if len(whole) > limit:
                    raise BodyTooLarge(f"more than {limit} bytes")
                return whole
            body = bytearray()  # a compressed megabyte may become gigabytes
            while chunk := await self.read_some():
                body += chunk
                if len(body) > limit:
                    raise BodyTooLarge(f"more than {limit} bytes")
        except BaseException:
            self.abort()
            raise
        return bytes(body)

    async def read_some(self) -> bytes:
        """The bytes that have arrived, at least one; b"" at the end. An error is raised only after all bytes before it
        were read."""
        if self._coded:
            self._decoder, self._coded = decoder(self._coded), ""
        return await (self._answer.read() if self._decoder is None else self._read_decoded(self._decoder))

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
            data = await self._answer.read()
            waited = True
            if not data:
                decoder.finish()
                return b""
            decoder.feed(data)

    def fail(self, reason: Exception) -> None:
        """Wake a waiting `read_some` with `reason`."""
        self._failed = reason
        self._answer.fail(reason)

    def abort(self) -> None:
        """Close the connection now, unless the answer was read to its end."""
        self._answer.abort()

    def linger(self, loop: asyncio.AbstractEventLoop) -> None:
        """The reader is done: keep the connection for reuse if the body ends at once."""
        if not self._answer.done:
            loop.call_later(LINGER, self._answer.abort)


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
    """One provider's connections. Created outside a loop, opened at the first request. proxy: the configured one; if
    None, the environment's. found: the user of its server is checked at each connection. http2: offered to a server
    with TLS; raises ImportError without the package."""

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
        proxy: str | None = None,
        environ: Mapping[str, str] | None = None,
        found: bool = False,
        http2: bool = False,
    ) -> None:
        self._max_connections = max_connections
        self._keepalive = keepalive
        self._pool: Pool | None = None
        self._kind: type[Pool] = Pool
        if http2 and secure:
            from meshd.net.http2.pool import SharedPool  # here, and not in the router's loop

            self._kind = SharedPool
        self._forward: Proxy | None = None  # an HTTP proxy that forwards requests, without a tunnel
        self._refused: ProxyRefused | None = None  # raised when something is sent
        through = None
        try:
            if not uds:
                through = configured_proxy(proxy) if proxy else find_proxy(secure, host, port, environ)
        except ProxyRefused as refused:
            self._refused = refused
        if through is not None and not through.socks and not secure:
            self._forward = through
        self._connector = Connector(
            URL.build(scheme="http", host=host).raw_host or "",
            port or (443 if secure else 80),
            secure=secure,
            uds=uds,
            proxy=through,
            ca_file=ca_file,
            found=found,
            timeout=connect_timeout,
            protocols=("h2", "http/1.1") if self._kind is not Pool else (),
        )

    def head(self, method: str, target: URL, headers: Mapping[str, str]) -> bytes:
        """The bytes that requests begin with, without the body's length. Raises ValueError for a header with a line
        break."""
        all: CIMultiDict[str] = CIMultiDict({"Host": target.host_port_subcomponent or ""})
        if self._forward is not None:
            all.update(proxy_authorization(self._forward))
        all.update(headers)
        for own in ("Content-Length", "Transfer-Encoding", "Connection"):
            all.popall(own, None)
        lines = [f"{method} {target if self._forward is not None else target.raw_path_qs} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in all.items()]
        if any(sign in line for line in lines for sign in "\r\n\0"):
            raise ValueError("a header contains a line break")
        return "\r\n".join([*lines, ""]).encode("utf-8")

    async def send(self, head: bytes, body: bytes | None = None) -> Answer:
        """The answer, whose body has not been read (`UpstreamBody`). head: from `head`."""
        head += b"\r\n" if body is None else b"Content-Length: %d\r\n\r\n" % len(body)
        pool = self._pool or self._open()
        try:
            return await self._exchange(pool, head, body)
        except CertificateRefused as refused:
            if not await self._connector.trusts_others(refused.context):
                raise
            return await self._exchange(pool, head, body)

    async def _exchange(
        self, pool: Pool, head: bytes, body: bytes | None, *, fresh: bool = False, tries: int = 1
    ) -> Answer:
        """fresh: over a new connection. tries: with this one."""
        started = pool.loop.time()
        queued.set(False)
        connection, opened = await pool.take(fresh=fresh)
        answer = connection.ask(head, body)
        try:
            await answer.head()
        except Refused as refused:
            if tries == MOST_TRIES:
                raise
            other = isinstance(refused, Http1Required)
            if other:
                self._connector.protocols = ()
            fresh = other or tries + 1 == MOST_TRIES
            return await self._exchange(pool, head, body, fresh=fresh, tries=tries + 1)
        except (Disconnected, ConnectionLost):
            if opened or fresh or pool.loop.time() - started > STALE_WITHIN:
                raise
            # The server closed an idle connection while the request was being sent, so it cannot have read it. Retry
            # once on a new connection: others in the pool may be stale as well.
            return await self._exchange(pool, head, body, fresh=True)
        except BaseException:
            answer.abort()
            raise
        return answer

    async def send_from(self, head: bytes, source: Source, timeout: float) -> tuple[Answer, asyncio.Task[None]]:
        """The same for a body that is still arriving, and the task that sends it: cancel that when the answer is over.
        The body can be sent only once, so the connection is new. timeout: seconds within which the server has to take
        some of it, and to begin its answer after the end. Also raises what reading the body raises."""
        pool = self._pool or self._open()
        with Timeout(timeout):
            try:
                connection, _ = await pool.take(fresh=True)
            except CertificateRefused as refused:
                if not await self._connector.trusts_others(refused.context):
                    raise
                connection, _ = await pool.take(fresh=True)
        answer = connection.ask_in_parts(head, source.length)
        sending = pool.loop.create_task(send(answer, source, timeout))
        try:
            await answer.head()
        except BaseException:
            sending.cancel()
            answer.abort()
            raise
        return answer, sending

    @property
    def full(self) -> str:
        return f"all {self._max_connections} connections are in use; raise max_connections"

    def _open(self) -> Pool:
        if self._refused is not None:
            raise ProxyRefused(*self._refused.args)
        self._pool = self._kind(self._connector.open, self._max_connections, self._keepalive)
        return self._pool

    async def aclose(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None
