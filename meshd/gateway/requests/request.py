"""The life of an inference request: read, decide, wait, attempt, continue elsewhere, answer, account.

Owns: the effects around a `RequestPlan`; one coroutine per request.
Must never: hold a rule of routing (those are in `meshd/routing`), or wait for another actor.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from meshd.core.events.event_type import EventType
from meshd.core.events.records import Outcome
from meshd.core.money import dollars
from meshd.core.needs import of_the_rest
from meshd.core.seconds import to_micros
from meshd.formats.protocol import Format, PassedOn
from meshd.gateway.access.app_identity import Identity
from meshd.gateway.frontends.exchange import ClientGone, Reply, Request
from meshd.gateway.reports.request_events import RequestEvents
from meshd.gateway.requests.attempts.attempt import UpstreamAttempt
from meshd.gateway.requests.attempts.attempt_plan import Fate, Hooks
from meshd.gateway.requests.attempts.hedging import Race, hedge_delay
from meshd.gateway.requests.outcome import Served, outcome
from meshd.gateway.requests.streams.delivery import Delivery
from meshd.gateway.requests.streams.interruption import interrupted, within_a_stream
from meshd.gateway.requests.token_counting import Body, count_all
from meshd.gateway.runtime import Runtime
from meshd.gateway.spoken import Spoken
from meshd.host import clock
from meshd.routing.attempts.plan import GiveUp, RequestPlan
from meshd.routing.attempts.step import AttemptStep
from meshd.routing.attempts.waiting import Wait
from meshd.routing.availability.consequences import is_of_the_app
from meshd.routing.request.estimate import OUTPUT_UNKNOWN
from meshd.routing.request.unpriced import costly
from meshd.routing.request.vocabularies import vocabularies_wanted
from meshd.routing.table.specs import ModelSpec, RoutingTable, Target
from meshd.sdk.calls.credential import Credential
from meshd.sdk.calls.form import Form
from meshd.sdk.calls.tracing import CallTrace
from meshd.sdk.provider import FailureKind, OperationSpec, ProviderFailure, Usage
from modelmesh.errors import MeshError, RequestCancelledError

_NOTHING: Final = Usage()


class InferenceRequest:
    """One request in flight. format: the app's. fields: those of its body, as they are sent. body: the same, as they
    are read. answered_by: the model of the last attempt. queue_time, routing_time: seconds. cost: that of all attempts,
    in 10⁻⁹ USD. corrections: those of implausible usage. hooks: None if there are none."""

    def __init__(
        self,
        runtime: Runtime,
        request: Request,
        spoken: Spoken,
        table: RoutingTable,
        asked: str,
        target: Target,
        plan: RequestPlan,
        fields: Mapping[str, msgspec.Raw],
        identity: Identity,
        body: Body,
        delivery: Delivery,
    ) -> None:
        self.runtime = runtime
        self.request = request
        self.request_id = request.request_id
        self.form: Form | None = request.form
        self.operation: OperationSpec = spoken.operation
        self.format: Format = spoken.format
        self.table = table
        self.asked = asked
        self.target = target
        self.plan = plan
        self.fields = fields
        self.identity = identity
        self.body = body
        self.reply = delivery.reply
        self.delivery = delivery
        self.hooks: Hooks | None = None
        self.answered_by: ModelSpec | None = None
        self.queue_time = self.routing_time = 0.0
        self.first_token: float | None = None
        self.usage = _NOTHING
        self.cost = 0
        self.corrections: list[str] = []
        self._answered = False

    @property
    def events(self) -> RequestEvents:
        owner = self.request.caller.uid, self.identity.account
        return RequestEvents(self.runtime.publisher, self.request_id, owner)

    # -- life -----------------------------------------------------------------------------------------

    async def answer(self, reply: Reply) -> bool:
        """Run with another reply, which may belong to several apps. Returns whether the answer may be kept."""
        self.reply = self.delivery.reply = reply
        await self.run()
        return self._answered and not self.delivery.continued  # a complete answer from one model

    async def run(self) -> None:
        """Run until the app has its answer or error. Raises only CancelledError."""
        request = self.request
        try:
            await self._count()
            while True:
                step = await self._next()
                if isinstance(step, GiveUp):
                    self._fail(step.error)
                    return
                if await self._attempt(step):
                    return
        except asyncio.CancelledError:
            if request.cut_off is None:
                self._account(499, "the app cancelled it or disconnected")
            else:
                self._account(request.cut_off.status_code, request.cut_off.message)
            self.reply.error(RequestCancelledError("The request was cancelled."))
            raise
        except ClientGone as gone:
            self._account(gone.status, gone.why)
        except Exception as bug:
            self._abandon(f"the daemon failed: {type(bug).__name__}")
            raise

    def _abandon(self, why: str) -> None:
        """Release everything reserved, whatever went wrong."""
        for step in list(self.plan.book.open.values()):
            self.plan.cancelled(clock.now(), step=step)
        self.runtime.publisher.settled()
        self._account(500, why)

    async def _count(self) -> None:
        """Count the prompt's tokens if money or a limit depends on them; those of a long prompt outside the loop."""
        plan, app = self.plan, self.plan.requester.app
        vocabularies = vocabularies_wanted(self.table, plan.pools[0], app)
        for pool in plan.pools[1:]:
            vocabularies |= vocabularies_wanted(self.table, pool, app)
        if vocabularies:
            plan.needs = await count_all(plan.needs, self.body, vocabularies)

    async def _next(self) -> AttemptStep | GiveUp:
        before = clock.now()
        step = self.runtime.room.step(self.plan, before)
        decided = clock.now()
        self._tell_changes()
        self.routing_time += decided - before
        if isinstance(step, Wait):
            step = await self.runtime.room.wait(self.plan, step)
            self.queue_time += clock.now() - decided
        return step

    async def _attempt(self, step: AttemptStep) -> bool:
        """Make one attempt, or two that race. Returns whether the request is over."""
        if step.rotated_from is not None:
            self.runtime.state.pool(step.pool.name).rotations += 1
            self.events.rotated(step, step.rotated_from)
        after = step.pool.hedge_after if self.operation.hedged else None
        delay = hedge_delay(after, self._latencies(step.model)) if after is not None else None
        if delay is None or step.wait or self.delivery.begun:
            attempt = UpstreamAttempt(self, step)
            fate = await attempt.run()
        else:
            race = Race(lambda step, race: UpstreamAttempt(self, step, race), lambda: self._second(step))
            fate, attempt = await race.run(step, delay)
        if fate is Fate.AGAIN:
            return False
        if fate is Fate.CONTINUES:
            self._continue(attempt)
            return False
        self.answered_by = attempt.step.model
        if fate is Fate.ANSWERED:
            self._answer(attempt)
        else:
            assert attempt.broken is not None, "it is not broken"
            provider, attempts = attempt.step.model.provider, self.plan.book.as_maps()
            self._fail(interrupted(attempt.broken, provider, self.delivery.pieces, attempts))
        return True

    def _latencies(self, model: ModelSpec) -> Any:
        known = self.runtime.state.model(model.id)
        return known.first_token if self.plan.needs.stream else known.total

    # -- called by attempts ---------------------------------------------------------------------------

    @property
    def passed_on(self) -> PassedOn:
        return self.body.format.passed_on(self.request.headers, self.request.query)

    def credential_for(self, model: ModelSpec) -> Credential | None:
        credential = self.request.credential
        if credential is None or not self.table.providers[model.provider].app_keys:
            return None
        return credential.of_format(self.format.name)

    def trace_of(self, step: AttemptStep, began: float) -> CallTrace | None:
        trace = self.request.trace
        if trace is not None and step.trace is None:
            step.trace = self.runtime.sampling.calls(trace, step.model.provider, began)
        return step.trace

    def patience(self, model: ModelSpec) -> float:
        return self.table.providers[model.provider].timeout

    async def prompt_tokens(self, model: ModelSpec) -> int:
        needs, vocabulary = self.plan.needs, model.vocabulary
        if needs.stream and vocabulary and vocabulary not in needs.counts:
            needs = await count_all(needs, self.body, {vocabulary})
        return needs.expected(vocabulary)

    def about_to_send(self, step: AttemptStep) -> None:
        """From here on the request may have cost something."""
        state, request = self.runtime.state, self.request
        known = state.model(step.model.id)
        known.requests += 1
        known.last_request = time.time()
        state.provider(step.model.provider).requests += 1
        if not request.begun:
            request.begun = True
            self.queue_time = clock.now() - request.arrived - self.routing_time

    def settled(self, attempt: UpstreamAttempt) -> None:
        """An attempt has ended, in any way, and is recorded."""
        step = attempt.step
        self.answered_by = step.model
        self.cost += step.cost
        if attempt.first_token is not None and self.first_token is None:
            self.first_token = attempt.first_token
        if attempt.meter.replaced:
            self.corrections.append(f"{step.model.id}: {attempt.meter.replaced}")
            self.events.usage_replaced(step, attempt.meter.replaced)
        if attempt.took is not None:
            self._note_latency(attempt, attempt.took)
        self._tell_changes()
        self.runtime.publisher.settled()
        if attempt.failure is not None:
            self._blame(step.model, attempt.failure)

    def _note_latency(self, attempt: UpstreamAttempt, took: float) -> None:
        known = self.runtime.state.model(attempt.step.model.id)
        if attempt.first_token is not None:  # the whole duration of a stream also depends on the app
            known.first_token.add(attempt.first_token)
        else:
            known.total.add(took)

    def _blame(self, model: ModelSpec, failure: ProviderFailure) -> None:
        if failure.kind is FailureKind.LOCAL and failure.unsent:  # it never left
            self.runtime.state.model(model.id).requests -= 1
            self.runtime.state.provider(model.provider).requests -= 1
        if not is_of_the_app(failure, self.table.providers[model.provider]):
            self.runtime.outcomes.attempt_failed(model.provider, failure)

    def _tell_changes(self) -> None:
        if self.plan.changes:
            self.runtime.publisher.changed(self.plan.changes)
            self.plan.changes = []

    def fields_for(self, step: AttemptStep) -> Mapping[str, msgspec.Raw]:
        """The body with the output limit that was reserved for and, under a budget and if the pool says so, without
        fields that cannot be priced."""
        fields, needs = self._limited(step.model), self.plan.needs
        strips = (needs.costly or needs.unknown) and step.pool.unpriced_fields == "strip"
        if strips and step.reservation is not None and step.reservation.route.budget is not None:
            needs = msgspec.structs.replace(needs, costly=costly(needs, step.model))
            fields = self.body.format.priced(needs, fields)
        return self.body.format.with_parameters(fields, step.model.defaults, step.model.overrides)

    def added_limit(self, model: ModelSpec) -> str:
        name = self.runtime.state.output_limit(model)
        return name if name not in self.fields and name in self._limited(model) else ""

    def _limited(self, model: ModelSpec) -> Mapping[str, msgspec.Raw]:
        limit = self.plan.needs.max_output
        name = self.runtime.state.output_limit(model)
        if self.delivery.continued and limit is not None:
            return self.body.format.with_output_limit(self.fields, limit, name)
        limitless = model.max_output_tokens is None and model.context_window is None
        if limitless and limit is None and model.pricing.output_per_1m and self.operation.output:
            return self.body.format.with_output_limit(self.fields, OUTPUT_UNKNOWN, name)
        return self.fields

    def _continue(self, attempt: UpstreamAttempt) -> None:
        """A stream broke in the middle, and another model is to continue it."""
        assert attempt.broken is not None, "it is not broken"
        failure, usage = attempt.broken.failure, attempt.step.usage
        self.delivery.add_usage(usage)
        self.plan.needs = of_the_rest(self.plan.needs, self.delivery.text_since, usage.output_tokens)
        self.delivery.go_on()
        self.events.continued(attempt.step, failure.message, self.delivery.pieces)

    def _second(self, first: AttemptStep) -> AttemptStep | None:
        """The step of a second attempt, in parallel with the first."""
        second = self.plan.hedge(clock.now())
        if second is not None:
            self.events.hedged(first, second)
        return second

    # -- the end --------------------------------------------------------------------------------------

    def _answer(self, attempt: UpstreamAttempt) -> None:
        """Send the answer. Everything has been settled, so a crash before this may over-count but never
        under-counts."""
        self._answered = True
        self.usage = self.delivery.total(attempt.step.usage)
        if attempt.meter.body is None:
            self.reply.end(self.body.format.usage(self.usage), self.describe())
        else:
            headers = {**attempt.headers, "content-type": attempt.meter.content_type}
            self.reply.respond(attempt.meter.body, self.describe(), headers)
        self._account(200, "")

    def describe(self) -> dict[str, Any]:
        """The `mesh` map of an answer."""
        model, plan = self.answered_by, self.plan
        described: dict[str, Any] = {
            "pool": plan.pool.name,
            "model": model.id if model else "",
            "provider": model.provider if model else "",
            "routing_time": to_micros(self.routing_time),
            "queue_time": to_micros(self.queue_time),
            "cost": dollars(self.cost),
        }
        if plan.attempts:
            described["attempts"] = plan.book.as_maps()
        if self.corrections:
            described[EventType.USAGE_REPLACED] = self.corrections
        if plan.hedges:
            described["hedges"] = plan.hedges
        if self.delivery.continued:
            described["continued"] = self.delivery.continued
        if self.first_token is not None:
            described["first_token_time"] = to_micros(self.first_token)
        return described

    def _fail(self, error: MeshError) -> None:
        if self.delivery.begun:
            error = within_a_stream(error, self.delivery.pieces, self.plan.book.as_maps())
        self._account(error.status_code, error.message)
        self.reply.begins(self.describe())
        self.reply.error(error)

    def _account(self, status: int, error: str) -> None:
        """Count and log: once per request, however it ended."""
        self._tell_changes()
        if self.request.handed_on:
            return
        plan, model = self.plan, self.answered_by
        self._ended(
            outcome(
                self.request,
                self.operation,
                self.identity,
                self.asked,
                status,
                pool="" if self.target.kind == "model" else plan.pool.name,
                model=model.id if model else "",
                provider=model.provider if model else "",
                stream=plan.needs.stream,
                attempts=tuple(plan.attempts),
                tokens_in=plan.book.tokens_in,
                tokens_out=plan.book.tokens_out,
                tokens_cached=self.usage.cached_tokens,
                units=plan.book.units,
                cost=self.cost,
                queue_time=self.queue_time,
                routing_time=self.routing_time,
                first_token_time=self.first_token,
                error=error,
                rotations=plan.rotations,
                retries=plan.retries,
                hedges=plan.hedges,
            )
        )

    def _ended(self, outcome: Outcome) -> None:
        if self.hooks is None:
            self.runtime.outcomes.request_ended(outcome, self.request.work)
        else:
            self.hooks.ended(outcome)

    def served(self, served: Served) -> None:
        """It was answered without asking a model, at no cost."""
        if self.request.handed_on:
            return
        pool = served.pool or ("" if self.target.kind == "model" else self.target.pool.name)
        told = {"pool": pool, "model": served.model, "provider": served.provider}
        self._ended(
            outcome(
                self.request, self.operation, self.identity, self.asked, served.status,
                **told, stream=self.plan.needs.stream, error=served.error, cached=served.status == 200,
            )
        )  # fmt: skip
