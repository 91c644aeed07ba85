"""Classifies the transport's exceptions: no connection, no answer in time, a cut, a shortage on this machine."""

from __future__ import annotations

import os
import socket
import ssl

from meshd.formats.errors.wrong_address import is_alert, speaks_no_tls
from meshd.host.process.shortages import lack_of
from meshd.net.encodings import EncodingError
from meshd.net.failures import (
    Cancelled,
    CertificateRefused,
    ConnectTimeout,
    Cut,
    Disconnected,
    NotConnected,
    NotHttp,
    PoolFull,
    ProxyAnswered,
    ProxyUnreachable,
    TransportError,
)
from meshd.sdk.provider import FailureKind, ProviderFailure


def failure_from_exception(exc: BaseException, where: str, timeout: float) -> ProviderFailure:
    """An exception of the transport, with a message that says where to look. `where` is host:port or a path."""
    # DNS, refusal and TLS fail before the request; after that it is unknown how much was read.
    unsent = isinstance(exc, NotConnected)
    lack = _lack(exc)
    if lack is not None:
        open_before = isinstance(exc, TransportError) and not unsent
        message = f"{lack} (for {where})"
        return ProviderFailure(FailureKind.LOCAL, message, unsent=not open_before, lack=lack, where=where)
    if isinstance(exc, ConnectTimeout):
        return ProviderFailure(FailureKind.CONNECTION, f"no connection to {where} in time", unsent=True)
    if isinstance(exc, TimeoutError):
        return ProviderFailure(FailureKind.TIMEOUT, f"no answer from {where} within {timeout:g} s")
    if isinstance(exc, EncodingError):
        return ProviderFailure(FailureKind.BAD_ANSWER, f"the answer of {where} {exc}", status=200)
    # Something answered, but not in HTTP: the server is reachable, but the address is wrong.
    kind = FailureKind.BAD_ANSWER if isinstance(exc, NotHttp) else FailureKind.CONNECTION
    return ProviderFailure(kind, _connection_message(exc, where), unsent=unsent)


def _lack(exc: BaseException) -> str | None:
    if isinstance(exc, PoolFull):
        return str(exc)
    if isinstance(exc, CertificateRefused):
        try:  # OpenSSL opens an authority's file when it needs it, and treats a file that it cannot open as missing
            os.close(os.dup(0))
        except OSError as error:
            return lack_of(error)
        return None
    return lack_of(exc)


def _connection_message(exc: BaseException, where: str) -> str:
    cause: BaseException = exc.__cause__ or exc if isinstance(exc, TransportError) else exc
    if isinstance(exc, CertificateRefused):
        return f"TLS certificate of {where} not accepted: {cause}"
    if isinstance(exc, ProxyUnreachable):
        return f"the proxy cannot be reached: {cause}"
    if isinstance(exc, ProxyAnswered):
        return f"the proxy refused to connect to {where}: {exc}"
    if isinstance(cause, socket.gaierror):
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
    if isinstance(exc, Cancelled):
        return f"{where} cancelled the request: {exc}"
    if isinstance(exc, Cut):
        return f"{where} closed the connection in the middle of its answer"
    if isinstance(cause, ConnectionResetError | BrokenPipeError):
        return f"connection reset by {where}"
    if isinstance(exc, Disconnected):
        return f"{where} closed the connection without an answer"
    if isinstance(exc, NotHttp) and is_alert(str(exc)):
        return f"{where} needs TLS: base_url has to begin with https://"
    if isinstance(exc, NotHttp):
        return f"{where} does not speak HTTP: {exc}"
    detail = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return f"connection to {where} failed: {detail}"
