"""How a provider's connections are opened: directly, by a UNIX socket, or through a SOCKS proxy.

Owns: the aiohttp connectors, and the mark that a request got a fresh connection.
Must never: know a request.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
import ssl
from typing import Any

import aiohttp

from meshd.host.awake import Timeout
from meshd.host.process.descriptors import leave_reserve
from meshd.host.trust.local_servers import distrust_connection
from meshd.net.names import Resolver
from meshd.net.proxies import Proxy, ProxyRefused
from meshd.net.tls import certificate_fault, tls_context

opened: contextvars.ContextVar[bool] = contextvars.ContextVar("connection_opened", default=False)
"""Whether this request got a new connection, so that its failure is not that of a stale one."""
trusted: contextvars.ContextVar[ssl.SSLContext | None] = contextvars.ContextVar("connection_trusted", default=None)
"""The TLS context that verified this request's connection."""

queued: contextvars.ContextVar[bool] = contextvars.ContextVar("connection_queued", default=False)
"""Whether this request waits for a connection because all are in use."""

# At its import, aiohttp reads the system's certificate authorities twice and keeps them, which is slow. Every
# connection here has a context from `tls` instead; one without would trust no server.
_TRUSTS_NONE = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
aiohttp.connector._SSL_CONTEXT_VERIFIED = aiohttp.connector._SSL_CONTEXT_UNVERIFIED = _TRUSTS_NONE

_REPLACING = 1.5  # s for which an empty or missing CA file counts as being replaced
_AGAIN = 0.05
_CLOSING = 1.0  # s for closing a SOCKS connection that failed


class PoolFull(TimeoutError):
    """No connection was free in time: the request was not sent."""


class _Opening:
    """A connector that marks requests that wait for a connection or got a new one, leaves the reserved descriptors
    alone, and checks the CA file whenever it opens a connection. found: the configuration does not name the server, so
    its user is checked before anything is sent."""

    _ssl: Any = None
    ca_file: str | None = None
    found: bool = False

    async def _wait_for_available_connection(self, *args: Any, **kwargs: Any) -> None:
        queued.set(True)
        await super()._wait_for_available_connection(*args, **kwargs)  # type: ignore[misc]
        queued.set(False)  # a cancelled request keeps the mark: it was still waiting

    async def _create_connection(self, req: Any, *args: Any, **kwargs: Any) -> Any:
        opened.set(True)
        try:
            leave_reserve()
            if isinstance(self._ssl, ssl.SSLContext):
                self._ssl = await current_context(self.ca_file)
                trusted.set(self._ssl)
        except OSError as error:  # otherwise it would look like an error after something was sent
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        protocol = await super()._create_connection(req, *args, **kwargs)  # type: ignore[misc]
        if self.found:
            try:
                await _check_user(protocol.transport.get_extra_info("socket"))
            except BaseException as error:
                protocol.transport.abort()
                if isinstance(error, OSError):
                    raise aiohttp.ClientConnectorError(req.connection_key, error) from error
                raise
        return protocol


class TCPConnector(_Opening, aiohttp.TCPConnector):
    pass


class UnixConnector(_Opening, aiohttp.UnixConnector):
    pass


async def _check_user(connected: Any) -> None:
    """Raises OSError if the server's user is not trusted. The kernel's answer may take a moment."""
    reason = await asyncio.get_running_loop().run_in_executor(None, distrust_connection, connected)
    if reason:
        raise PermissionError(errno.EACCES, reason)


async def current_context(ca_file: str | None) -> ssl.SSLContext:
    """Reading the CA file takes tens of milliseconds, so it is done outside the router's loop."""
    return await asyncio.get_running_loop().run_in_executor(None, tls_context, ca_file)


async def trusts_others(ca_file: str | None, refused: ssl.SSLContext | None) -> bool:
    """Whether the trusted authorities have changed since a certificate was refused. Waits for a file that is being
    replaced."""
    if ca_file is None or refused is None:
        return False
    loop = asyncio.get_running_loop()
    until = loop.time() + _REPLACING
    while True:
        fault = await loop.run_in_executor(None, certificate_fault, ca_file)
        if await current_context(ca_file) is not refused:
            return True
        if fault is None or loop.time() > until:
            return False
        await asyncio.sleep(_AGAIN)


async def tcp_connector(
    *,
    secure: bool,
    ca_file: str | None,
    proxy: Proxy | None,
    limit: int,
    connect_timeout: float = 5.0,
    found: bool = False,
    **reuse: Any,
) -> aiohttp.TCPConnector:
    tls: ssl.SSLContext | bool = await current_context(ca_file) if secure else True
    options: dict[str, Any] = {"limit": limit, "ssl": tls, "ttl_dns_cache": 60, **reuse}
    connector: Any
    if proxy is not None and proxy.socks:
        connector = _socks_connector(proxy, options)
    else:
        connector = TCPConnector(resolver=Resolver(connect_timeout), **options)
    connector.ca_file, connector.found = ca_file, found
    opened_by: aiohttp.TCPConnector = connector
    return opened_by


def _socks_connector(proxy: Proxy, options: dict[str, Any]) -> Any:
    try:
        from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError, ProxyType
    except ImportError:
        raise ProxyRefused('a SOCKS proxy needs a package that is missing: pip install "aiohttp-socks"') from None
    where = f"the SOCKS proxy {proxy.host}:{proxy.port}"

    class SocksConnector(_Opening, ProxyConnector):
        async def _wrap_create_connection(self, *args: Any, req: Any, **kwargs: Any) -> Any:
            """Raise aiohttp's own errors for a connection that could not be opened, since nothing was sent."""
            cause: OSError
            try:
                with Timeout(kwargs["timeout"].sock_connect + _CLOSING):  # its own does not end a TLS handshake
                    return await super()._wrap_create_connection(*args, req=req, **kwargs)
            except ssl.CertificateError as error:
                raise aiohttp.ClientConnectorCertificateError(req.connection_key, error) from error
            except ssl.SSLError as error:
                raise aiohttp.ClientConnectorSSLError(req.connection_key, error) from error
            except ProxyError as error:
                cause = _of_proxy(f"{where} refused: {error}")
            except ProxyConnectionError as error:
                number = getattr(error.__cause__, "errno", None)
                cause = _of_proxy(f"{where} cannot be reached: {os.strerror(number) if number else error}", number)
            except (ProxyTimeoutError, TimeoutError):
                cause = _of_proxy(f"{where} gave no connection in time")
            except OSError as error:
                cause = error
            raise aiohttp.ClientConnectorError(req.connection_key, cause) from None

    kind = ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else ProxyType.SOCKS5
    return SocksConnector(
        host=proxy.host,
        port=proxy.port,
        proxy_type=kind,
        username=proxy.user,
        password=proxy.password,
        rdns=proxy.remote_names,
        **options,
    )


def _of_proxy(text: str, number: int | None = None) -> OSError:
    """number: the errno of what this machine may lack. OSError(number) would look like an error of the provider."""
    error = OSError(text)
    error.errno, error.strerror = number, text
    return error
