"""A line of a batch for a provider's own batch: written in the provider's form, and its result read for the app.

Owns: what such a line reserves and costs. Must never: send anything.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec

from meshd.core.caller import Caller
from meshd.core.events.records import Attempt
from meshd.core.prices import BATCH, units_of
from meshd.formats.headers import IN_JSON
from meshd.gateway.frontends.exchange import Deadline, Request
from meshd.gateway.requests import arrival
from meshd.gateway.requests.attempts.usage_meter import UsageMeter
from meshd.gateway.requests.outcome import outcome
from meshd.gateway.requests.request import InferenceRequest
from meshd.gateway.responses.replies import BackgroundReply
from meshd.gateway.runtime import Runtime
from meshd.gateway.spoken import Spoken, in_format
from meshd.host import clock
from meshd.routing.attempts.book import MOST_COST
from meshd.routing.attempts.step import AttemptStep
from meshd.routing.budgets.reservations import Reservation
from meshd.routing.request.estimate import cost_of
from meshd.routing.table.specs import ModelSpec
from meshd.sdk.calls.passing import Written
from meshd.sdk.provider import Provider, ProviderAnswer, ProviderCall, StreamEvent, Usage
from modelmesh.errors import NotFoundError

_TIMEOUT = 60.0  # s; nothing is sent


class DoesNotFit(Exception):
    """A budget has no room for the line now."""


@dataclass(slots=True)
class Preparing:
    """Prepares the lines of one batch. spoken: what its endpoint means. model: the model's id."""

    runtime: Runtime
    spoken: Spoken
    caller: Caller
    endpoint: str
    model: str

    def spec(self) -> ModelSpec | None:
        """None if it was removed from the configuration."""
        return self.runtime.table.models.get(self.model)

    def reserve(self, request_id: bytes, body: bytes) -> Reservation:
        """The most that the line can cost. Raises MeshError, DoesNotFit."""
        inference, model = self._begun(request_id, body)
        question = inference.plan.question(clock.now())
        reservation = self.runtime.counters.reserve(question, model)
        if reservation is None:
            raise DoesNotFit
        return reservation

    def give_back(self, reservation: Reservation) -> None:
        """It was not carried out."""
        self.runtime.counters.settle_line(reservation, 0, 0, sent=False)

    async def write(self, request_id: bytes, body: bytes) -> Written:
        """The line in the provider's form. Raises MeshError, ProviderFailure."""
        inference, model = self._begun(request_id, body)
        with self.runtime.connectors.lease(model.provider) as provider:
            writing = _Aside(provider)
            with contextlib.suppress(_Taken):
                await self._asked(writing, inference, model)
        assert writing.taken is not None, "it was not asked"
        return writing.taken

    async def read(
        self, request_id: bytes, body: bytes, answered: bytes, reservation: Reservation | None, *, counted: bool
    ) -> bytes:
        """The answer for the app, returned once its cost has been recorded. body: that of the line. answered: its
        result. counted: an earlier run has recorded the cost. Raises MeshError, ProviderFailure."""
        inference, model = self._begun(request_id, body)
        with self.runtime.connectors.lease(model.provider) as provider:
            answer = await self._asked(_Aside(provider, answered), inference, model)
        meter = UsageMeter(inference.format.app)
        meter.count_answer(answer)
        usage = msgspec.structs.replace(meter.used(inference.plan.needs, model, None), tier=BATCH)
        if not counted:
            question = inference.plan.question(clock.now())
            self._record(inference, model, usage, reservation or self.runtime.counters.owe(question, model))
        return answer.body

    # -- inside ---------------------------------------------------------------------------------------

    def _begun(self, request_id: bytes, body: bytes) -> tuple[InferenceRequest, ModelSpec]:
        arrived = clock.now()
        request = Request(
            request_id,
            "POST",
            self.endpoint,
            body,
            BackgroundReply(lambda answer, error: None),
            headers=IN_JSON,
            caller=self.caller,
            deadline=Deadline.after(arrived, _TIMEOUT),
            arrived=arrived,
        )
        request.gives_way = True
        inference, model = arrival.begin(self.runtime, request, self.spoken), self.spec()
        if model is None:
            raise NotFoundError(f"{self.model} is not configured any more", code="model_not_found")
        return inference, model

    async def _asked(self, aside: _Aside, inference: InferenceRequest, model: ModelSpec) -> ProviderAnswer:
        fields = inference.fields_for(AttemptStep(model, inference.plan.pool))
        call = ProviderCall(
            inference.operation,
            model.upstream,
            fields,
            timeout=_TIMEOUT,
            request_id=inference.request_id.hex(),
            format=inference.format.name,
            most_output=model.max_output_tokens,
            mark_caches=inference.plan.pool.mark_caches,
        )

        async def count() -> int:
            return await inference.prompt_tokens(model)

        asked = await in_format(aside, inference.format, fields, count)
        return await asked.execute(call)

    def _record(self, inference: InferenceRequest, model: ModelSpec, usage: Usage, reservation: Reservation) -> None:
        """In the journal, the budgets, and the statistics."""
        runtime, request, now = self.runtime, inference.request, time.time()
        cost = min(cost_of(usage, model, reservation.write_percent), MOST_COST)
        pool, estimate = inference.plan.pool.name, reservation.estimate
        runtime.ledger.begin(
            request.request_id, now, model.provider, model.id, pool, reservation.account, estimate.cost, clock.now(), 1,
            reservation.day, estimate.tokens_in, estimate.tokens_out, units=inference.plan.needs.units,
        )  # fmt: skip
        runtime.ledger.settle(
            request.request_id, now, usage.input_tokens, usage.output_tokens, usage.cached_tokens, cost, True, 1,
            units=units_of(usage),
        )  # fmt: skip
        runtime.counters.settle_line(reservation, usage.input_tokens + usage.output_tokens, cost)
        known, provider = runtime.state.model(model.id), runtime.state.provider(model.provider)
        known.requests += 1
        provider.requests += 1
        known.tokens_in += usage.input_tokens
        known.tokens_out += usage.output_tokens
        known.cost += cost
        provider.cost += cost
        attempt = Attempt(
            model.id, model.provider, True, "", "in the provider's batch", 200, 0.0,
            tokens_in=usage.input_tokens, tokens_out=usage.output_tokens, cost=cost, hedge=False, units=units_of(usage),
        )  # fmt: skip
        runtime.outcomes.request_ended(
            outcome(
                request, inference.operation, inference.identity, inference.asked, 200,
                pool="" if inference.target.kind == "model" else pool, model=model.id, provider=model.provider,
                attempts=(attempt,), tokens_in=usage.input_tokens, tokens_out=usage.output_tokens,
                tokens_cached=usage.cached_tokens, units=units_of(usage), cost=cost,
            ),
            request.work,
        )  # fmt: skip
        runtime.publisher.settled()


class _Aside(Provider):
    """In place of a provider: takes a call as it would be sent, or answers it from a batch's results."""

    def __init__(self, provider: Provider, answered: bytes | None = None) -> None:
        self.settings, self.name = provider.settings, provider.name
        self.speaks, self.also_speaks = provider.speaks, provider.also_speaks
        self.custom_tools, self.late_instructions = provider.custom_tools, provider.late_instructions
        self.credentials = provider.credentials
        self.taken: Written | None = None
        self._provider = provider
        self._answered = answered

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        if self._answered is not None:
            return self._provider.read(self._answered, call)
        self.taken = self._provider.written(call)
        raise _Taken

    def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        raise NotImplementedError

    async def list_models(self) -> list[Any]:
        return []


class _Taken(Exception):
    """The call is written."""
