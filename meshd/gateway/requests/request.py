"""The life of an inference request: read, decide, wait, attempt, continue elsewhere, answer, account.

Owns: the effects around a `RequestPlan`; one coroutine per request.
Must never: hold a rule of routing (those are in `meshd/routing`), or wait for another actor.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from meshd.compilation.body_fields import load_body_fields
from meshd.core.money import dollars
from meshd.core.records import Outcome
from meshd.formats.openai.usage import usage_map
from meshd.gateway.app_identity import AppMatcher, Identity
from meshd.gateway.cache.cache import Served
from meshd.gateway.frontends.exchange import ClientGone, Reply, Request
from meshd.gateway.requests.attempt import Fate, UpstreamAttempt
from meshd.gateway.requests.hedging import Race, hedge_delay
from meshd.gateway.requests.outcome import outcome
from meshd.gateway.requests.stream_delivery import Delivery
from meshd.gateway.requests.token_counting import count_all
from meshd.gateway.requests.waiting_room import WaitingRoom
from meshd.host import clock
from meshd.routing.attempts.plan import AttemptStep, GiveUp, RequestPlan, Wait
from meshd.routing.availability.state import Change, MeshState
from meshd.routing.decision.pipeline import Pipeline
from meshd.routing.request import needs as reading
from meshd.routing.request.cache_key import Lookup, lookup
from meshd.routing.request.estimate import OUTPUT_UNKNOWN
from meshd.routing.request.question import Question, Requester
from meshd.routing.request.session import session_of
from meshd.routing.request.tokens import vocabularies_wanted
from meshd.routing.table.access import allowed_pools
from meshd.routing.table.specs import AppSpec, ModelSpec, RoutingTable, Target, UnknownModel
from meshd.sdk import lenient
from meshd.sdk.provider import Operation, Provider, ProviderFailure, ProviderSettings, Usage
from meshd.spend.journal import JournalWriter
from modelmesh.errors import (
    InvalidRequestError,
    MeshError,
    NotFoundError,
    RequestCancelledError,
    RequestTimeoutError,
    StreamInterrupted,
)
from modelmesh.wording import MOST_NAMES, short, told

OPERATIONS: Mapping[str, Operation] = {
    "/v1/chat/completions": Operation.CHAT,
    "/v1/completions": Operation.COMPLETION,
    "/v1/embeddings": Operation.EMBEDDINGS,
}


_NOTHING = Usage()


@dataclass(slots=True)
class Mesh:
    """What an inference needs from the router. `table` is replaced at a reload; a request keeps the one it began
    with."""

    table: RoutingTable
    state: MeshState
    pipeline: Pipeline
    provider: Callable[[str], AbstractContextManager[Provider]]  # a lease of the connector in use now
    ledger: JournalWriter  # records that an attempt may cost something, before it leaves, and what it did cost
    room: WaitingRoom
    apps: AppMatcher
    settled: Callable[[], None]
    changed: Callable[[list[Change]], None]
    failed: Callable[[str, ProviderFailure], None]
    event: Callable[..., None]
    finished: Callable[[Outcome], None]
    renewed: Callable[[ProviderSettings, str, ProviderFailure, float], Awaitable[str | None]]  # `KeyRenewal`


@dataclass(slots=True)
class Inference:
    """One request in flight. body: readable, without halves of surrogate pairs. answered_by: the model of the last
    attempt. queue_time, routing_time: seconds."""

    mesh: Mesh
    exchange: Request
    operation: Operation
    table: RoutingTable
    asked: str
    target: Target
    plan: RequestPlan
    fields: Mapping[str, msgspec.Raw]
    identity: Identity
    delivery: Delivery
    body: bytes
    reply: Reply
    answered_by: ModelSpec | None = None
    queue_time: float = 0.0
    routing_time: float = 0.0
    first_token: float | None = None
    usage: Usage = _NOTHING
    cost: int = 0  # of all attempts
    corrections: list[str] = field(default_factory=list)  # of implausible usage
    _answered: bool = False

    # -- life -----------------------------------------------------------------------------------------

    async def run(self, reply: Reply) -> bool:
        """Run until `reply` has the answer or an error; whether the answer may be kept. Raises only CancelledError."""
        exchange, self.reply, self.delivery.reply = self.exchange, reply, reply
        try:
            await self._count()
            while True:
                step = await self._next()
                if isinstance(step, GiveUp):
                    self._fail(step.error)
                    return False
                if await self._attempt(step):
                    return self._answered and not self.delivery.continued
        except asyncio.CancelledError:
            if exchange.cut_off is None:
                self._account(499, "the app went away or cancelled")
            else:
                self._account(exchange.cut_off.status_code, exchange.cut_off.message)
            reply.error(RequestCancelledError("The request was cancelled."))
            raise
        except ClientGone:
            self._account(499, "the app went away")
            return False
        except Exception as bug:
            self._abandon(f"the daemon failed: {type(bug).__name__}")
            raise

    def _abandon(self, why: str) -> None:
        """Release everything reserved, whatever went wrong."""
        for step in list(self.plan.book.open.values()):
            self.plan.cancelled(clock.now(), step=step)
        self.mesh.settled()
        self._account(500, why)

    async def _count(self) -> None:
        """Count the prompt's tokens if money or a limit depends on them; a long prompt's off the loop."""
        plan, app = self.plan, self.plan.requester.app
        vocabularies = vocabularies_wanted(self.table, plan.pools[0], app)
        for pool in plan.pools[1:]:
            vocabularies |= vocabularies_wanted(self.table, pool, app)
        if vocabularies:
            plan.needs = await count_all(plan.needs, self.body, vocabularies)

    async def _next(self) -> AttemptStep | GiveUp:
        before = clock.now()
        step = self.mesh.room.step(self.plan, before)
        decided = clock.now()
        self._tell_changes()
        self.routing_time += decided - before
        if isinstance(step, Wait):
            step = await self.mesh.room.wait(self.plan, step)
            self.queue_time += clock.now() - decided
        return step

    async def _attempt(self, step: AttemptStep) -> bool:
        """One attempt, or two that race; whether the request is over."""
        if step.rotated_from is not None:
            self._rotated(step.pool.name, step.rotated_from, step.model.id)
        after = step.pool.hedge_after
        delay = hedge_delay(after, self._latencies(step.model)) if after is not None else None
        if delay is None or step.wait or self.delivery.begun:
            attempt = UpstreamAttempt(self, step)
            fate = await attempt.run()
        else:
            fate, attempt = await Race(self).run(step, delay)
        if fate is Fate.AGAIN:
            return False
        self.answered_by = attempt.step.model
        if fate is Fate.ANSWERED:
            self._answer(attempt)
        else:
            self._fail(self._interrupted(attempt))
        return True

    def _latencies(self, model: ModelSpec) -> Any:
        known = self.mesh.state.model(model.id)
        return known.first_token if self.plan.needs.stream else known.total

    # -- what attempts tell ---------------------------------------------------------------------------

    def leaves(self) -> None:
        """An attempt is about to be sent: from here on the request may have cost something."""
        exchange = self.exchange
        if not exchange.begun:
            exchange.begun = True
            self.queue_time = clock.now() - exchange.arrived - self.routing_time

    def settled(self, attempt: UpstreamAttempt) -> None:
        """An attempt has ended, in any way, and is recorded."""
        step, mesh = attempt.step, self.mesh
        self.answered_by = step.model
        self.cost += step.cost
        if attempt.first_token is not None and self.first_token is None:
            self.first_token = attempt.first_token
        self._tell_changes()
        mesh.settled()

    def corrected(self, attempt: UpstreamAttempt) -> None:
        """A provider reported implausible usage."""
        model = attempt.step.model
        self.corrections.append(f"{model.id}: {attempt.replaced}")
        ids = {"pool": attempt.step.pool.name, "model": model.id, "provider": model.provider} | self._id()
        usage = attempt.step.usage
        counted = {"tokens_in": usage.input_tokens, "tokens_out": usage.output_tokens}
        self.mesh.event("usage_replaced", "warning", ids, attempt.replaced, counted)

    def _tell_changes(self) -> None:
        if self.plan.changes:
            self.mesh.changed(self.plan.changes)
            self.plan.changes = []

    def fields_for(self, model: ModelSpec) -> Mapping[str, msgspec.Raw]:
        """The body's top level for this model, with the output limit that was reserved for."""
        limit = self.plan.needs.max_output
        name = self.mesh.state.output_limit(model)
        if self.delivery.continued and limit is not None:
            return reading.with_output_limit(self.fields, limit, name)
        limitless = model.max_output_tokens is None and model.context_window is None
        if limitless and limit is None and model.pricing.output_per_1m and self.operation is not Operation.EMBEDDINGS:
            return reading.with_output_limit(self.fields, OUTPUT_UNKNOWN, name)
        return self.fields

    def continues(self, attempt: UpstreamAttempt, failure: ProviderFailure) -> None:
        """A stream broke in the middle, and another model is to continue it."""
        usage = attempt.step.usage
        self.delivery.add_usage(usage)
        self.plan.needs = reading.of_the_rest(self.plan.needs, self.delivery.text_since, usage.output_tokens)
        self.delivery.go_on()
        ids = {"pool": attempt.step.pool.name, "model": attempt.step.model.id, "provider": attempt.step.model.provider}
        self.mesh.event("stream_continued", "warning", ids | self._id(), failure.message,
                        {"pieces": self.delivery.pieces})  # fmt: skip

    def hedged(self, first: AttemptStep, second: AttemptStep) -> None:
        ids = {"pool": first.pool.name, "model": second.model.id} | self._id()
        changed = {"from": first.model.id, "to": second.model.id}
        self.mesh.event("request_hedged", "info", ids, f"{first.model.id} has not answered yet", changed)

    def _rotated(self, pool: str, before: str, after: str) -> None:
        self.mesh.state.pool(pool).rotations += 1
        self.mesh.event(
            "model_rotated", ids={"pool": pool, "model": after}, reason=f"{before} → {after}",
            changed={"from": before, "to": after},
        )  # fmt: skip

    def _id(self) -> dict[str, str]:
        return {"request": self.exchange.request_id.hex()}

    # -- the end --------------------------------------------------------------------------------------

    def _answer(self, attempt: UpstreamAttempt) -> None:
        """Everything is settled by now: a crash before the answer may over-count, never under-count."""
        self._answered = True
        self.usage = self.delivery.total(attempt.step.usage)
        if attempt.body is None:
            self.reply.end(usage_map(self.usage), self.describe())
        else:
            self.reply.respond(attempt.body, self.describe(), {**attempt.headers, **_JSON})
        self._account(200, "")

    def describe(self) -> dict[str, Any]:
        """The `mesh` map of an answer."""
        model, plan = self.answered_by, self.plan
        described: dict[str, Any] = {
            "pool": plan.pool.name,
            "model": model.id if model else "",
            "provider": model.provider if model else "",
            "routing_time": round(self.routing_time, 6),
            "queue_time": round(self.queue_time, 6),
            "cost": dollars(self.cost),
        }
        if plan.attempts:
            described["attempts"] = plan.book.as_maps()
        if self.corrections:
            described["usage_replaced"] = self.corrections
        if plan.hedges:
            described["hedges"] = plan.hedges
        if self.delivery.continued:
            described["continued"] = self.delivery.continued
        if self.first_token is not None:
            described["first_token_time"] = round(self.first_token, 6)
        return described

    def _interrupted(self, attempt: UpstreamAttempt) -> MeshError:
        """The error of a broken stream that no model can continue."""
        broken = attempt.broken
        assert broken is not None, "it is not broken"
        if broken.error is not None:
            error = broken.error
            error.attempts = self.plan.book.as_maps()
            return error
        return self._broken_off(f"Provider {short(attempt.step.model.provider)}", broken.failure.message)

    def _broken_off(self, what: str, why: str) -> MeshError:
        return StreamInterrupted(
            told(f"{what} broke the stream off after {self.delivery.pieces} pieces of content; ask again.", why),
            attempts=self.plan.book.as_maps(),
        )

    def _fail(self, error: MeshError) -> None:
        if self.delivery.begun and not isinstance(error, StreamInterrupted) and not self._is_the_apps(error):
            error = self._broken_off("A provider", f"no other model could continue it: {error.message}")
        self._account(error.status_code, error.message)
        self.reply.error(error)

    @staticmethod
    def _is_the_apps(error: MeshError) -> bool:
        return isinstance(error, RequestTimeoutError | RequestCancelledError)

    def _account(self, status: int, error: str) -> None:
        """Count and log: once per request, however it ended."""
        self._tell_changes()
        if self.exchange.handed_on:
            return
        plan, model = self.plan, self.answered_by
        self.mesh.finished(
            outcome(
                self.exchange,
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

    # -- the cache ------------------------------------------------------------------------------------

    def lookup(self) -> Lookup | None:
        """Where its answer may be kept; None: nowhere. Raises InvalidRequestError."""
        if self.target.pool.cache is None:
            return None
        exchange, needs = self.exchange, self.plan.needs
        uid, app = exchange.caller.uid, self.identity.spec
        return lookup(self.target.pool, self.asked, needs, self.fields, exchange.headers, app, uid)

    def served(self, served: Served) -> None:
        """It was answered without asking a model, at no cost."""
        if self.exchange.handed_on:
            return
        pool = served.pool or ("" if self.target.kind == "model" else self.target.pool.name)
        told = {"pool": pool, "model": served.model, "provider": served.provider}
        self.mesh.finished(
            outcome(
                self.exchange, self.operation, self.identity, self.asked, served.status,
                **told, stream=self.plan.needs.stream, error=served.error, cached=served.status == 200,
            )
        )  # fmt: skip


_JSON = {"content-type": "application/json"}


def begin(mesh: Mesh, exchange: Request, operation: Operation) -> Inference:
    """Read a request and resolve its `model`. Raises MeshError."""
    try:
        body = lenient.whole(exchange.body)  # for reading only; the original is sent
        asked, needs = reading.read(operation, body)
        fields = reading.split(body)
        sent = fields if body is exchange.body else reading.split_oddly(exchange.body)
    except reading.UnusableModelField as error:
        raise InvalidRequestError(str(error), param="model") from None
    except reading.UnusableField as error:
        raise InvalidRequestError(str(error)) from None
    except reading.MalformedBody as error:
        raise InvalidRequestError(str(error), code="invalid_json") from None
    if exchange.stream and not needs.stream:
        raise InvalidRequestError('the frame asks for a stream and the body does not: set "stream": true in both')
    exchange.stream = needs.stream
    table = mesh.table
    try:
        target = table.resolve(asked)
    except UnknownModel as unknown:
        raise unknown_model(unknown, table, mesh.apps.identify(exchange.caller).spec) from None
    identity = mesh.apps.identify(exchange.caller, exchange.arrived_at)
    mesh.apps.check(identity, target, fields)
    needs = load_body_fields().judged(needs, fields, budgeted=table.budgeted)
    session = session_of(target.pool, exchange.headers, fields, identity.label)
    requester = Requester(identity.spec, identity.account, identity.label, session, random.random, exchange.caller.uid)
    question = Question(table, target.pool, needs, exchange.arrived, requester)
    plan = RequestPlan(mesh.pipeline, question, exchange.deadline.at, exchange.deadline.latest)
    reply = exchange.reply
    delivery = Delivery(reply, operation, needs)
    return Inference(mesh, exchange, operation, table, asked, target, plan, sent, identity, delivery, body, reply)


def unknown_model(unknown: UnknownModel, table: RoutingTable, app: AppSpec) -> NotFoundError:
    """app: the caller's, which is shown no pool that it may not use."""
    if table.tree.resolve(unknown.name) is not None:
        text = f"No model here has the capability {unknown.name}; add a provider that serves it."
    else:
        near = f"did you mean {' or '.join(map(short, unknown.nearest[:1]))}?" if unknown.nearest else ""
        names = [pool.name for pool in allowed_pools(app, table)]
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        text = told(
            f"No pool, capability or model is called {short(repr(unknown.name))}; "
            f"{near or 'see `meshctl pools` and `meshctl models`.'}",
            f"nearest: {', '.join(unknown.nearest)}" if len(unknown.nearest) > 1 else "",
            f"pools are: {', '.join(map(short, names[:MOST_NAMES]))}{more}" if names else "",
        )
    return NotFoundError(text, code="model_not_found", param="model", nearest=unknown.nearest)


def refused(mesh: Mesh, exchange: Request, operation: Operation, error: MeshError) -> Outcome:
    """The record of a request that reached no pool: unreadable, or for something unknown or not allowed."""
    identity = mesh.apps.identify(exchange.caller)
    return outcome(exchange, operation, identity, "", error.status_code, error=error.message)
