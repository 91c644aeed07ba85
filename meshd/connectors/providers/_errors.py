"""Why a provider's answer is a failure, in routing's terms.

Owns: the classification of HTTP errors, error bodies, error events and exceptions of the transport.
Must never: put a key into a message; decide what happens next (`meshd/routing/retry.py` does).
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from typing import Any

import aiohttp
import msgspec

from meshd.cdk.provider import FailureKind, ProviderFailure
from meshd.connectors.providers._headers import RawHeaders, rate_limits, retry_after

MAX_MESSAGE = 600

_CONTEXT = re.compile(
    r"context.{0,3}(length|window|size)|maximum context|too many (input )?tokens|prompt is too long"
    r"|exceeds?.{0,40}context|(input|prompt).{0,40}(too long|exceeds?).{0,60}tokens?|max_new_tokens.{0,30}must be"
    r"|reduce the length",
    re.I | re.S,
)
_NO_MODEL = re.compile(
    r"model.{0,120}(not (found|exist|available)|does not exist|is not a valid|unknown|no longer|decommission|deprecat)"
    r"|(unknown|invalid|no such|not a valid|unrecognized) model|deployment.{0,40}does not exist",
    re.I | re.S,
)
_UNSUPPORTED = re.compile(
    r"(not|n't|un)[ -]?(support|implement|allow|permit)|does not (accept|work with)|only support|extra_forbidden", re.I
)
_BAD_KEY = re.compile(
    r"(incorrect|invalid|expired|missing|not valid).{0,20}(api[ _-]?key|credential)"
    r"|api[ _-]?key.{0,20}(not valid|invalid|expired|incorrect)",
    re.I,
)
_NO_MONEY = re.compile(
    r"insufficient.{0,3}(quota|balance|credit|funds)|billing|out of credits|credit balance|payment required"
    r"|spend(ing)? limit",
    re.I,
)

_BY_CODE = {
    "context_length_exceeded": FailureKind.CONTEXT_LENGTH,
    "exceed_context_size_error": FailureKind.CONTEXT_LENGTH,
    "string_above_max_length": FailureKind.CONTEXT_LENGTH,
    "model_not_found": FailureKind.MODEL_NOT_FOUND,
    "model_decommissioned": FailureKind.MODEL_NOT_FOUND,
    "DeploymentNotFound": FailureKind.MODEL_NOT_FOUND,
    "unsupported_parameter": FailureKind.UNSUPPORTED,
    "unsupported_value": FailureKind.UNSUPPORTED,
    "unsupported_model": FailureKind.UNSUPPORTED,
    "unsupported_country_region_territory": FailureKind.PERMISSION,
    "not_supported_error": FailureKind.UNSUPPORTED,
    "invalid_api_key": FailureKind.AUTHENTICATION,
    "authentication_error": FailureKind.AUTHENTICATION,
    "permission_error": FailureKind.PERMISSION,
    "insufficient_quota": FailureKind.QUOTA,
    "billing_hard_limit_reached": FailureKind.QUOTA,
    "billing_not_active": FailureKind.QUOTA,
    "rate_limit_exceeded": FailureKind.RATE_LIMIT,
    "rate_limit_error": FailureKind.RATE_LIMIT,
    "overloaded_error": FailureKind.SERVER,
    "server_error": FailureKind.SERVER,
    "api_error": FailureKind.SERVER,
}


class ErrorWords(msgspec.Struct, frozen=True):
    """What an error body says, whatever its shape."""

    message: str = ""
    code: str = ""
    type: str = ""

    @property
    def kind(self) -> FailureKind | None:
        return _BY_CODE.get(self.code) or _BY_CODE.get(self.type)


class _Metadata(msgspec.Struct, frozen=True):
    headers: dict[str, str] = {}


class _ErrorWithMetadata(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()


class _WithHeaders(msgspec.Struct, frozen=True):
    error: _ErrorWithMetadata = _ErrorWithMetadata()


def read_error(body: bytes) -> ErrorWords:
    """Read {"error": {…}}, {"error": "…"}, {"message": …}, {"detail": …}, {"errors": […]}, a list of these."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ErrorWords()
    return _words(document)


def _words(document: Any) -> ErrorWords:
    if isinstance(document, list) and document:
        document = document[0]
    if isinstance(document, str):
        return ErrorWords(message=document[:MAX_MESSAGE])
    if not isinstance(document, dict):
        return ErrorWords()
    for key in ("error", "errors"):
        inner = document.get(key)
        if inner:
            words = _words(inner)
            return words if words.message else msgspec.structs.replace(words, message=_text(document.get("message")))
    return ErrorWords(
        message=_text(document.get("message") or document.get("detail")),
        code=str(document.get("code") or ""),
        type=str(document.get("type") or ""),
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text[:MAX_MESSAGE]


def classify(status: int, words: ErrorWords) -> FailureKind:
    """The kind of an error status. The body's own words win where a status stands for several things."""
    kind, message = words.kind, words.message
    if status == 401:
        return FailureKind.AUTHENTICATION
    if status == 402 or (status in (403, 429) and (kind is FailureKind.QUOTA or _NO_MONEY.search(message))):
        return FailureKind.QUOTA
    if status == 403:
        return FailureKind.PERMISSION
    if status == 404:
        named = kind is FailureKind.MODEL_NOT_FOUND or _NO_MODEL.search(message)
        # A route that is missing (no /embeddings here) says nothing of the model: another provider has it.
        return FailureKind.MODEL_NOT_FOUND if named else FailureKind.UNSUPPORTED
    if status == 408:
        return FailureKind.TIMEOUT
    if status == 407:
        return FailureKind.CONNECTION
    if status == 429:
        return FailureKind.RATE_LIMIT
    if status in (405, 501):
        return FailureKind.UNSUPPORTED
    if status in (409, 425, 498) or status >= 500:
        return FailureKind.SERVER
    return _classify_request_error(status, kind, message)


def _classify_request_error(status: int, kind: FailureKind | None, message: str) -> FailureKind:
    if kind is not None and kind is not FailureKind.SERVER:
        return kind
    if status == 413 or _CONTEXT.search(message):
        return FailureKind.CONTEXT_LENGTH
    if _BAD_KEY.search(message):  # some answer 400 to a bad key
        return FailureKind.AUTHENTICATION
    if _NO_MODEL.search(message):
        return FailureKind.MODEL_NOT_FOUND
    if _UNSUPPORTED.search(message):
        return FailureKind.UNSUPPORTED
    return FailureKind.INVALID_REQUEST


def failure_from_response(status: int, body: bytes, raw_headers: RawHeaders, url: str) -> ProviderFailure:
    """An answer with an error status, or a redirect."""
    words = read_error(body)
    kind = classify(status, words)
    if 300 <= status < 400:
        to = next((value.decode("latin-1") for name, value in raw_headers if name.lower() == b"location"), "elsewhere")
        kind = FailureKind.BAD_ANSWER
        message = f"{url} redirects to {to.split('?')[0]}: redirects are not followed, set base_url to where it leads"
    elif words.message:
        message = words.message
    elif status == 404:
        message = f"{url} does not exist (404): is base_url right?"
    else:
        message = f"{url} answered {status}"
    if status == 429:
        raw_headers = [*_headers_inside(body), *raw_headers]  # its own last, as they win
    return ProviderFailure(
        kind,
        message,
        status=status,
        body=body,
        retry_after=retry_after(raw_headers),
        limits=rate_limits(raw_headers),
    )


def _headers_inside(body: bytes) -> list[tuple[bytes, bytes]]:
    """OpenRouter puts the limits of a 429 into its body, as the `headers` of the error's `metadata`."""
    try:
        headers = msgspec.json.decode(body, type=_WithHeaders).error.metadata.headers
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def failure_from_error_object(error: bytes, status: int = 200) -> ProviderFailure:
    """An error inside a 200: as an event of a stream, or in place of the answer. `error`: the object, what it is
    inside of (Google's is in a list too), or bare words.

    Only what the error itself names precisely is taken for that; anything else is a bad answer.
    """
    document = _document(error)
    words = _words(document)
    inside = int(words.code) if words.code.isascii() and words.code.isdigit() and 400 <= int(words.code) < 600 else 0
    kind = words.kind
    if inside and (kind is None or kind is FailureKind.SERVER):
        kind = classify(inside, words)
    if kind is None and words.type == "invalid_request_error":
        kind = _classify_request_error(400, None, words.message)
    if kind is None or kind is FailureKind.SERVER:
        kind = FailureKind.BAD_ANSWER
    message = words.message or "the provider sent an error inside its answer"
    body = msgspec.json.encode({"error": _inside(document)})
    return ProviderFailure(kind, message, status=inside or status, body=body)


def is_error_list(body: bytes) -> bool:
    """Whether it is `[{"error": …}]`: Google's, in place of an answer or of an event."""
    if body[:64].lstrip()[:1] != b"[":
        return False
    document = _document(body)
    return isinstance(document, list) and bool(document) and isinstance(document[0], dict) and "error" in document[0]


def _document(error: bytes) -> Any:
    """As JSON, else as the text that it is."""
    try:
        return msgspec.json.decode(error) if error else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return error.decode(errors="replace").strip()


def _inside(document: Any) -> Any:
    if isinstance(document, list) and document:
        document = document[0]
    if isinstance(document, dict) and document.get("error"):
        return document["error"]
    return document


def failure_from_exception(exc: BaseException, where: str, timeout: float) -> ProviderFailure:
    """What the transport raised, said so that a person knows where to look. `where` is host:port or a path."""
    if isinstance(exc, aiohttp.ConnectionTimeoutError):
        return ProviderFailure(FailureKind.CONNECTION, f"no connection to {where} in time", unsent=True)
    if isinstance(exc, TimeoutError):
        return ProviderFailure(FailureKind.TIMEOUT, f"no answer from {where} within {timeout:g} s")
    # Something answered, but not in HTTP: reachable, and no use.
    no_http = isinstance(exc, aiohttp.ClientResponseError) and not isinstance(exc, aiohttp.ClientHttpProxyError)
    kind = FailureKind.BAD_ANSWER if no_http else FailureKind.CONNECTION
    # DNS, refusal and TLS come before the request; of what breaks later nobody knows how much of it was read.
    unsent = isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError)
    return ProviderFailure(kind, _connection_message(exc, where), unsent=unsent)


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
    if isinstance(cause, ssl.SSLError):
        reason = getattr(cause, "reason", None)  # OpenSSL's own word, where it was OpenSSL that raised
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
    if isinstance(cause, aiohttp.ClientResponseError):
        return f"{where} does not speak HTTP: {cause.message}"
    detail = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return f"connection to {where} failed: {detail}"
