"""Providers with an API of their own, for one or a few operations: searches, translations, documents, speech, ….

Owns: a call's steps (`meshd/services`) and its answer. Must never: know a particular service.
Operations that the service itself does not have are sent in the formats of the row's `speaks`, if it has any.

Quirks besides those of `http_provider.py`:

  service         which service of `meshd/services/known.py` it is
  hosts           name → base URL, for services with more than one server; a configured `base_url` replaces them all
  homes           the end of a key → the base URL that such keys belong to
  downloads       hosts, with their subdomains, that files are fetched from without the key
  api_key_scheme  what precedes the key in `Authorization`, instead of `Bearer`
  statuses        status → kind of failure, for statuses of the provider's own
  probe           a path that can be asked free of charge, to see whether the service is up; by default, that of `quota`
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from meshd.connectors.providers.services.run import carry_out
from meshd.connectors.providers.services.server import ServiceServer
from meshd.connectors.providers.services.servers import Servers, at_home
from meshd.formats.headers import kept_headers, rate_limits
from meshd.formats.openai.stream.pieces import PIECE, PieceReader
from meshd.formats.protocol import Address, Opened
from meshd.host import clock
from meshd.host.awake import Timeout
from meshd.net.answers import Answer
from meshd.net.connections.pool import queued
from meshd.net.http import UpstreamBody
from meshd.sdk.provider import (
    FailureKind,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    RateLimits,
    StreamEvent,
    Usage,
)
from meshd.sdk.reading import lenient
from meshd.services.known import service
from meshd.services.seam import Ask, Asked, File, Result, Told

CANCEL_TIMEOUT = 10.0
"""Seconds for the request that ends a job."""


class ServiceProvider(ServiceServer):
    """Raises ValueError for settings that cannot be used."""

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(at_home(settings))
        quirks = settings.quirks
        self._operations = service(quirks["service"]).operations
        self._speaks_too = bool(quirks.get("speaks"))
        self._probe: str | None = quirks.get("probe") or (quirks.get("quota") or {}).get("path")
        self._cancelling: set[asyncio.Task[None]] = set()
        self.servers = Servers(settings, self)

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        if self._is_spoken(call):
            return await super().execute(call)
        run = _Run(self, call, call.timeout)
        queued.set(False)
        try:
            with Timeout(call.timeout):
                result = await run.result()
                body, content_type = result.body, result.content_type
                if run.piped is not None:
                    content_type = content_type or run.piped.header(b"content-type")
                    body = await self._http.body(run.piped, call.timeout, run.most)
        except TimeoutError:
            raise self._http.out_of_time(call.timeout) from None
        if result.document is not None:
            body, content_type = _with_model(result.document, call.model), "application/json"
        headers = self.credentials.kept(kept_headers(run.headers))
        return ProviderAnswer(body, _usage(result, call), run.limits, headers, None, content_type)

    async def stream(self, call: ProviderCall) -> AsyncGenerator[StreamEvent, None]:
        if self._is_spoken(call):
            async for event in super().stream(call):
                yield event
            return
        started = clock.now()
        run = _Run(self, call, min(call.first_token_timeout, call.timeout))
        queued.set(False)
        try:
            with Timeout(call.timeout):
                result = await run.result()
        except TimeoutError:
            raise self._http.out_of_time(call.timeout) from None
        if run.piped is None:
            for event in _events(result):
                yield event
        else:
            content_type = result.content_type or run.piped.header(b"content-type")
            opened = Opened(started, content_type, run.limits, lambda error: self._http.failure(error, call.timeout))
            reader = PieceReader(UpstreamBody(run.piped), call, Address(self._where, self._where), opened)
            try:
                while not reader.done:
                    for event in await reader.more():
                        yield event
            except ProviderFailure as failure:
                raise self._http.scrub(failure) from None
            finally:
                reader.close()
        yield StreamEvent(b"", hidden=True, usage=_usage(result, call), limits=run.limits)

    async def probe(self, timeout: float) -> float:
        if self._probe is None:
            raise ProviderFailure(FailureKind.UNSUPPORTED, f"{self.settings.connector} cannot be probed free of charge")
        started = clock.now()
        queued.set(False)
        try:
            with Timeout(timeout):
                await self.ask(Ask("GET", self._probe), "", timeout)
        except TimeoutError:
            raise self._http.out_of_time(timeout) from None
        return clock.now() - started

    async def aclose(self) -> None:
        for task in self._cancelling:
            task.cancel()
        await asyncio.gather(*self._cancelling, return_exceptions=True)
        await self.servers.aclose()
        await super().aclose()

    def operation(self, call: ProviderCall) -> Any:
        """The service's function for it."""
        return self._operations[str(call.operation)]

    def cancel(self, asked: Ask, key: str) -> None:
        """End a job in the background."""
        task = asyncio.get_running_loop().create_task(self._cancelled(asked, key))
        self._cancelling.add(task)
        task.add_done_callback(self._cancelling.discard)

    def _is_spoken(self, call: ProviderCall) -> bool:
        """Whether the call is sent in a wire format. Raises ProviderFailure if it cannot be sent at all."""
        if str(call.operation) in self._operations:
            return False
        if not self._speaks_too:
            message = f"{self.settings.connector} has no {call.operation}"
            raise ProviderFailure(FailureKind.UNSUPPORTED, message, unsent=True)
        return True

    async def _cancelled(self, asked: Ask, key: str) -> None:
        try:
            with Timeout(CANCEL_TIMEOUT):
                await self.servers.of(asked).ask(asked, key, CANCEL_TIMEOUT)
        except (ProviderFailure, TimeoutError):
            pass  # the job will end by itself


class _Run:
    """The steps of one call. timeout: seconds for each request. piped: the answer whose body the app gets, at most
    `most` bytes. headers, limits: of the last answer."""

    def __init__(self, provider: ServiceProvider, call: ProviderCall, timeout: float) -> None:
        self._provider = provider
        self._call = call
        self._timeout = timeout
        self.piped: Answer | None = None
        self.most = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.limits: RateLimits | None = None

    async def result(self) -> Result:
        """Raises ProviderFailure, without secrets."""
        provider, call = self._provider, self._call
        try:
            steps = provider.operation(call)(_asked(call))
            return await carry_out(steps, self._ask, self._malformed, lambda asked: provider.cancel(asked, call.key))
        except BaseException as error:
            if self.piped is not None:
                self.piped.abort()
            if isinstance(error, ProviderFailure):
                raise provider.credentials.clean(error) from None
            raise

    async def _ask(self, asked: Ask) -> Told:
        answer, told = await self._provider.servers.of(asked).ask(asked, self._call.key, self._timeout)
        self.headers = answer.headers
        self.limits = rate_limits(answer.headers) or self.limits
        if asked.piped:
            self.piped, self.most = answer, asked.most
        return told

    def _malformed(self, asked: Ask, told: Told | None, lacks: str) -> ProviderFailure:
        return self._provider.servers.of(asked).malformed(asked, told, lacks)


def _asked(call: ProviderCall) -> Asked:
    fields = {name: lenient.decode(bytes(raw)) for name, raw in call.fields.items()}
    files: list[File] = []
    seen: dict[str, int] = {}
    for part in call.form.parts if call.form is not None else ():
        told = fields.get(part.field)
        place = seen[part.field] = seen.get(part.field, -1) + 1
        described = told[place] if isinstance(told, list) and place < len(told) else told
        if isinstance(described, dict):
            name, kind = str(described.get("filename", "")), str(described.get("content_type", ""))
            files.append(File(part.field, name, kind, part.content))
    given = {name: value for name, value in fields.items() if value is not None}
    return Asked(call.model, given, tuple(files), call.stream)


def _usage(result: Result, call: ProviderCall) -> Usage | None:
    """None if the result does not report any usage that is billed."""
    if call.operation.tokens and result.input_tokens is None:
        return None
    return Usage(result.input_tokens or 0, units=tuple(result.units.items()), kind=tuple(result.kind.items()))


def _with_model(document: Any, model: str) -> bytes:
    return lenient.plain({"model": model, **document} if isinstance(document, dict) else document)


def _events(result: Result) -> list[StreamEvent]:
    """A complete answer as a stream: the pieces of a file; for JSON its events, or the document as the only one."""
    if result.document is None and not result.events:
        body, kind = result.body, result.content_type
        return [
            StreamEvent(body[at : at + PIECE], content=True, content_type="" if at else kind)
            for at in range(0, len(body), PIECE)
        ]
    documents = result.events or (result.document,)
    last = len(documents) - 1
    return [
        StreamEvent(
            lenient.plain(each),
            content=True,
            text=str(each.get("delta") or "") if isinstance(each, dict) else "",
            finish_reason="stop" if number == last else None,
        )
        for number, each in enumerate(documents)
    ]
