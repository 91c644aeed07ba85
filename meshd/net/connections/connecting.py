"""How a provider's connections are opened: directly, over a UNIX socket, or through a proxy.

Must never: know a request, or send anything to a server that is not trusted.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import aiohappyeyeballs

from meshd.host.awake import Timeout
from meshd.host.installing import command_for
from meshd.host.process.descriptors import leave_reserve
from meshd.host.trust.local_servers import distrust_connection
from meshd.net.connections.names import Resolver
from meshd.net.connections.proxies import Proxy, ProxyRefused
from meshd.net.connections.tls import certificate_fault, tls_context
from meshd.net.failures import (
    CertificateRefused,
    ConnectTimeout,
    NotConnected,
    ProxyAnswered,
    ProxyUnreachable,
    TransportError,
)
from meshd.net.http1 import HttpConnection
from meshd.net.seam import Opening

_REPLACING = 1.5  # s for which an empty or missing CA file counts as being replaced
_AGAIN = 0.05
_NEXT_ADDRESS = 0.25  # s before the next of a name's addresses is tried in parallel


class Connector:
    """Opens connections to one server. host: as in DNS. ca_file: authorities besides the system's. found: the
    configuration does not name the server, so its user is checked before anything is sent. timeout: seconds for each
    of the name lookup, the connection and TLS. protocols: those that TLS offers, best first."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        secure: bool,
        uds: str | None = None,
        proxy: Proxy | None = None,
        ca_file: str | None = None,
        found: bool = False,
        timeout: float = 5.0,
        protocols: tuple[str, ...] = (),
    ) -> None:
        self.protocols = protocols
        self._host = host
        self._port = port
        self._secure = secure
        self._uds = uds
        self._proxy = proxy
        self._ca_file = ca_file
        self._found = found
        self._timeout = timeout
        self._resolver = Resolver(timeout)

    async def open(self, connection: Opening) -> None:
        """Raises NotConnected, ProxyRefused."""
        tls: ssl.SSLContext | None = None
        try:
            leave_reserve()
            if self._secure:
                tls = await current_context(self._ca_file, self.protocols)
            await self._connect(connection, tls)
            if self._found:
                await self._check_user(connection)
        except (TransportError, ProxyRefused):
            raise
        except ssl.CertificateError as error:
            raise CertificateRefused(error, tls) from error
        except OSError as error:  # with ssl.SSLError
            raise NotConnected(cause=error) from error

    async def trusts_others(self, refused: ssl.SSLContext | None) -> bool:
        """Whether the trusted authorities have changed since a certificate was refused. Waits for a file that is being
        replaced."""
        if self._ca_file is None or refused is None:
            return False
        loop = asyncio.get_running_loop()
        until = loop.time() + _REPLACING
        while True:
            fault = await loop.run_in_executor(None, certificate_fault, self._ca_file)
            if await current_context(self._ca_file, self.protocols) is not refused:
                return True
            if fault is None or loop.time() > until:
                return False
            await asyncio.sleep(_AGAIN)

    async def _connect(self, connection: Opening, tls: ssl.SSLContext | None) -> None:
        loop, proxy = connection.loop, self._proxy
        if self._uds:
            with self._in_time():
                await loop.create_unix_connection(lambda: connection, self._uds)
        elif proxy is None:
            sock = await self._socket(self._host, self._port)
            await self._take_over(connection, sock, tls, self._host)
        elif proxy.socks:
            await self._take_over(connection, await self._by_socks(proxy), tls, self._host)
        elif tls is not None:
            await self._tunnel(connection, proxy, tls)
        else:
            await self._reach(connection, proxy)

    async def _socket(self, host: str, port: int) -> socket.socket:
        """A TCP connection to the first address that answers."""
        addresses: Any = await self._resolver.resolve(host, port)
        try:
            with self._in_time():
                return await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS)
        except BaseException:
            self._resolver.forget(host, port)
            raise

    async def _take_over(self, connection: Opening, sock: socket.socket, tls: ssl.SSLContext | None, name: str) -> None:
        try:
            with self._in_time():
                secured: dict[str, Any] = {"ssl": tls, "server_hostname": name.rstrip(".")} if tls is not None else {}
                await connection.loop.create_connection(lambda: connection, sock=sock, **secured)
        except BaseException:
            connection.abort()
            sock.close()
            raise

    async def _reach(self, connection: Opening, proxy: Proxy) -> None:
        """Connect to an HTTP proxy."""
        tls = await current_context(self._ca_file) if proxy.scheme == "https" else None
        try:
            await self._take_over(connection, await self._socket(proxy.host, proxy.port), tls, proxy.host)
        except ssl.CertificateError:
            raise
        except (NotConnected, OSError) as error:
            raise ProxyUnreachable(cause=error.__cause__ or error) from error

    async def _tunnel(self, connection: Opening, proxy: Proxy, tls: ssl.SSLContext) -> None:
        outer = HttpConnection(connection.loop)
        await self._reach(outer, proxy)
        try:
            with self._in_time():
                where = f"[{self._host}]" if ":" in self._host else self._host
                lines = [f"CONNECT {where}:{self._port} HTTP/1.1", f"Host: {where}:{self._port}"]
                lines += [f"{name}: {value}" for name, value in proxy_authorization(proxy).items()]
                answer = outer.ask("\r\n".join([*lines, "", ""]).encode(), None)
                try:
                    await answer.head()
                except TransportError as error:
                    raise ProxyUnreachable(cause=error) from error
                if answer.status != 200:
                    raise ProxyAnswered(answer.status, answer.reason)
                name = self._host.rstrip(".")
                loop, plain = connection.loop, outer.release_transport()
                try:
                    secured = await loop.start_tls(plain, connection, tls, server_hostname=name)
                except BaseException:
                    plain.abort()
                    raise
                if secured is None:
                    raise NotConnected("the proxy closed the tunnel")
                connection.connection_made(secured)
        except BaseException:
            outer.abort()
            raise

    async def _by_socks(self, proxy: Proxy) -> socket.socket:
        try:
            from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
            from python_socks.async_.asyncio import Proxy as Socks
        except ImportError:
            raise ProxyRefused(f"SOCKS needs a package that is not installed: {command_for('python-socks')}") from None
        kind = ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else ProxyType.SOCKS5
        socks = Socks(kind, proxy.host, proxy.port, proxy.user, proxy.password, proxy.remote_names)
        where = f"the SOCKS proxy {proxy.host}:{proxy.port}"
        try:
            with self._in_time():
                connected: socket.socket = await socks.connect(self._host, self._port, timeout=self._timeout)
                return connected
        except ProxyError as error:
            cause = _of_proxy(f"{where} refused: {error}")
        except ProxyConnectionError as error:
            number = getattr(error.__cause__, "errno", None)
            cause = _of_proxy(f"{where} cannot be reached: {os.strerror(number) if number else error}", number)
        except (ProxyTimeoutError, ConnectTimeout):
            cause = _of_proxy(f"{where} did not connect in time")
        raise NotConnected(cause=cause)

    @contextlib.contextmanager
    def _in_time(self) -> Iterator[None]:
        try:
            with Timeout(self._timeout):
                yield
        except TimeoutError as error:
            raise ConnectTimeout(cause=error.__cause__) from error

    async def _check_user(self, connection: Opening) -> None:
        """The kernel's answer may take a moment."""
        connected = connection.socket
        reason = await connection.loop.run_in_executor(None, distrust_connection, connected)
        if reason:
            connection.abort()
            raise PermissionError(errno.EACCES, reason)


def proxy_authorization(proxy: Proxy) -> dict[str, str]:
    if proxy.user is None or proxy.socks:
        return {}
    said = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
    return {"Proxy-Authorization": f"Basic {said}"}


async def current_context(ca_file: str | None, protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
    """Reading the CA file takes tens of milliseconds, so it is done outside the router's loop."""
    return await asyncio.get_running_loop().run_in_executor(None, tls_context, ca_file, protocols)


def _of_proxy(text: str, number: int | None = None) -> OSError:
    """number: the errno, if it may be something that this machine lacks. OSError(number) would look like the provider's
    error."""
    error = OSError(text)
    error.errno, error.strerror = number, text
    return error
