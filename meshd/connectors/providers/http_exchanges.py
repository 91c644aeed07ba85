"""The HTTP exchanges of one provider: a request's bytes, its connection, and recognising a bad answer.

Owns: the connection pool of the provider, and whether its server has ever answered.
Must never: parse what it can pass on; know pools or other providers, or what a format is made of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from multidict import CIMultiDict
from yarl import URL

from meshd.connectors.providers.authorizations.passthrough import required
from meshd.connectors.providers.deployments import Deployments
from meshd.connectors.providers.heads import Heads
from meshd.connectors.providers.http_requests import HttpRequests, Target, shown, with_headers
from meshd.connectors.providers.traced import answered, begun, failed
from meshd.formats.errors.transport_failures import failure_from_exception
from meshd.formats.errors.wrong_address import no_words
from meshd.formats.headers import kept_headers, rate_limits
from meshd.formats.openai.stream.event_stream import MAX_BODY
from meshd.formats.protocol import Opened, StreamReader
from meshd.formats.sse import begins_as_events
from meshd.host import clock
from meshd.host.awake import Timeout
from meshd.host.process.shortages import lack_of
from meshd.net.answers import Answer
from meshd.net.connections.pool import queued
from meshd.net.encodings import EncodingError
from meshd.net.failures import ConnectTimeout, Disconnected, PoolFull, TransportError
from meshd.net.http import BodyInHand, BodyTooLarge, Transport, UpstreamBody
from meshd.sdk.calls.tracing import CallTrace, HttpCall
from meshd.sdk.http.authorization import Authorization, Unauthorized
from meshd.sdk.http.credentials import Credentials
from meshd.sdk.provider import (
    FailureKind,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    RateLimits,
    Usage,
)

MAX_ERROR_BODY: Final = 1024 * 1024
# Between tries: a restarting server is back within a second; if it is not, the router asks another.
RETRY_DELAY: Final = 0.2
LONGEST_RETRY_DELAY: Final = 2.0
_A_MOMENT: Final = 0.05  # s before an attempt's timeout, at which its status is reported without the error body

_TRANSPORT_ERRORS: Final = (TransportError, OSError, TimeoutError, EncodingError)
_UNREAD: Final = (BodyTooLarge, TransportError, OSError, TimeoutError, EncodingError)


class HttpExchanges:
    """by_format: the requests in each format that the provider speaks, the preferred one first. requests: those in the
    preferred one. where: the provider's address, for messages. credentials: called each time, since a reload may
    replace them."""

    def __init__(
        self,
        settings: ProviderSettings,
        deployments: Deployments,
        by_format: Mapping[str, HttpRequests],
        credentials: Callable[[], Credentials],
        authorization: Authorization | None,
    ) -> None:
        self._settings = settings
        self._deployments = deployments
        self._by_format = by_format
        self._credentials = credentials
        self._authorization = authorization
        self._app_keys = settings.auth_method == "passthrough"
        self.speaks, self.requests = next(iter(by_format.items()))
        self.where = self.requests.where
        self._secure = self.requests.base.scheme == "https"
        self._spoken = False  # whether the server has ever answered
        self.transport = Transport(
            secure=self._secure,
            host=self.requests.base.host or "",
            port=self.requests.base.port,
            uds=self.requests.uds,
            connect_timeout=settings.connect_timeout,
            max_connections=settings.max_connections,
            keepalive=settings.keepalive,
            ca_file=settings.options.get("ca_file"),
            proxy=settings.options.get("proxy"),
            found=settings.found,
            http2=settings.http2,
        )
        self._heads = Heads(self.transport, by_format.values(), settings.api_keys)

    async def answer(self, call: ProviderCall) -> ProviderAnswer:
        """See `Provider.execute`."""
        call = self._deployments.asked(call)
        requests = self.requests_of(call)
        target = self._target(requests, call)
        queued.set(False)
        try:
            with Timeout(call.timeout):
                response = await self._open(call, requests, target.url)
                streamed = "event-stream" in response.header(b"content-type")
                assembled = call.operation.streamed and not call.operation.ends
                if streamed and assembled:
                    body = await self._assembled(UpstreamBody(response), call)
                else:
                    body = await self.body(response, call.timeout)
                    if body[:1] != b"{" and assembled and begins_as_events(body):
                        body = await self._assembled(BodyInHand(body), call)
        except TimeoutError:
            raise self.out_of_time(call.timeout) from None
        raw = response.headers
        try:
            answer = requests.side.read(body, call, target.address)
        except ProviderFailure as failure:
            raise self.scrub(failure) from None
        headers = self._credentials().kept(kept_headers(raw))
        return ProviderAnswer(answer.body, answer.usage, rate_limits(raw), headers, answer.size, answer.content_type)

    async def opened(self, call: ProviderCall) -> StreamReader:
        """See `Provider.stream`. The caller closes it."""
        call = self._deployments.asked(call)
        started = clock.now()
        patience = min(call.first_token_timeout, call.timeout)
        queued.set(False)
        try:
            with Timeout(patience):
                requests = self.requests_of(call)
                response = await self._open(call, requests, self._target(requests, call).url)
        except TimeoutError:
            raise self.out_of_time(patience) from None
        kind = response.header(b"content-type")
        return self._reader(UpstreamBody(response), call, started, kind, rate_limits(response.headers))

    async def _assembled(self, body: UpstreamBody | BodyInHand, call: ProviderCall) -> bytes:
        """The unary answer from a server that streams without being asked to; unchanged if the answer is unary after
        all."""
        reader = self._reader(body, call, clock.now())
        assembly = self.requests_of(call).side.assembling()
        said: list[str] = []
        try:
            while not reader.done:
                for event in await reader.more():
                    said.append(event.text + event.reasoning + event.extra)
                    if not event.hidden:
                        assembly.add(event.data)
        except ProviderFailure as failure:
            failure.said = "".join(said) + failure.said
            raise self.scrub(failure) from None
        finally:
            reader.close()
        return assembly.answer() if reader.plain is None else reader.plain

    def _reader(
        self,
        body: UpstreamBody | BodyInHand,
        call: ProviderCall,
        started: float,
        content_type: str = "",
        limits: RateLimits | None = None,
    ) -> StreamReader:
        opened = Opened(started, content_type, limits, lambda error: self.failure(error, call.timeout))
        return self.requests_of(call).side.stream(body, call, self.target(call).address, opened)

    async def _open(self, call: ProviderCall, requests: HttpRequests, target: URL) -> Answer:
        """Send the request, with retries before the first byte. Returns a 2xx answer whose body has not been read."""
        body = requests.side.write(call)
        retries = self._settings.max_retries
        if not retries:
            return await self._ask(call, requests, target, body)
        deadline = clock.now() + call.timeout
        unsent = True
        for attempt in range(retries + 1):
            try:
                return await self._ask(call, requests, target, body)
            except ProviderFailure as failure:
                failure.unsent = unsent = unsent and failure.unsent  # an earlier try may have cost something
                delay = max(RETRY_DELAY * 2**attempt, failure.retry_after or 0.0)
                late = clock.now() + delay >= deadline
                transient = failure.kind in (FailureKind.CONNECTION, FailureKind.SERVER)
                if attempt == retries or late or not transient or delay > LONGEST_RETRY_DELAY:
                    raise
            await asyncio.sleep(delay)
        raise AssertionError("the last try returns or raises")

    async def _ask(self, call: ProviderCall, requests: HttpRequests, target: URL, body: bytes) -> Answer:
        if self._authorization is None and not self._app_keys:
            return await self.send(target, self._heads.of(requests, call, target), body, call.timeout, call.trace)
        url = target.update_query(dict(call.query)) if call.query else target
        if self._app_keys:
            own = requests.of_app(required(call.credential, self.where))
            head = self.transport.head("POST", url, with_headers(requests.headers_of(call), own))
            return await self.send(target, head, body, call.timeout, call.trace)
        return await self.authorized("POST", url, requests.headers_of(call), body, call.timeout, call.trace)

    async def authorized(
        self,
        method: str,
        target: URL,
        headers: CIMultiDict[str],
        body: bytes | None,
        timeout: float,
        trace: CallTrace | None = None,
    ) -> Answer:
        """Ask with an authorization, and once more with a renewed one if the provider refuses it."""
        assert self._authorization is not None
        for again in (True, False):
            given = await self._authorization.headers(Unauthorized(method, str(target), headers, body or b""))
            head = self.transport.head(method, target, with_headers(headers, given))
            try:
                return await self.send(target, head, body, timeout, trace)
            except ProviderFailure as failure:
                if failure.kind is not FailureKind.AUTHENTICATION or not (self._authorization.refused(given) and again):
                    raise
        raise AssertionError("the second try returns or raises")

    def target(self, call: ProviderCall) -> Target:
        """Raises ProviderFailure if the format has no such operation."""
        return self._target(self.requests_of(call), call)

    def _target(self, requests: HttpRequests, call: ProviderCall) -> Target:
        target = requests.target(call)
        if target is None:
            spoken = call.format or self.speaks
            message = f"{self.where} speaks the format {spoken}, which has no {call.operation}"
            raise ProviderFailure(FailureKind.UNSUPPORTED, message, unsent=True)
        return target

    def requests_of(self, call: ProviderCall) -> HttpRequests:
        return self._by_format.get(call.format, self.requests)

    async def send(
        self, target: URL, head: bytes, body: bytes | None, timeout: float, trace: CallTrace | None = None
    ) -> Answer:
        """Returns a 2xx answer whose body has not been read."""
        began, slept = clock.now(), clock.slept()
        recorded: HttpCall | None = None
        if trace is not None:
            recorded = begun(trace, target, head, began)
            if trace.sent_on:
                head += trace.headers(recorded)
        try:
            try:
                response = await self.transport.send(head, body)
            except BaseException as raised:
                if recorded is not None:
                    failed(recorded, raised)
                raise
        except _TRANSPORT_ERRORS as exc:
            if isinstance(exc, ConnectTimeout) and clock.slept() > slept:
                message = f"meshd was suspended while it connected to {self.where}; ask again"
                raise ProviderFailure(FailureKind.LOCAL, message, unsent=True) from None
            raise self.failure(exc, timeout) from None
        except (RuntimeError, MemoryError) as lacking:
            if lack_of(lacking) is None:
                raise
            raise self.failure(lacking, timeout) from None
        if recorded is not None:
            answered(recorded, response)
        self._spoken = True
        if 200 <= response.status < 300:
            return response
        from meshd.formats.errors.response_failures import failure_from_response  # at the first failure

        said = b""
        stream = UpstreamBody(response)
        try:
            with Timeout(max(timeout - (clock.now() - began) - _A_MOMENT, 0.0)):
                said = await stream.read(MAX_ERROR_BODY)
        except _UNREAD:
            pass  # the status alone is enough
        finally:
            stream.abort()
        raise self.scrub(failure_from_response(response.status, said, response.headers, shown(target)))

    async def body(self, response: Answer, timeout: float, limit: int = MAX_BODY) -> bytes:
        try:
            return await UpstreamBody(response).read(limit)
        except BodyTooLarge as too_large:
            raise self.bad(f"{self.where} answered {too_large}", b"") from None
        except _TRANSPORT_ERRORS as exc:
            raise self.failure(exc, timeout) from None

    async def get(self, target: URL, timeout: float, limit: int) -> bytes:
        """limit: bytes of the answer."""
        queued.set(False)
        try:
            with Timeout(timeout):
                headers = self.requests.headers
                if self._authorization is None:
                    response = await self.send(target, self.transport.head("GET", target, headers), None, timeout)
                else:
                    response = await self.authorized("GET", target, headers, None, timeout)
                return await self.body(response, timeout, limit)
        except TimeoutError:
            raise self.out_of_time(timeout) from None

    def bad(self, message: str, body: bytes, usage: Usage | None = None) -> ProviderFailure:
        bad = ProviderFailure(FailureKind.BAD_ANSWER, message, status=200, body=body[:4096], usage=usage)
        return self.scrub(bad)

    def out_of_time(self, seconds: float) -> ProviderFailure:
        return self.failure(PoolFull(self.transport.full) if queued.get() else TimeoutError(), seconds)

    def failure(self, exc: BaseException, timeout: float) -> ProviderFailure:
        failure = failure_from_exception(exc, self.where, timeout)
        if isinstance(exc, Disconnected) and not self._spoken:
            failure = ProviderFailure(failure.kind, no_words(self.where, self._secure), unsent=failure.unsent)
        return self.scrub(failure)

    def scrub(self, failure: ProviderFailure) -> ProviderFailure:
        """Mask secrets: in their errors, some providers repeat the key, or the address, which may contain one."""
        return self._credentials().clean(failure)
