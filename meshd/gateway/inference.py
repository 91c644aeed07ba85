"""The life of an inference request: decide, send, try again or elsewhere, answer, account.

Owns: the effects around a `RequestPlan`; one coroutine a request.
Must never: hold a rule of routing (those are in `meshd/routing`), or wait for another actor.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import msgspec

from meshd.cdk.provider import FailureKind, Operation, Provider, ProviderCall, ProviderFailure, Usage
from meshd.gateway import streaming
from meshd.gateway.exchange import ClientGone, Exchange
from meshd.messages import Outcome
from meshd.routing import needs as reading
from meshd.routing.pipeline import Pipeline
from meshd.routing.plan import GiveUp, RequestPlan, Try
from meshd.routing.state import Change, MeshState
from meshd.routing.table import ModelSpec, RoutingTable, Target, UnknownModel
from meshd.spend.journal import JournalWriter
from modelmesh._errors import InvalidRequestError, MeshError, NotFoundError, RequestCancelledError

logger = logging.getLogger("meshd.gateway")

OPERATIONS: Mapping[str, Operation] = {
    "/v1/chat/completions": Operation.CHAT,
    "/v1/completions": Operation.COMPLETION,
    "/v1/embeddings": Operation.EMBEDDINGS,
}


@dataclass(slots=True)
class Mesh:
    """What an inference needs of the router. `table` is replaced at a reload; a request keeps the one it began with."""

    table: RoutingTable
    state: MeshState
    pipeline: Pipeline
    provider: Callable[[str], AbstractContextManager[Provider]]  # a lease of the connector in use now
    ledger: JournalWriter  # where it is written down that an attempt may cost, before it leaves, and what it did
    changed: Callable[[list[Change]], None]
    failed: Callable[[str, ProviderFailure], None]
    rotated: Callable[[str, str, str], None]
    finished: Callable[[Outcome], None]


@dataclass(slots=True)
class Inference:
    """One request under way. `answered_by` is the model of the last attempt."""

    mesh: Mesh
    exchange: Exchange
    operation: Operation
    table: RoutingTable
    asked: str
    target: Target
    plan: RequestPlan
    fields: Mapping[str, msgspec.Raw]
    answered_by: ModelSpec | None = None
    queue_time: float = 0.0
    routing_time: float = 0.0
    first_token: float | None = None
    usage: Usage | None = None
    cost: int = 0
    attempt: int = 0  # the number of the last
    open: bool = False  # an attempt is written down as begun and not as settled
    short: bool = False  # the app's own deadline leaves the attempt less time than the mesh would give it

    # -- life -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the app has its answer or error. Raises nothing but CancelledError."""
        exchange, plan = self.exchange, self.plan
        try:
            while True:
                before = time.monotonic()
                step = plan.next(time.time())
                self.routing_time += time.monotonic() - before
                if isinstance(step, GiveUp):
                    self.fail(step.error)
                    return
                if await self._attempt(step):
                    return
        except asyncio.CancelledError:
            self._account(499, "the app went away or cancelled")
            exchange.error(RequestCancelledError("cancelled"))
            raise
        except ClientGone:
            self._account(499, "the app went away")

    async def _attempt(self, step: Try) -> bool:
        """One attempt; whether it answered the app."""
        plan, model = self.plan, step.model
        self.answered_by = model
        if step.rotated_from is not None:
            self.mesh.rotated(plan.pool.name, step.rotated_from, model.id)
        started = time.monotonic()
        try:
            if step.wait:
                await asyncio.sleep(min(step.wait, max(plan.deadline - time.time(), 0.0)))
                started = time.monotonic()
            with self.mesh.provider(model.provider) as provider:
                self._begin(model)
                body = await self._ask(provider, self._call(model))
        except ProviderFailure as failure:
            self._failed(failure, model, started)
            return False
        except streaming.Broken as broken:
            self._failed(broken.failure, model, started)
            broken.error.attempts = plan.attempt_maps()
            self.fail(broken.error)
            return True
        except (asyncio.CancelledError, ClientGone):
            plan.cancelled(time.monotonic() - started)
            raise
        except Exception as error:  # a connector's bug must not look like the app's hanging
            logger.exception("connector %s failed unexpectedly", model.provider)
            self._failed(streaming.bug(error), model, started)
            return False
        plan.succeeded(time.time(), time.monotonic() - started)
        self._close(True)  # before the app hears of it: a crash between the two may over-count, never under-count
        if body is None:
            self.exchange.end(_usage_map(self.usage), self.describe())
        else:
            self.exchange.respond(body, self.describe(), _JSON)
        self._succeed(model)
        return True

    async def _ask(self, provider: Provider, call: ProviderCall) -> bytes | None:
        """The body of a unary answer, None when the answer was a stream."""
        try:
            # Connectors keep to the call's timeout themselves; this is for one that does not.
            async with asyncio.timeout(call.timeout + _OVERTIME):
                if call.stream:
                    await streaming.relay(self, provider, call)
                    return None
                answer = await provider.execute(call)
        except TimeoutError:
            failure = ProviderFailure(FailureKind.TIMEOUT, f"no answer within {call.timeout:g} s")
            if self.first_token is not None:
                raise streaming.Broken(failure, streaming.interrupted(self, failure)) from None
            raise failure from None
        self.settle(answer.usage or self._estimate(answer.body))
        return answer.body

    def _estimate(self, body: bytes) -> Usage:
        """What an answer used whose provider does not say: never nothing."""
        output = 0 if self.operation is Operation.EMBEDDINGS else len(body) // reading.BYTES_PER_TOKEN
        return Usage(self.plan.needs.tokens, output)

    def _failed(self, failure: ProviderFailure, model: ModelSpec, started: float) -> None:
        """An attempt failed: blame whom it may be blamed on."""
        duration = time.monotonic() - started
        if failure.kind is FailureKind.TIMEOUT and self.short:
            self.plan.ran_out(duration)
            self._close(False)
            return
        self.plan.failed(failure, time.time(), duration)
        self._report(failure, model)

    def _begin(self, model: ModelSpec) -> None:
        """Note, in memory and durably, that an attempt is about to leave."""
        exchange, now = self.exchange, time.time()
        self.usage, self.cost, self.first_token = None, 0, None
        known = self.mesh.state.model(model.id)
        known.requests += 1
        known.last_request = now
        self.mesh.state.provider(model.provider).requests += 1
        if not exchange.begun:
            exchange.begun = True
            self.queue_time = time.monotonic() - exchange.arrived - self.routing_time
        self.attempt += 1
        self.open = True
        self.mesh.ledger.begin(
            exchange.request_id,
            now,
            model.provider,
            model.id,
            self.plan.pool.name,
            exchange.caller.app,
            self._highest_cost(model),
            exchange.deadline,
            self.attempt,
        )

    def _highest_cost(self, model: ModelSpec) -> int:
        """What the attempt can cost at most: what counts if the daemon dies before it is settled."""
        needs = self.plan.needs
        output = needs.max_output or model.max_output_tokens or model.context_window or _OUTPUT_UNKNOWN
        return model.pricing.cost(needs.tokens, output * max(needs.choices, 1))

    def _close(self, ok: bool) -> None:
        """Write down what the attempt under way used. Nothing if there is none."""
        model = self.answered_by
        if not self.open or model is None:
            return
        self.open = False
        usage = self.usage or _NOTHING
        known = self.mesh.state.model(model.id)
        known.tokens_in += usage.input_tokens
        known.tokens_out += usage.output_tokens
        known.cost += self.cost
        self.mesh.state.provider(model.provider).cost += self.cost
        self.mesh.ledger.settle(
            self.exchange.request_id,
            time.time(),
            usage.input_tokens,
            usage.output_tokens,
            usage.cached_tokens,
            self.cost,
            ok,
            self.attempt,
        )

    def _call(self, model: ModelSpec) -> ProviderCall:
        plan = self.plan
        timeout = plan.deadline - time.time()
        if plan.needs.stream:
            # A stream may go on for as long as it goes on: silence is what ends it, and the request's deadline.
            self.short = timeout < plan.pool.stream.first_token_timeout
        else:
            allowed = self.table.providers[model.provider].timeout
            self.short = timeout < allowed
            timeout = min(timeout, allowed)
        return ProviderCall(
            self.operation,
            model.upstream,
            reading.with_parameters(self.fields, model.defaults, model.overrides),
            plan.needs.stream,
            max(timeout, 0.001),
            plan.pool.stream.first_token_timeout,
            plan.pool.stream.idle_timeout,
            self.exchange.request_id.hex(),
        )

    # -- the end --------------------------------------------------------------------------------------

    def settle(self, usage: Usage | None) -> None:
        """What it used, and what that costs at the model's prices."""
        self.usage = usage
        model = self.answered_by
        if usage is not None and model is not None:
            self.cost = model.pricing.cost(usage.input_tokens, usage.output_tokens, usage.cached_tokens)

    def describe(self) -> dict[str, Any]:
        """The `mesh` map of an answer."""
        model, plan = self.answered_by, self.plan
        described: dict[str, Any] = {
            "pool": plan.pool.name,
            "model": model.id if model else "",
            "provider": model.provider if model else "",
            "routing_time": round(self.routing_time, 6),
            "queue_time": round(self.queue_time, 6),
            "cost": self.cost / 1e9,
        }
        if plan.attempts:
            described["attempts"] = plan.attempt_maps()
        if self.first_token is not None:
            described["first_token_time"] = round(self.first_token, 6)
        return described

    def fail(self, error: MeshError) -> None:
        self._account(error.status_code, error.message)
        self.exchange.error(error)

    def _report(self, failure: ProviderFailure, model: ModelSpec) -> None:
        self._close(False)
        if self.plan.changes:
            self.mesh.changed(self.plan.changes)
            self.plan.changes = []
        self.mesh.failed(model.provider, failure)

    def _succeed(self, model: ModelSpec) -> None:
        known = self.mesh.state.model(model.id)
        known.total.add(self.plan.attempts[-1].duration)
        if self.first_token is not None:
            known.first_token.add(self.first_token)
        if self.plan.changes:
            self.mesh.changed(self.plan.changes)
            self.plan.changes = []
        self._account(200, "")

    def _account(self, status: int, error: str) -> None:
        """Settle, count and log: once a request, whatever became of it."""
        exchange, plan, model = self.exchange, self.plan, self.answered_by
        self._close(status == 200)
        usage = self.usage or _NOTHING
        caller = exchange.caller
        self.mesh.finished(
            Outcome(
                request_id=exchange.request_id.hex(),
                at=exchange.arrived_at,
                operation=self.operation,
                asked=self.asked,
                status=status,
                pool="" if self.target.kind == "model" else plan.pool.name,
                model=model.id if model else "",
                provider=model.provider if model else "",
                stream=plan.needs.stream,
                attempts=tuple(plan.attempts),
                app=caller.app,
                uid=caller.uid,
                pid=caller.pid,
                unit=caller.unit,
                exe=caller.exe,
                label=exchange.label,
                tokens_in=usage.input_tokens,
                tokens_out=usage.output_tokens,
                tokens_cached=usage.cached_tokens,
                cost=self.cost,
                queue_time=self.queue_time,
                routing_time=self.routing_time,
                first_token_time=self.first_token,
                total_time=time.monotonic() - exchange.arrived,
                error=error,
                rotations=plan.rotations,
                retries=plan.retries,
            )
        )


_JSON = {"content-type": "application/json"}
_NOTHING = Usage()
_OVERTIME = 1.0  # s that a connector may take to notice its timeout
_OUTPUT_UNKNOWN = 4096  # tokens, of a model that declares no limit, asked without one


def _usage_map(usage: Usage | None) -> dict[str, Any] | None:
    """In OpenAI's names."""
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def begin(mesh: Mesh, exchange: Exchange, operation: Operation) -> Inference:
    """Read a request and resolve what it asks for. Raises MeshError."""
    try:
        asked, needs = reading.read(operation, exchange.body)
        fields = reading.split(exchange.body)
    except reading.UnusableModelField as error:
        raise InvalidRequestError(str(error), param="model") from None
    except reading.MalformedBody as error:
        raise InvalidRequestError(str(error), code="invalid_json") from None
    if exchange.stream and not needs.stream:
        raise InvalidRequestError('the frame asks for a stream and the body does not: set "stream": true in both')
    exchange.stream = needs.stream
    table = mesh.table
    try:
        target = table.resolve(asked)
    except UnknownModel as unknown:
        raise unknown_model(unknown, table) from None
    plan = RequestPlan(
        mesh.pipeline, table, mesh.state, target.pool, needs, exchange.deadline, random.random, exchange.arrived_at
    )
    return Inference(mesh, exchange, operation, table, asked, target, plan, fields)


def unknown_model(unknown: UnknownModel, table: RoutingTable) -> NotFoundError:
    if table.tree.resolve(unknown.name) is not None:
        text = f"{unknown.name} is a capability that no model here has: a provider that serves it has to be added"
    else:
        near = f"; did you mean {', '.join(unknown.nearest)}?" if unknown.nearest else ""
        text = f"no pool, capability or model is called {unknown.name!r}{near}"
    return NotFoundError(text, code="model_not_found", param="model", nearest=unknown.nearest)


def refused(exchange: Exchange, operation: Operation, error: MeshError) -> Outcome:
    """The record of a request that came to no pool: not readable, or for nothing that exists."""
    caller = exchange.caller
    return Outcome(
        request_id=exchange.request_id.hex(),
        at=exchange.arrived_at,
        operation=operation,
        asked="",
        status=error.status_code,
        app=caller.app,
        uid=caller.uid,
        pid=caller.pid,
        unit=caller.unit,
        exe=caller.exe,
        label=exchange.label,
        total_time=time.monotonic() - exchange.arrived,
        error=error.message,
    )
