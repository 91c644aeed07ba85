"""Providers over HTTP, in any wire format.

Owns: a single attempt: the request's bytes, its connection, and recognising a bad answer.
Must never: parse what it can pass on; know pools or other providers, or what a format is made of. Differences between
providers are quirks in `meshd/catalogue/providers.toml`, not classes:

  speaks             the wire formats of its API (`formats/known.py`), the preferred one first; else OpenAI's
  api_key_header     the header that carries the bare key, instead of `Authorization: Bearer`
  prefill            how it continues another model's answer (`formats/openai/body/prefill.py`)
  custom_tools       it knows tools that take any text (`"type": "custom"`), which OpenAI's chat servers seldom do
  late_instructions  it takes instructions between other messages, and the role `developer`
  no_stream_options  refuses `stream_options`
  rename, drop       request fields to send under another name, or not at all
  add, usual, clamp  fields to send and not to send, and bounds of numbers (`formats/openai/body/quirks.py`)
  roles, drop_in_messages   roles of messages to send as others, and fields not to send (the same)
  at_once, tokens_at_once   operation → how many inputs, or tokens, a call takes, also by model (`formats/split.py`)
  rows               operation → the name of the list in its answers
  query              query parameters for every request (`api-version`)
  models_path        where models are listed, relative to base_url
  no_models_list     the provider lists none: the catalogue's are used
  quota              where it reports what is used and left of the key's quota (`formats/openai/quota.py`)
  batches, vertex    its API for many requests at once (`formats/batches/known.py`); it is Vertex AI (`formats/gemini`)
  uds                path of the UNIX socket it listens on
  by_deployment      its models have paths of their own in an older API (`deployments.py`)

`api_key_header`, `prefill`, `rename`, `drop` and `models_path` mean the same in all formats.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from multidict import CIMultiDict
from yarl import URL

from meshd.connectors.providers.authorizations.known import authorization
from meshd.connectors.providers.authorizations.passthrough import masked, masked_events, required
from meshd.connectors.providers.deployments import Deployments, by_deployment
from meshd.connectors.providers.heads import Heads
from meshd.connectors.providers.http_requests import HttpRequests, Target, formats_of, shown, with_headers
from meshd.connectors.providers.model_pages import MAX_LIST, all_models
from meshd.connectors.providers.passing import forward
from meshd.connectors.providers.traced import sent
from meshd.formats.errors.not_answers import Broken
from meshd.formats.errors.transport_failures import failure_from_exception
from meshd.formats.errors.wrong_address import is_no_api, no_answer, no_words
from meshd.formats.headers import kept_headers, rate_limits
from meshd.formats.known import provider_format
from meshd.formats.openai.quota import QuotaQuirk, read_quota
from meshd.formats.openai.stream.event_stream import MAX_BODY
from meshd.formats.protocol import Opened, StreamReader
from meshd.formats.sse import begins_as_events
from meshd.host import clock
from meshd.host.awake import Timeout
from meshd.host.process.shortages import lack_of
from meshd.net.answers import Answer
from meshd.net.encodings import EncodingError
from meshd.net.failures import ConnectTimeout, Disconnected, PoolFull, TransportError
from meshd.net.http import BodyInHand, BodyTooLarge, Transport, UpstreamBody
from meshd.net.pool import queued
from meshd.sdk.calls.passing import RawAnswer, RawRequest, Written
from meshd.sdk.calls.tracing import CallTrace
from meshd.sdk.http.authorization import Unauthorized
from meshd.sdk.provider import (
    FailureKind,
    ModelListing,
    Provider,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    QuotaStatus,
    RateLimits,
    StreamEvent,
    Usage,
)

MAX_ERROR_BODY = 1024 * 1024
LIST_TIMEOUT = 15.0
# Between tries: a restarting server is back within a second; else the router asks another.
RETRY_DELAY = 0.2
LONGEST_RETRY_DELAY = 2.0
_A_MOMENT = 0.05  # s before an attempt's timeout, at which its status is reported without the error body

_TRANSPORT_ERRORS = (TransportError, OSError, TimeoutError, EncodingError)


class HttpProvider(Provider):
    """One provider, its base URL and its key; any number of models. Raises ValueError for unusable settings."""

    @classmethod
    def formats(cls, settings: ProviderSettings) -> tuple[str, ...]:
        return formats_of(by_deployment(settings))

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        settings = by_deployment(settings)
        self._deployments = Deployments(settings)
        names = formats_of(settings)
        self.speaks, self.also_speaks = names[0], frozenset(names[1:])
        self.custom_tools = bool(settings.quirks.get("custom_tools", self.speaks != "openai"))
        self.late_instructions = bool(settings.quirks.get("late_instructions", self.late_instructions))
        self._by_format = {
            name: HttpRequests(settings, provider_format(name).provider(settings), name) for name in names
        }
        self._requests = requests = self._by_format[self.speaks]
        self._where = requests.where
        self._secure = requests.base.scheme == "https"
        self._spoken = False  # whether the server has ever answered
        self._transport = Transport(
            secure=self._secure,
            host=requests.base.host or "",
            port=requests.base.port,
            uds=requests.uds,
            connect_timeout=settings.connect_timeout,
            max_connections=settings.max_connections,
            keepalive=settings.keepalive,
            ca_file=settings.options.get("ca_file"),
            proxy=settings.options.get("proxy"),
            found=settings.found,
            http2=settings.http2,
        )
        self._heads = Heads(self._transport, self._by_format.values(), settings.api_keys)
        self._authorization = authorization(settings, lambda secrets: self.credentials.learn(secrets))
        self._app_keys = settings.auth_method == "passthrough"
        self._unlisted = self._app_keys or bool(settings.quirks.get("no_models_list"))
        self._quota: QuotaQuirk | None = settings.quirks.get("quota")
        self.batches = "" if self._app_keys else str(settings.quirks.get("batches", ""))

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        if call.credential is None:
            return await self._execute(call)
        with masked(call.credential):
            return await self._execute(call)

    async def _execute(self, call: ProviderCall) -> ProviderAnswer:
        call = self._deployments.asked(call)
        queued.set(False)
        try:
            with Timeout(call.timeout):
                response = await self._open(call)
                streamed = "event-stream" in response.header(b"content-type")
                assembled = call.operation.streamed and not call.operation.ends
                if streamed and assembled:
                    body = await self._assembled(UpstreamBody(response), call)
                else:
                    body = await self._body(response, call.timeout)
                    if body[:1] != b"{" and assembled and begins_as_events(body):
                        body = await self._assembled(BodyInHand(body), call)
        except TimeoutError:
            raise self._out_of_time(call.timeout) from None
        raw = response.headers
        try:
            answer = self._requests_of(call).side.read(body, call, self._target(call).address)
        except ProviderFailure as failure:
            raise self._scrub(failure) from None
        headers = self.credentials.kept(kept_headers(raw))
        return ProviderAnswer(answer.body, answer.usage, rate_limits(raw), headers, answer.size, answer.content_type)

    def stream(self, call: ProviderCall) -> AsyncGenerator[StreamEvent, None]:
        events = self._stream(call)
        return events if call.credential is None else masked_events(events, call.credential)

    async def _stream(self, call: ProviderCall) -> AsyncGenerator[StreamEvent, None]:
        call = self._deployments.asked(call)
        started = clock.now()
        patience = min(call.first_token_timeout, call.timeout)
        queued.set(False)
        try:
            with Timeout(patience):
                response = await self._open(call)
        except TimeoutError:
            raise self._out_of_time(patience) from None
        kind = response.header(b"content-type")
        reader = self._reader(UpstreamBody(response), call, started, kind, rate_limits(response.headers))
        try:
            while not reader.done:
                for event in await reader.more():
                    yield event
        except ProviderFailure as failure:
            raise self._scrub(failure) from None
        finally:
            reader.close()

    async def _assembled(self, body: UpstreamBody | BodyInHand, call: ProviderCall) -> bytes:
        """The unary answer from a server that streams without being asked; byte for byte if the answer is unary after
        all."""
        reader = self._reader(body, call, clock.now())
        assembly = self._requests_of(call).side.assembling()
        said: list[str] = []
        try:
            while not reader.done:
                for event in await reader.more():
                    said.append(event.text + event.reasoning + event.extra)
                    if not event.hidden:
                        assembly.add(event.data)
        except ProviderFailure as failure:
            failure.said = "".join(said) + failure.said
            raise self._scrub(failure) from None
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
        opened = Opened(started, content_type, limits, lambda error: self._failure(error, call.timeout))
        return self._requests_of(call).side.stream(body, call, self._target(call).address, opened)

    async def list_models(self) -> list[ModelListing]:
        if self._unlisted:
            return self._deployments.catalogued()
        timeout = min(self.settings.timeout, LIST_TIMEOUT)
        return await all_models(self._requests.side, self._requests.models, timeout, self._get, self._models_in)

    def _models_in(self, body: bytes) -> list[ModelListing]:
        try:
            return self._requests.side.read_models(body)
        except ValueError as exc:
            if is_no_api(body):
                raise self._scrub(no_answer(shown(self._requests.models), body)) from None
            raise self._bad(f"{self._where} listed its models in an unknown form: {exc}", body) from None

    async def model_details(self, model: str) -> ModelListing | None:
        if self._unlisted:
            return None
        body = await self._get(self._requests.model(model), min(self.settings.timeout, LIST_TIMEOUT))
        try:
            return self._requests.side.read_model(body)
        except ValueError as exc:
            raise self._bad(f"{self._where} described {model} in an unknown form: {exc}", body) from None

    async def quota(self) -> QuotaStatus | None:
        if self._quota is None or self._requests.quota is None or self._app_keys:
            return None
        body = await self._get(self._requests.quota, min(self.settings.timeout, LIST_TIMEOUT))
        try:
            return read_quota(body, self._quota)
        except Broken as exc:
            raise self._bad(f"{self._where} reported its quota in an unknown form: {exc}", body) from None

    async def probe(self, timeout: float) -> float:
        if self._unlisted:
            raise ProviderFailure(FailureKind.UNSUPPORTED, f"{self.settings.connector} has no list of models")
        started = clock.now()
        body = await self._get(self._requests.models, timeout)
        if is_no_api(body):
            raise self._scrub(no_answer(shown(self._requests.models), body))
        return clock.now() - started

    async def forward(self, asked: RawRequest) -> RawAnswer:
        if self._app_keys:
            required(asked.credential, self._where)
        with masked(asked.credential):
            return await forward(
                self._requests, self._transport, self.credentials, self._failure, asked, self._authorization
            )

    def written(self, call: ProviderCall) -> Written:
        side = self._requests_of(call).side
        if (path := side.path(call.operation, call.model, stream=False)) is None:
            self._target(call)  # which raises
        return Written(path or "", side.write(call))

    def read(self, body: bytes, call: ProviderCall) -> ProviderAnswer:
        try:
            answer = self._requests_of(call).side.read(body, call, self._target(call).address)
        except ProviderFailure as failure:
            raise self._scrub(failure) from None
        return ProviderAnswer(answer.body, answer.usage, size=answer.size, content_type=answer.content_type)

    async def aclose(self) -> None:
        await self._transport.aclose()
        if self._authorization is not None:
            await self._authorization.aclose()

    async def _open(self, call: ProviderCall) -> Answer:
        """Send the request, with retries before the first byte. Returns a 2xx answer whose body is still to come."""
        target, body = self._target(call).url, self._requests_of(call).side.write(call)
        retries = self.settings.max_retries
        if not retries:
            return await self._ask(call, target, body)
        deadline = clock.now() + call.timeout
        unsent = True
        for attempt in range(retries + 1):
            try:
                return await self._ask(call, target, body)
            except ProviderFailure as failure:
                failure.unsent = unsent = unsent and failure.unsent  # an earlier try may have cost something
                delay = max(RETRY_DELAY * 2**attempt, failure.retry_after or 0.0)
                late = clock.now() + delay >= deadline
                transient = failure.kind in (FailureKind.CONNECTION, FailureKind.SERVER)
                if attempt == retries or late or not transient or delay > LONGEST_RETRY_DELAY:
                    raise
            await asyncio.sleep(delay)
        raise AssertionError("the last try returns or raises")

    async def _ask(self, call: ProviderCall, target: URL, body: bytes) -> Answer:
        requests = self._requests_of(call)
        if self._authorization is None and not self._app_keys:
            return await self._send(target, self._heads.of(requests, call, target), body, call.timeout, call.trace)
        url = target.update_query(dict(call.query)) if call.query else target
        if self._app_keys:
            own = requests.of_app(required(call.credential, self._where))
            head = self._transport.head("POST", url, with_headers(requests.headers_of(call), own))
            return await self._send(target, head, body, call.timeout, call.trace)
        return await self._authorized("POST", url, requests.headers_of(call), body, call.timeout, call.trace)

    async def _authorized(
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
            head = self._transport.head(method, target, with_headers(headers, given))
            try:
                return await self._send(target, head, body, timeout, trace)
            except ProviderFailure as failure:
                if failure.kind is not FailureKind.AUTHENTICATION or not (self._authorization.refused(given) and again):
                    raise
        raise AssertionError("the second try returns or raises")

    def _target(self, call: ProviderCall) -> Target:
        target = self._requests_of(call).target(call)
        if target is None:
            spoken = call.format or self.speaks
            message = f"{self._where} is asked in the format {spoken}, which has no {call.operation}"
            raise ProviderFailure(FailureKind.UNSUPPORTED, message, unsent=True)
        return target

    def _requests_of(self, call: ProviderCall) -> HttpRequests:
        return self._by_format.get(call.format, self._requests)

    async def _send(
        self, target: URL, head: bytes, body: bytes | None, timeout: float, trace: CallTrace | None = None
    ) -> Answer:
        began, slept = clock.now(), clock.slept()
        try:
            if trace is None:
                response = await self._transport.send(head, body)
            else:
                response = await sent(self._transport, trace, target, head, body)
        except _TRANSPORT_ERRORS as exc:
            if isinstance(exc, ConnectTimeout) and clock.slept() > slept:
                message = f"meshd was stopped while it connected to {self._where}; ask again"
                raise ProviderFailure(FailureKind.LOCAL, message, unsent=True) from None
            raise self._failure(exc, timeout) from None
        except (RuntimeError, MemoryError) as exc:
            if lack_of(exc) is None:
                raise
            raise self._failure(exc, timeout) from None
        self._spoken = True
        if 200 <= response.status < 300:
            return response
        from meshd.formats.errors.response_failures import failure_from_response  # at the first failure

        said = b""
        stream = UpstreamBody(response)
        try:
            with Timeout(max(timeout - (clock.now() - began) - _A_MOMENT, 0.0)):
                said = await stream.read(MAX_ERROR_BODY)
        except (BodyTooLarge, *_TRANSPORT_ERRORS):
            pass  # the status alone is enough
        finally:
            stream.abort()
        raise self._scrub(failure_from_response(response.status, said, response.headers, shown(target)))

    async def _body(self, response: Answer, timeout: float, limit: int = MAX_BODY) -> bytes:
        try:
            return await UpstreamBody(response).read(limit)
        except BodyTooLarge as exc:
            raise self._bad(f"{self._where} answered {exc}", b"") from None
        except _TRANSPORT_ERRORS as exc:
            raise self._failure(exc, timeout) from None

    async def _get(self, target: URL, timeout: float, limit: int = MAX_LIST) -> bytes:
        queued.set(False)
        try:
            with Timeout(timeout):
                headers = self._requests.headers
                if self._authorization is None:
                    response = await self._send(target, self._transport.head("GET", target, headers), None, timeout)
                else:
                    response = await self._authorized("GET", target, headers, None, timeout)
                return await self._body(response, timeout, limit)
        except TimeoutError:
            raise self._out_of_time(timeout) from None

    def _bad(self, message: str, body: bytes, usage: Usage | None = None) -> ProviderFailure:
        bad = ProviderFailure(FailureKind.BAD_ANSWER, message, status=200, body=body[:4096], usage=usage)
        return self._scrub(bad)

    def _out_of_time(self, seconds: float) -> ProviderFailure:
        return self._failure(PoolFull(self._transport.full) if queued.get() else TimeoutError(), seconds)

    def _failure(self, exc: BaseException, timeout: float) -> ProviderFailure:
        failure = failure_from_exception(exc, self._where, timeout)
        if isinstance(exc, Disconnected) and not self._spoken:
            failure = ProviderFailure(failure.kind, no_words(self._where, self._secure), unsent=failure.unsent)
        return self._scrub(failure)

    def _scrub(self, failure: ProviderFailure) -> ProviderFailure:
        """Mask secrets: some providers repeat the key in their errors, or the address, which may contain one."""
        return self.credentials.clean(failure)
