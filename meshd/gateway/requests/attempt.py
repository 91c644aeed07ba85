"""One attempt at one model: lease a connector, record that it may cost something, ask, settle.

Owns: the effects of one `AttemptStep`, from its back-off to its settlement.
Must never: decide what comes next (`routing/attempts/plan.py`), or answer the app before it is settled.

An attempt is written to the journal before it leaves, and settled before the app gets its outcome: a crash in between
may over-count, never under-count.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from meshd.compilation.body_fields import load_body_fields
from meshd.gateway.frontends.exchange import ClientGone
from meshd.gateway.requests import stream_relay
from meshd.gateway.requests.token_counting import count_text
from meshd.host import clock
from meshd.host.awake import Limit
from meshd.routing.attempts import usage as settlement
from meshd.routing.attempts.plan import AttemptStep
from meshd.routing.attempts.usage import Received
from meshd.routing.request import needs as reading
from meshd.routing.request.needs import RequestNeeds
from meshd.sdk.lenient import well_formed
from meshd.sdk.provider import (
    FailureKind,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    RateLimits,
    StreamEvent,
    Usage,
)

if TYPE_CHECKING:
    from meshd.gateway.requests.hedging import Race
    from meshd.gateway.requests.request import Inference

logger = logging.getLogger("meshd.gateway")

_OVERTIME = 1.0  # s that a connector may take to notice its timeout
_MOST_KEYS = 3  # in a row, if they are replaced during the attempt


class Fate(enum.Enum):
    """The outcome of an attempt."""

    ANSWERED = "answered"  # the answer is complete, and settled
    AGAIN = "again"  # it failed, and the request continues
    OVER = "over"  # it failed, and the request with it


class UpstreamAttempt:
    """`run` once. body: of a unary answer. usage: as the provider reports it, None until it does. first_token: seconds
    after it was sent, None before. broken: how a stream broke that no model can continue."""

    def __init__(self, request: Inference, step: AttemptStep, race: Race | None = None) -> None:
        self.request = request
        self.step = step
        self.race = race
        self.body: bytes | None = None
        self.usage: Usage | None = None
        self.first_token: float | None = None
        self.broken: stream_relay.Broken | None = None
        self.limits: RateLimits | None = None
        self.headers: Mapping[str, str] = {}  # of a unary answer, that its app may see
        self._text: list[str] = []  # received since the last report of usage
        self._events = 0  # with it
        self._size = 0  # bytes of all text received
        self._thought = False
        self.replaced = ""  # the implausible part of its provider's report
        self._asked: ProviderSettings | None = None  # what its provider was asked with
        self._written = False  # in the journal
        self._short = False  # the app's own deadline leaves it less time than the mesh would give it
        self._started = clock.now()
        self._limit: Limit | None = None  # of the asking, where a connector ignores its own

    @property
    def duration(self) -> float:
        return clock.now() - self._started

    async def run(self) -> Fate:
        """Raises CancelledError and ClientGone, settled."""
        plan, step = self.request.plan, self.step
        try:
            if step.wait:
                await asyncio.sleep(min(step.wait, max(plan.deadline - clock.now(), 0.0)))
                self._started = clock.now()
                if not plan.start(step, clock.now()):
                    return Fate.AGAIN
            try:
                await self._send()
            except ProviderFailure as refused:
                if other := self._other_limit(refused):
                    await self._send_with(other)
                else:
                    await self._send_again(refused)
        except ProviderFailure as failure:
            self._failed(failure)
            return Fate.AGAIN
        except stream_relay.Broken as broken:
            return self._broke(broken)
        except (asyncio.CancelledError, ClientGone):
            self._given_up()
            raise
        except Exception as error:  # a connector's bug must not leave the app hanging
            logger.exception("connector %s failed unexpectedly", step.model.provider)
            self._failed(stream_relay.bug(error))
            return Fate.AGAIN
        self._succeeded()
        return Fate.ANSWERED

    def commit(self) -> None:
        """This attempt has the first content: from here on its answer is the request's.

        Raises CancelledError if another was sooner.
        """
        self.first_token = self.duration
        if self.race is not None:
            self.race.claim(self)
        self.request.plan.note_begun()
        if self._limit is not None:
            self._limit.extend(self.request.plan.deadline - clock.now() + _OVERTIME)

    def note(self, event: StreamEvent) -> None:
        """An event came."""
        if event.limits is not None:
            self.limits = event.limits
        if event.content:
            # Everything received counts, reasoning and tool calls too.
            said = event.text + event.reasoning + event.extra
            self._size += len(said)
            self._events += 1
            self._text.append(said)
            if event.reasoning:
                self._thought = True
        if event.usage is not None:
            self.usage = _joined(self.usage, event.usage)
            self._text.clear()
            self._events = 0

    # -- asking ---------------------------------------------------------------------------------------

    async def _send(self) -> None:
        """Record that it leaves, and ask."""
        with self.request.mesh.provider(self.step.model.provider) as provider:
            self._asked = provider.settings
            self._write_down()
            call = self._call()
            patience = self.request.plan.deadline - self._started if call.stream else call.timeout
            self._limit = Limit(patience + _OVERTIME)
            try:
                with self._limit:
                    if call.stream:
                        await stream_relay.relay(self, provider, call)
                        return
                    answer = await provider.execute(call)
            except TimeoutError:
                patience = call.timeout if self.first_token is not None else patience
                failure = ProviderFailure(FailureKind.TIMEOUT, f"no answer within {patience:g} s")
                if self.first_token is not None:
                    raise stream_relay.Broken(failure) from None
                raise failure from None
        self.body, self.usage, self.limits, self.headers = answer.body, answer.usage, answer.limits, answer.headers
        self._size = len(answer.body) if answer.size is None else answer.size
        if self.race is not None:
            self.race.claim(self)  # the loser has used as much

    def _other_limit(self, refused: ProviderFailure) -> str:
        """The other name of the output limit, where the one that the mesh had added was refused; else "".

        The name of a deployment, or an alias, does not say which one its model takes.
        """
        model = self.step.model
        name = self.request.mesh.state.output_limit(model)
        added = name in self.request.fields_for(model) and name not in self.request.fields
        if refused.kind is not FailureKind.UNSUPPORTED or not added or not re.search(rf"\b{name}\b", refused.message):
            return ""
        return next(other for other in reading.OUTPUT_LIMITS if other != name)

    async def _send_with(self, limit: str) -> None:
        """With this name of the output limit, now and from now on, unless it is refused as well."""
        known = self.request.mesh.state.model(self.step.model.id)
        before, known.output_limit = known.output_limit, limit
        try:
            await self._send()
        except ProviderFailure as refused:
            if self._other_limit(refused):
                known.output_limit = before
            raise

    async def _send_again(self, refused: ProviderFailure) -> None:
        """Ask again if the refused key has been replaced: the provider is not to blame for the old one. Otherwise
        raises the refusal."""
        plan, ticket = self.request.plan, self.step.ticket
        for _ in range(_MOST_KEYS - 1):
            if self._asked is None:  # its connector could not even be made
                break
            key = ticket.key if ticket is not None else ""
            instead = await self.request.mesh.renewed(self._asked, key, refused, plan.deadline)
            if instead is None or clock.now() >= plan.deadline:
                break
            if ticket is not None:
                ticket.key = instead
            self._started = clock.now()
            try:
                return await self._send()
            except ProviderFailure as failure:
                refused = failure
        raise refused

    def _call(self) -> ProviderCall:
        request, plan, model = self.request, self.request.plan, self.step.model
        stream = self.step.pool.stream
        timeout, first_token = plan.deadline - self._started, stream.first_token_timeout
        if plan.needs.stream:
            # A stream may take as long as it needs: only silence, or the latest time of the request, ends it.
            self._short = timeout < first_token
            first_token = min(timeout, first_token)
            timeout = plan.latest - self._started
        else:
            allowed = request.table.providers[model.provider].timeout
            self._short = timeout < allowed
            timeout = min(timeout, allowed)
        fields = request.fields_for(model)
        if self._strips(plan.needs):
            fields = load_body_fields().priced(plan.needs, fields)
        return ProviderCall(
            request.operation,
            model.upstream,
            reading.with_parameters(fields, model.defaults, model.overrides),
            plan.needs.stream,
            max(timeout, 0.001),
            max(first_token, 0.001),
            stream.idle_timeout,
            request.exchange.request_id.hex(),
            self.step.ticket.key if self.step.ticket is not None else "",
            well_formed(request.delivery.text) if request.delivery.continued else "",
        )

    def _strips(self, needs: RequestNeeds) -> bool:
        """Whether fields that cannot be priced are left out: under a budget, if the pool says so."""
        if not (needs.costly or needs.unknown) or self.step.pool.unpriced_fields != "strip":
            return False
        return self.step.reservation is not None and self.step.reservation.route.budget is not None

    # -- the journal ----------------------------------------------------------------------------------

    def _write_down(self) -> None:
        """Note, in memory and durably, that an attempt is about to leave. Once."""
        if self._written:
            return
        request, step = self.request, self.step
        model, reservation = step.model, step.reservation
        assert reservation is not None, "nothing was reserved for it"
        known = request.mesh.state.model(model.id)
        known.requests += 1
        known.last_request = time.time()
        request.mesh.state.provider(model.provider).requests += 1
        request.leaves()
        self._written = True
        request.mesh.ledger.begin(
            request.exchange.request_id,
            time.time(),
            model.provider,
            model.id,
            step.pool.name,
            reservation.account,
            reservation.estimate.cost,
            request.exchange.deadline.latest,
            step.number,
            reservation.day,
            reservation.estimate.tokens_in,
            reservation.estimate.tokens_out,
        )

    def _settle(self, ok: bool) -> None:
        """Record what the plan has just settled. Once."""
        if self._written:
            self._written = False
            usage, step = self.step.usage, self.step
            self.request.mesh.ledger.settle(
                self.request.exchange.request_id,
                time.time(),
                usage.input_tokens,
                usage.output_tokens,
                usage.cached_tokens,
                step.cost,
                ok,
                step.number,
                step.sent,
            )
        if self.replaced:
            self.request.corrected(self)
        self.request.settled(self)

    # -- the end --------------------------------------------------------------------------------------

    def _succeeded(self) -> None:
        usage = self._used(None)
        now = clock.now()
        took = now - self._started
        self.request.plan.succeeded(now, took, step=self.step, usage=usage, limits=self.limits)
        self._settle(True)
        known = self.request.mesh.state.model(self.step.model.id)
        if self.first_token is not None:  # the whole duration of a stream also depends on the app
            known.first_token.add(self.first_token)
        else:
            known.total.add(took)

    def _failed(self, failure: ProviderFailure, *, begun: bool = False) -> None:
        """Note the failure, and blame what caused it."""
        plan, now = self.request.plan, clock.now()
        if failure.said or failure.usage is not None:
            self.note(StreamEvent(b"", bool(failure.said), failure.said, usage=failure.usage))
        usage = self._used(failure)
        if failure.kind is FailureKind.INVALID_REQUEST and self.request.delivery.continued:
            # Another model accepted the app's request: only the way of asking to continue is refused here.
            failure.kind = FailureKind.UNSUPPORTED
        # All the time a stream may take is its request's.
        ours = failure.kind is FailureKind.TIMEOUT and not failure.status  # a 408 is the provider's own
        late = now >= plan.deadline if begun else ours and self._short
        if late:
            plan.ran_out(now, self.duration, step=self.step, usage=usage)
            self._settle(False)
            return
        if failure.kind is FailureKind.LOCAL and failure.unsent:
            self._never_left()
        plan.failed(failure, now, self.duration, step=self.step, usage=usage, begun=begun)
        self._settle(False)
        self.request.mesh.failed(self.step.model.provider, failure)

    def _never_left(self) -> None:
        model, state = self.step.model, self.request.mesh.state
        state.model(model.id).requests -= 1
        state.provider(model.provider).requests -= 1

    def _broke(self, broken: stream_relay.Broken) -> Fate:
        """The app has part of the answer: may another model continue it?"""
        self._failed(broken.failure, begun=True)
        why_not = broken.final or self.request.delivery.cannot_continue(self.step.pool.stream)
        if not why_not:
            self.request.continues(self, broken.failure)
            return Fate.AGAIN
        self.broken = broken
        return Fate.OVER

    def _given_up(self) -> None:
        plan, now = self.request.plan, clock.now()
        usage = self._used(None, ended=self.body is not None)
        if self.race is not None and self.race.lost(self):
            plan.lost(now, self.duration, step=self.step, usage=usage, sent=self._written)
        else:
            plan.cancelled(now, self.duration, step=self.step, usage=usage, sent=self._written)
        self._settle(False)

    def _used(self, failure: ProviderFailure | None, *, ended: bool = True) -> Usage:
        """The provider's report if plausible, else by what came: never zero for what may have cost something. ended:
        False if the app went away before the end."""
        if not self._written:
            return Usage()
        reported, model, needs = self.usage, self.step.model, self.request.plan.needs
        if reported is not None and not self._events and settlement.may_be_true(reported, needs, model, self._size):
            return reported
        text = "".join(self._text) if self.body is None else settlement.answer_text(self.body)
        received = Received.of(text, self._events, count_text(model.vocabulary, text), self._thought)
        if reported is None:
            return settlement.used(failure, needs, model, received, ended=ended)
        # A report in the middle of a stream, and what came after it.
        more = settlement.used(None, needs, model, received).output_tokens if self._events else 0
        whole = received if self.body is not None else Received(self._size, thought=self._thought)
        usage, self.replaced = settlement.read(reported, needs, model, whole)
        return replace(usage, output_tokens=usage.output_tokens + more) if more else usage


def _joined(before: Usage | None, now: Usage) -> Usage:
    """A stream's later report includes its earlier ones; but some report the prompt at the beginning and the rest at
    the end."""
    if before is None or (now.input_tokens and now.output_tokens):
        return now
    return Usage(
        now.input_tokens or before.input_tokens,
        now.output_tokens or before.output_tokens,
        now.cached_tokens or before.cached_tokens,
        before.written_tokens if now.written_tokens is None else now.written_tokens,
    )
