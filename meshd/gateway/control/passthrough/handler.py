"""`/providers/NAME/…`: a provider's own API over HTTP, with the daemon's key.

Owns: who may use it, its limits, and what is counted. Must never: send a caller's credentials to a
provider that does not take them, or hold more of an
answer than its caller reads.
"""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from meshd.core.text.durations import ASK_AGAIN_IN
from meshd.gateway.access.app_identity import Identity
from meshd.gateway.access.rights import Reader
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import Dispatcher
from meshd.gateway.control.passthrough.asked import PREFIX, Asked, asked, headers_to_send
from meshd.gateway.control.passthrough.used import PassedUsage
from meshd.gateway.frontends.exchange import GONE, ClientGone, Request
from meshd.gateway.requests.outcome import outcome
from meshd.host import clock
from meshd.routing.decision.stages.credential import no_key
from meshd.routing.rates.headroom import NoRoom
from meshd.routing.rates.places import Place
from meshd.routing.table.specs import ProviderSpec
from meshd.sdk.calls.passing import RawAnswer, RawRequest
from meshd.sdk.provider import FailureKind, Provider, ProviderFailure
from modelmesh.errors import (
    AccessDeniedError,
    BudgetExceededError,
    InvalidRequestError,
    MeshError,
    NotFoundError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
)
from modelmesh.wording import short, told

OPERATION = "passthrough"
FINE_TUNING = "/v1/fine_tuning/"
_VERSION = "/v1/"
_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
_ERRORS: dict[FailureKind, type[ProviderError]] = {
    FailureKind.TIMEOUT: ProviderTimeoutError,
    FailureKind.CONNECTION: ProviderConnectionError,
}


class Passthrough(Group):
    def add_to(self, table: Dispatcher) -> None:
        for method in _METHODS:
            table.add_raw(method, PREFIX, self.pass_on, format="plain", streams=True)
            table.add_raw(method, FINE_TUNING, self.fine_tune, streams=True)

    async def pass_on(self, request: Request, rest: str) -> None:
        """rest: not used, as its escapes are resolved already."""
        await self._pass_on(request, asked(request.path, request.query))

    async def fine_tune(self, request: Request, rest: str) -> None:
        """Pass a request on to the one provider that is configured for fine-tuning."""
        reader = Reader.of(request.caller, self.runtime.apps, self.runtime.table)
        table = self.runtime.table
        names = [name for name in reader.providers() if table.providers[name].fine_tuning]
        if len(names) != 1:
            which = f"Several providers ({', '.join(map(short, names))}) have" if names else "No provider has"
            raise InvalidRequestError(
                f"{which} `fine_tuning.supported`, but exactly one must have it; set it for one, or ask at "
                f"{PREFIX}NAME/fine_tuning/….",
                code="fine_tuning_provider",
            )
        path = request.path.removeprefix(_VERSION)
        await self._pass_on(request, asked(f"{PREFIX}{quote(names[0], safe='')}/{path}", request.query))

    async def _pass_on(self, request: Request, what: Asked) -> None:
        if not request.reply.carries_bytes:
            raise InvalidRequestError("A provider's own API is passed on over HTTP only; ask there.", code="http_only")
        identity = self.runtime.apps.identify(request.caller, request.arrived_at)
        spec = self._allowed(request, what)
        self._check_money(identity, spec)
        place = self._place(identity, spec)
        passing = _Passing(request, spec)
        self.runtime.state.provider(spec.name).requests += 1
        try:
            with self.runtime.connectors.lease(spec.name) as provider:
                await passing.run(provider, what, place.key)
        except ProviderFailure as failure:
            passing.status, passing.error = 502, failure.message
            raise _error(spec.name, failure) from None
        except MeshError as error:
            passing.status, passing.error = error.status_code, passing.error or error.message
            raise
        except (asyncio.CancelledError, ClientGone):
            passing.status, passing.error = 499, GONE
            raise
        finally:
            self._account(identity, what, passing, place)

    # -- who may --------------------------------------------------------------------------------------

    def _allowed(self, request: Request, what: Asked) -> ProviderSpec:
        reader = Reader.of(request.caller, self.runtime.apps, self.runtime.table)
        if not reader.operator and not reader.app.passthrough:
            raise AccessDeniedError(
                f"{short(reader.identity.label)} may not use a provider's own API; set apps.NAME.passthrough, or use "
                "the mesh's API.",
                code="passthrough_denied",
            )
        spec = self.runtime.table.providers.get(what.provider)
        if spec is None or spec.name not in reader.providers():
            names = sorted(name for name in reader.providers() if self.runtime.table.providers[name].passthrough)
            raise NotFoundError(
                told(
                    f"No provider is called {short(repr(what.provider))}; see `meshctl providers`.",
                    f"passthrough is allowed for {', '.join(names)}" if names else "",
                ),
                code="provider_not_found",
            )
        if not spec.passthrough and not (spec.fine_tuning and request.path.startswith(FINE_TUNING)):
            raise AccessDeniedError(
                f"The API of {short(spec.name)} is not passed on; set providers.{short(spec.name)}.passthrough.",
                code="passthrough_off",
            )
        if spec.app_keys and request.credential is None:
            raise no_key(spec.name)
        if spec.disabled:
            raise ProviderError(f"Provider {short(spec.name)} cannot be used: {spec.disabled}", status_code=503)
        return spec

    def _check_money(self, identity: Identity, spec: ProviderSpec) -> None:
        """What such a request costs is not known, so no budget can pay for it."""
        table = self.runtime.table
        for scope in (("provider", spec.name), ("app", identity.account)):
            if any(each.measure == "cost" and each.enforce for each in table.allowances.get(scope, ())):
                raise BudgetExceededError(
                    f"The price of a request to a provider's own API is not known, and {scope[0]} {short(scope[1])} "
                    "has a budget; use the mesh's API, or remove the budget.",
                    code="unpriced",
                )

    def _place(self, identity: Identity, spec: ProviderSpec) -> Place:
        found = self.runtime.counters.enter(identity.account, identity.spec.rate, spec, clock.now())
        if isinstance(found, NoRoom):
            again = ASK_AGAIN_IN if found.frees_in is None else found.frees_in
            raise RateLimitError(f"{found.reason}.", retry_after=again)
        return found

    # -- counting -------------------------------------------------------------------------------------

    def _account(self, identity: Identity, what: Asked, passing: _Passing, place: Place) -> None:
        used = passing.used.total()
        self.runtime.counters.leave(place, used.input_tokens + used.output_tokens)
        self.runtime.outcomes.request_ended(
            outcome(
                passing.request, OPERATION, identity, what.path, passing.status,
                provider=passing.spec.name, error=passing.error, tokens_in=used.input_tokens,
                tokens_out=used.output_tokens, tokens_cached=used.cached_tokens,
                bytes_in=passing.bytes_in, bytes_out=passing.used.size,
            ),
            passing.request.work,
        )  # fmt: skip


class _Passing:
    """One request that is passed on. status: what its caller got."""

    def __init__(self, request: Request, spec: ProviderSpec) -> None:
        self.request = request
        self.spec = spec
        self.status = 500
        self.error = ""
        self.used = PassedUsage("")

    @property
    def bytes_in(self) -> int:
        upload = self.request.upload
        return len(self.request.body) if upload is None else upload.size

    async def run(self, provider: Provider, what: Asked, key: str) -> None:
        request = self.request
        sent = headers_to_send(request.headers)
        request.begun = True
        timeout = min(self.spec.timeout, request.deadline.left())
        body = request.body if request.upload is None else request.upload
        own = request.credential if self.spec.app_keys else None
        asked = RawRequest(request.method, what.path, what.query, sent, body, timeout, key, own)
        answer = await provider.forward(asked)
        try:
            await self._answer(answer)
        finally:
            answer.close()

    async def _answer(self, answer: RawAnswer) -> None:
        reply, self.status = self.request.reply, answer.status
        reply.begins({"provider": self.spec.name})
        self.used = PassedUsage(answer.headers.get("content-type", ""))
        if answer.status >= 400:
            await self._fail(answer)
            return
        reply.opens(answer.status, answer.headers)
        while data := await answer.more():
            self.used.feed(data)
            await reply.chunk(data)
            if reply.done:  # only the head was asked for
                return
        reply.end(None, {})

    async def _fail(self, answer: RawAnswer) -> None:
        """An error is short, and may repeat the key."""
        reply, said = self.request.reply, await answer.failure()
        self.error = f"{self.spec.name} answered {answer.status}"
        if not said:
            raise ProviderError(
                f"Provider {short(self.spec.name)} answered with {answer.status}.", status_code=answer.status
            )
        reply.opens(answer.status, answer.headers)
        self.used.feed(said)
        await reply.chunk(said)
        reply.end(None, {})


def _error(name: str, failure: ProviderFailure) -> MeshError:
    kind = _ERRORS.get(failure.kind, ProviderError)
    return kind(f"Provider {short(name)}: {failure.message}")
