"""One attempt at one model: lease a connector, record that it may cost something, ask, settle.

Owns: the effects of one `AttemptStep`, from its back-off to its settlement.
Must never: decide what comes next (its plan does), know who makes it, or answer the app.

An attempt is written to the journal before it is sent, and settled before the app gets its outcome. A crash in between
may over-count, but never under-counts.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from functools import partial
from typing import Final, Protocol

import msgspec

from meshd.core.needs import OUTPUT_LIMITS
from meshd.formats.protocol import Format, PassedOn
from meshd.formats.split import Asked, in_calls
from meshd.gateway.frontends.exchange import ClientGone
from meshd.gateway.requests.attempts.attempt_plan import Fate, Hooks, Plan
from meshd.gateway.requests.attempts.journal_entries import write_begin, write_end
from meshd.gateway.requests.attempts.usage_meter import UsageMeter
from meshd.gateway.requests.streams.delivery import Delivery
from meshd.gateway.requests.streams.relay import Broken, failure_of_bug, relay
from meshd.gateway.runtime import Runtime
from meshd.gateway.spoken import in_format
from meshd.host import clock
from meshd.host.awake import Timeout
from meshd.routing.attempts.step import AttemptStep
from meshd.routing.table.specs import ModelSpec
from meshd.sdk.calls.credential import Credential
from meshd.sdk.calls.form import Form
from meshd.sdk.calls.tracing import CallTrace
from meshd.sdk.provider import (
    FailureKind,
    OperationSpec,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    Usage,
)
from meshd.sdk.reading.lenient import well_formed

logger = logging.getLogger("meshd.gateway")

OVERTIME: Final = 1.0
"""Seconds that a connector may take to notice its timeout."""
_MOST_KEYS = 3  # keys that one attempt tries, if keys are replaced during it


class AttemptContext(Protocol):
    """What an attempt needs from the request or probe that makes it. format: that of its fields. request_id: for
    the journal. form: the app's body, if it is one. delivery: where its stream goes; None if it is not a stream.
    hooks: None if there are none."""

    runtime: Runtime
    operation: OperationSpec
    format: Format

    @property
    def plan(self) -> Plan: ...

    request_id: bytes

    @property
    def form(self) -> Form | None: ...

    @property
    def delivery(self) -> Delivery | None: ...

    @property
    def hooks(self) -> Hooks | None: ...

    @property
    def passed_on(self) -> PassedOn:
        """What is forwarded besides the body to a provider of its format."""
        ...

    def trace_of(self, step: AttemptStep, began: float) -> CallTrace | None:
        """One object for all calls of the attempt, which began at that time; None if they are not traced."""

    def credential_for(self, model: ModelSpec) -> Credential | None:
        """The app's own, if the model's provider takes it."""

    def patience(self, model: ModelSpec) -> float:
        """How many seconds the model may take for a unary answer."""
        ...

    async def prompt_tokens(self, model: ModelSpec) -> int:
        """The prompt's tokens, for an app whose stream is translated: counted with the model's vocabulary, else
        estimated."""
        ...

    def fields_for(self, step: AttemptStep) -> Mapping[str, msgspec.Raw]:
        """The body's top level for the step's model."""
        ...

    def added_limit(self, model: ModelSpec) -> str:
        """The name of the output limit that was added for this model, "" if none was."""
        ...

    def about_to_send(self, step: AttemptStep) -> None:
        """The attempt may cost something from here on. Once per attempt."""
        ...

    def settled(self, attempt: UpstreamAttempt) -> None:
        """It has ended, in any way, and is recorded."""
        ...


class Contest(Protocol):
    """A contest between attempts: only the first with an answer counts."""

    def claim(self, attempt: UpstreamAttempt) -> None:
        """Raises CancelledError if another attempt was first."""
        ...

    def lost(self, attempt: UpstreamAttempt) -> bool: ...


class UpstreamAttempt:
    """Call `run` once. headers: those of a unary answer that its app may see. first_token: seconds from sending to the
    first content, None before. took: seconds until its answer was complete. failure: the failure that its model is
    blamed for. broken: how its stream broke."""

    def __init__(self, context: AttemptContext, step: AttemptStep, race: Contest | None = None) -> None:
        self.context = context
        self.step = step
        self.race = race
        self.meter = UsageMeter(context.format.app)
        self.headers: Mapping[str, str] = {}
        self.first_token: float | None = None
        self.took: float | None = None
        self.failure: ProviderFailure | None = None
        self.broken: Broken | None = None
        self._asked: ProviderSettings | None = None  # what its provider was asked with
        self._written = False  # in the journal
        self._bare = False  # it is asked without the reasoning of earlier turns
        self._short = False  # the app's own deadline leaves it less time than the mesh would
        self._started = clock.now()
        self._limit: Timeout | None = None  # of the call, if a connector ignores its own timeout

    @property
    def duration(self) -> float:
        return clock.now() - self._started

    async def run(self) -> Fate:
        """Raises CancelledError and ClientGone, but only after settling."""
        plan, step = self.context.plan, self.step
        try:
            if step.wait:
                await asyncio.sleep(min(step.wait, max(plan.deadline - clock.now(), 0.0)))
                self._started = clock.now()
                if not plan.start(step, clock.now()):
                    return Fate.AGAIN
            if self.context.hooks is not None:
                await self.context.hooks.before_attempt(step)
                self._started = clock.now()
            try:
                await self._send()
            except ProviderFailure as refused:
                if other := self._other_limit(refused):
                    await self._send_with(other)
                elif self._leaves_reasoning_out(refused):
                    await self._send()
                else:
                    await self._send_again(refused)
        except ProviderFailure as failure:
            self._failed(failure)
            return Fate.AGAIN
        except Broken as broken:
            return self._broke(broken)
        except (asyncio.CancelledError, ClientGone):
            self._given_up()
            raise
        except Exception as error:  # a connector's bug must not leave the app hanging
            logger.exception("connector %s failed unexpectedly", step.model.provider)
            self._failed(failure_of_bug(error))
            return Fate.AGAIN
        self._succeeded()
        return Fate.ANSWERED

    def commit(self) -> None:
        """This attempt has the first content: from here on its answer is the request's.

        Raises CancelledError if another attempt was first.
        """
        self.first_token = self.duration
        if self.race is not None:
            self.race.claim(self)
        self.context.plan.note_begun()
        if self.context.delivery is not None:
            self.context.delivery.begins(self.step)
        if self._limit is not None:
            self._limit.extend(self.context.plan.deadline - clock.now() + OVERTIME)

    # -- asking ---------------------------------------------------------------------------------------

    async def _send(self) -> None:
        """Record that the attempt is sent, and send it."""
        with self.context.runtime.connectors.lease(self.step.model.provider) as provider:
            self._asked = provider.settings
            call = self._call()
            count = partial(self.context.prompt_tokens, self.step.model)
            asked = in_calls(await in_format(provider, self.context.format, call.fields, count), provider, call)
            await self._write_down()
            if provider.keeps_time and asked is provider and not call.stream:
                answer = await provider.execute(call)
            elif (watched := await self._watched(asked, call)) is not None:
                answer = watched
            else:
                return
        self.headers = answer.headers
        self.meter.count_answer(answer)
        if self.race is not None:
            self.race.claim(self)  # only now, since a losing attempt has used as much

    async def _watched(self, asked: Asked, call: ProviderCall) -> ProviderAnswer | None:
        """Call a connector that may ignore its timeouts. None: a stream, which has ended."""
        patience = self.context.plan.deadline - self._started if call.stream else call.timeout
        self._limit = Timeout(patience + OVERTIME)
        try:
            with self._limit:
                if not call.stream:
                    return await asked.execute(call)
                delivery = self.context.delivery
                assert delivery is not None, "nothing takes the stream"
                await relay(asked, call, delivery, self.meter.count_event, self.commit)
                return None
        except TimeoutError:
            patience = call.timeout if self.first_token is not None else patience
            failure = ProviderFailure(FailureKind.TIMEOUT, f"no answer within {patience:g} s")
            if self.first_token is not None:
                raise Broken(failure) from None
            raise failure from None

    def _other_limit(self, refused: ProviderFailure) -> str:
        """The other name of the output limit, if the provider refused the one that the mesh had added; else "".

        The name of a deployment, or an alias, does not tell which one its model accepts.
        """
        if refused.kind is not FailureKind.UNSUPPORTED:
            return ""
        name = self.context.added_limit(self.step.model)
        if not name or not re.search(rf"\b{name}\b", refused.message):
            return ""
        return next(other for other in OUTPUT_LIMITS if other != name)

    async def _send_with(self, limit: str) -> None:
        """Send it with this name of the output limit, and use that from now on unless it is refused as well."""
        known = self.context.runtime.state.model(self.step.model.id)
        before, known.output_limit = known.output_limit, limit
        try:
            await self._send()
        except ProviderFailure as refused:
            if self._other_limit(refused):
                known.output_limit = before
            raise

    def _leaves_reasoning_out(self, refused: ProviderFailure) -> bool:
        """Whether the provider refused the reasoning in the conversation, so that it is asked without it."""
        if not refused.of_reasoning:
            return False
        fields = self.context.fields_for(self.step)
        self._bare = self.context.format.app.without_reasoning(fields) is not fields
        if self._bare:
            self.step.remark = "asked again without the reasoning of earlier turns, which it refused"
        return self._bare

    async def _send_again(self, refused: ProviderFailure) -> None:
        """Ask again if the refused key has been replaced: the provider is not to blame for the old one. Otherwise
        raises the refusal."""
        plan, ticket = self.context.plan, self.step.ticket
        for _ in range(_MOST_KEYS - 1):
            if self._asked is None:  # the connector could not even be created
                break
            key = ticket.key if ticket is not None else ""
            instead = await self.context.runtime.keys.renewed(self._asked, key, refused, plan.deadline)
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
        context, plan, model = self.context, self.context.plan, self.step.model
        stream, delivery = self.step.pool.stream, self.context.delivery
        timeout, first_token = plan.deadline - self._started, stream.first_token_timeout
        if plan.needs.stream:
            # A stream may take as long as it needs: only silence, or the request's latest time, ends it.
            self._short = timeout < first_token
            first_token = min(timeout, first_token)
            timeout = plan.latest - self._started
        else:
            allowed = context.patience(model)
            self._short = timeout < allowed
            timeout = min(timeout, allowed)
        ticket, passed_on = self.step.ticket, context.passed_on
        fields = context.fields_for(self.step)
        if self._bare:
            fields = context.format.app.without_reasoning(fields)
        return ProviderCall(
            context.operation,
            model.upstream,
            fields,
            plan.needs.stream,
            max(timeout, 0.001),
            max(first_token, 0.001),
            stream.idle_timeout,
            context.request_id.hex(),
            ticket.key if ticket is not None else "",
            well_formed(delivery.text) if delivery is not None and delivery.continued else "",
            context.form,
            format=context.format.name,
            headers=passed_on.headers,
            query=passed_on.query,
            most_output=model.max_output_tokens,
            mark_caches=self.step.pool.mark_caches,
            credential=context.credential_for(model),
            trace=context.trace_of(self.step, self._started),
        )

    # -- the journal ----------------------------------------------------------------------------------

    async def _write_down(self) -> None:
        """Record once, in memory and durably, that the attempt is about to be sent."""
        if self._written:
            return
        context = self.context
        context.about_to_send(self.step)
        self._written = True
        await write_begin(context.runtime, context.request_id, self.step, context.plan)

    def _settle(self, ok: bool) -> None:
        """Record once what the plan has just settled."""
        if self._written:
            self._written = False
            write_end(self.context.runtime.ledger, self.context.request_id, self.step, ok)
        self.context.settled(self)

    # -- the end --------------------------------------------------------------------------------------

    def _succeeded(self) -> None:
        usage, now = self._used(None), clock.now()
        self.took = now - self._started
        self.context.plan.succeeded(now, self.took, step=self.step, usage=usage, limits=self.meter.limits)
        self._settle(True)

    def _failed(self, failure: ProviderFailure, *, begun: bool = False) -> None:
        """Record the failure, and blame whatever caused it."""
        plan, delivery, now = self.context.plan, self.context.delivery, clock.now()
        self.meter.count_failure(failure)
        usage = self._used(failure)
        if failure.kind is FailureKind.INVALID_REQUEST and delivery is not None and delivery.continued:
            # Another model accepted the app's request: only the way of asking to continue is refused here.
            failure.kind = FailureKind.UNSUPPORTED
        # A stream may take all the time that its request has.
        ours = failure.kind is FailureKind.TIMEOUT and not failure.status  # a 408 is the provider's own
        if now >= plan.deadline if begun else ours and self._short:
            plan.ran_out(now, self.duration, step=self.step, usage=usage)
        else:
            self.failure = failure
            plan.failed(failure, now, self.duration, step=self.step, usage=usage, begun=begun)
        self._settle(False)

    def _broke(self, broken: Broken) -> Fate:
        """The app already has part of the answer. Returns whether another model may continue it."""
        self.broken = broken
        self._failed(broken.failure, begun=True)
        delivery = self.context.delivery
        assert delivery is not None, "nothing took the stream"
        why_not = broken.final or delivery.cannot_continue(self.step.pool.stream)
        return Fate.OVER if why_not else Fate.CONTINUES

    def _given_up(self) -> None:
        plan, now = self.context.plan, clock.now()
        usage = self._used(None, ended=self.meter.body is not None)
        end = plan.lost if self.race is not None and self.race.lost(self) else plan.cancelled
        end(now, self.duration, step=self.step, usage=usage, sent=self._written)
        self._settle(False)

    def _used(self, failure: ProviderFailure | None, *, ended: bool = True) -> Usage:
        if not self._written:
            return Usage()
        return self.meter.used(self.context.plan.needs, self.step.model, failure, ended=ended)
