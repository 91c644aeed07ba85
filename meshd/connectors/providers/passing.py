"""Requests to a provider's own API that are passed on without being read.

Owns: their address and headers, and masking secrets in the answers. Must never: send to another host, or to a path
outside the provider's base URL, or send the caller's credentials.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from multidict import CIMultiDict
from yarl import URL

from meshd.connectors.providers.authorizations.passthrough import without
from meshd.connectors.providers.http_requests import HttpRequests, with_headers
from meshd.formats.headers import kept_headers
from meshd.host.awake import Timeout
from meshd.net.answers import Answer
from meshd.net.encodings import EncodingError
from meshd.net.failures import TransportError
from meshd.net.http import BodyTooLarge, Transport, UpstreamBody
from meshd.sdk.calls.passing import RawRequest
from meshd.sdk.http.authorization import Authorization, Unauthorized
from meshd.sdk.http.credentials import Credentials
from meshd.sdk.provider import FailureKind, ProviderFailure

MOST_ERROR = 1024 * 1024
_CALLERS = frozenset({"accept", "content-type", "user-agent"})
"""Headers for which the caller's value counts; all others of ours replace the caller's."""
_SHOWN = (b"content-type", b"content-disposition", b"content-range", b"accept-ranges")
_ERRORS = (TransportError, OSError, TimeoutError, EncodingError)

Failed = Callable[[BaseException, float], ProviderFailure]


async def forward(
    requests: HttpRequests,
    transport: Transport,
    credentials: Credentials,
    failed: Failed,
    asked: RawRequest,
    authorization: Authorization | None,
) -> PassedAnswer:
    """failed: makes a failure from an exception and the timeout in seconds. Raises ProviderFailure."""
    target = _target(requests.base, asked, requests.query)
    headers = _headers(requests.headers_for(asked.key, stream=False), asked)
    if asked.credential is not None:
        headers = with_headers(headers, requests.of_app(asked.credential))
    given: Mapping[str, str] = {}
    try:
        for again in (True, False):
            if authorization is not None:
                body = asked.body if isinstance(asked.body, bytes) else None
                with Timeout(asked.timeout):
                    given = await authorization.headers(Unauthorized(asked.method, str(target), headers, body))
            head = transport.head(asked.method, target, with_headers(headers, given))
            answer, sending = await _sent(transport, head, asked)
            refused = answer.status == 401 and authorization is not None and authorization.refused(given)
            if sending is not None or not (refused and again):
                return PassedAnswer(answer, credentials, failed, asked, sending)
            answer.abort()
    except _ERRORS as error:
        raise failed(error, asked.timeout) from None
    raise AssertionError("the second try returns or raises")


async def _sent(transport: Transport, head: bytes, asked: RawRequest) -> tuple[Answer, asyncio.Task[None] | None]:
    if not isinstance(asked.body, bytes):
        return await transport.send_from(head, asked.body, asked.timeout)
    body = asked.body if asked.body or asked.method in ("POST", "PUT", "PATCH") else None
    with Timeout(asked.timeout):
        return await transport.send(head, body), None


class PassedAnswer:
    """See `sdk/calls/passing.py:RawAnswer`. sending: the task that sends the rest of the request's body, if any."""

    def __init__(
        self,
        answer: Answer,
        credentials: Credentials,
        failed: Failed,
        asked: RawRequest,
        sending: asyncio.Task[None] | None = None,
    ) -> None:
        self.status = answer.status
        shown = {name.decode(): value for name in _SHOWN if (value := answer.header(name))}
        self.headers: Mapping[str, str] = credentials.kept({**kept_headers(answer.headers), **shown})
        self._body = UpstreamBody(answer)
        self._credentials = credentials
        self._failed = failed
        self._timeout = asked.timeout
        self._credential = asked.credential
        self._sending = sending

    async def more(self) -> bytes:
        try:
            with Timeout(self._timeout):
                return await self._body.read_some()
        except _ERRORS as error:
            raise self._failed(error, self._timeout) from None

    async def failure(self) -> bytes:
        try:
            with Timeout(self._timeout):
                said = await self._body.read(MOST_ERROR)
        except BodyTooLarge:
            return b""
        except _ERRORS as error:
            raise self._failed(error, self._timeout) from None
        told = ProviderFailure(FailureKind.UNSUPPORTED, "", status=self.status, body=said)
        return without(self._credential, self._credentials.clean(told)).body or b""

    def close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
        self._body.abort()


def _target(base: URL, asked: RawRequest, own: Mapping[str, str]) -> URL:
    """own: query parameters that each request to the provider has; they replace the caller's."""
    fields = [field for field in asked.query.split("&") if field and field.partition("=")[0] not in own]
    added = URL.build(query=dict(own)).raw_query_string if own else ""
    query = "&".join([*fields, *([added] if added else ())])
    base = _branch(base.with_query(None), asked.branch)
    target = URL(f"{base}{asked.path}{'?' if query else ''}{query}", encoded=True)
    if target.origin() != base.origin() or not target.raw_path.startswith(base.raw_path):
        raise ProviderFailure(FailureKind.INVALID_REQUEST, "this path leads away from the provider's API", unsent=True)
    return target


def _branch(base: URL, branch: str) -> URL:
    """base: ends in a slash. branch: see `RawRequest`."""
    if not branch:
        return base
    above, _, last = base.raw_path.rstrip("/").rpartition("/")
    return base.with_path(f"{above}/{branch}/{last}/", encoded=True)


def _headers(own: CIMultiDict[str], asked: RawRequest) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict(asked.headers)
    for name, value in own.items():
        if name.lower() not in _CALLERS or name not in headers:
            headers[name] = value
    if not asked.body:
        headers.popall("content-type", None)
    return headers
