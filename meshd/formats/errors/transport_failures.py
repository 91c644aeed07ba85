"""Classifies the transport's exceptions: no connection, no answer in time, a cut, a shortage on this machine."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl

import aiohttp

from meshd.formats.errors.wrong_address import is_alert, speaks_no_tls
from meshd.host.process.shortages import lack_of
from meshd.net.connecting import PoolFull
from meshd.net.encodings import EncodingError
from meshd.sdk.provider import FailureKind, ProviderFailure


def failure_from_exception(exc: BaseException, where: str, timeout: float) -> ProviderFailure:
    """An exception of the transport, with a message that says where to look. `where` is host:port or a path."""
    # DNS, refusal and TLS fail before the request; after that it is unknown how much was read.
    unsent = isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError)
    lack = _lack(exc)
    if lack is not None:
        # These are aiohttp's errors for an open connection; any other came before there was one.
        open_before = isinstance(exc, aiohttp.ClientError) and not unsent
        message = f"{lack} (for {where})"
        return ProviderFailure(FailureKind.LOCAL, message, unsent=not open_before, lack=lack, where=where)
    if isinstance(exc, aiohttp.ConnectionTimeoutError):
        return ProviderFailure(FailureKind.CONNECTION, f"no connection to {where} in time", unsent=True)
    if isinstance(exc, TimeoutError):
        return ProviderFailure(FailureKind.TIMEOUT, f"no answer from {where} within {timeout:g} s")
    if isinstance(exc, EncodingError):
        return ProviderFailure(FailureKind.BAD_ANSWER, f"the answer of {where} {exc}", status=200)
    # Something answered, but not in HTTP: the server is reachable, but the address is wrong.
    no_http = isinstance(exc, aiohttp.ClientResponseError) and not isinstance(exc, aiohttp.ClientHttpProxyError)
    kind = FailureKind.BAD_ANSWER if no_http else FailureKind.CONNECTION
    return ProviderFailure(kind, _connection_message(exc, where), unsent=unsent)


def _lack(exc: BaseException) -> str | None:
    if isinstance(exc, PoolFull):
        return str(exc)
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        try:  # OpenSSL opens an authority's file when it needs it, and treats one that it cannot open as missing
            os.close(os.dup(0))
        except OSError as error:
            return lack_of(error)
        return None
    return lack_of(exc)


def _connection_message(exc: BaseException, where: str) -> str:
    cause: BaseException = exc.os_error if isinstance(exc, aiohttp.ClientConnectorError) else exc
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        return f"TLS certificate of {where} not accepted: {exc.certificate_error}"
    if isinstance(exc, aiohttp.ClientProxyConnectionError):
        return f"the proxy cannot be reached: {cause}"
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        return f"the proxy refused to connect to {where}: {exc.status} {exc.message}"
    if isinstance(cause, socket.gaierror) or isinstance(exc, aiohttp.ClientConnectorDNSError):
        return f"the name {where} cannot be resolved: {getattr(cause, 'strerror', None) or cause}"
    if isinstance(cause, ssl.SSLError) and speaks_no_tls(cause):
        return f"{where} does not speak TLS: base_url has to begin with http://"
    if isinstance(cause, ssl.SSLError):
        reason = getattr(cause, "reason", None)  # OpenSSL's own text, if OpenSSL raised it
        return f"TLS with {where} failed: {reason or cause}"
    if isinstance(cause, ConnectionRefusedError):
        return f"connection refused by {where}"
    if isinstance(cause, FileNotFoundError):
        return f"nothing listens at {where}"
    if isinstance(cause, ConnectionResetError | BrokenPipeError):
        return f"connection reset by {where}"
    if isinstance(cause, aiohttp.ServerDisconnectedError):
        return f"{where} closed the connection without an answer"
    if isinstance(cause, aiohttp.ClientPayloadError | asyncio.IncompleteReadError):
        return f"{where} closed the connection in the middle of its answer"
    if isinstance(cause, aiohttp.ClientResponseError) and is_alert(cause.message):
        return f"{where} needs TLS: base_url has to begin with https://"
    if isinstance(cause, aiohttp.ClientResponseError):
        return f"{where} does not speak HTTP: {cause.message}"
    detail = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return f"connection to {where} failed: {detail}"
