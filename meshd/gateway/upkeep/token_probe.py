"""A probe of one model: the smallest possible request, and an attempt like any other.

Owns: the request for one token, and that it is asked once.
Must never: ask a model that is over a budget or at a limit; ask for more than one token; judge the answer.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.core.needs import RequestNeeds
from meshd.formats.openai.format import OPENAI
from meshd.formats.protocol import PassedOn
from meshd.gateway.requests.attempts.attempt import UpstreamAttempt
from meshd.gateway.runtime import Runtime
from meshd.host import clock
from meshd.operations.known import OPERATIONS, serves
from meshd.routing.attempts.book import AttemptBook
from meshd.routing.attempts.step import AttemptStep
from meshd.routing.rates.key_ring import OF_A_KEY
from meshd.routing.request.question import Question, Requester
from meshd.routing.table.specs import ModelSpec, PoolSpec
from meshd.sdk.provider import FailureKind, OperationSpec, ProviderFailure, RateLimits, Usage


class NotSent(Exception):
    """The model may not be asked, or not now; the message says why."""


async def ask_one_token(runtime: Runtime, pool: PoolSpec, model: ModelSpec, timeout: float) -> None:
    """Ask within the limits of pool and model. Raises NotSent, ProviderFailure."""
    probe = TokenProbe(runtime, pool, model, timeout)
    await UpstreamAttempt(probe, probe.step).run()
    failure = probe.plan.failure
    if failure is None:
        return
    if probe.another_key(failure):
        raise NotSent(f"one key of {model.provider} was refused, and it has others: {failure.message}")
    raise failure


class TokenProbe:
    """The context of the attempt. Raises NotSent if there is no room for it, with nothing reserved."""

    format = OPENAI
    form = None
    delivery = None
    hooks = None
    passed_on = PassedOn()

    def trace_of(self, step: AttemptStep, began: float) -> None:
        return None

    def __init__(self, runtime: Runtime, pool: PoolSpec, model: ModelSpec, timeout: float) -> None:
        if model.provider not in runtime.table.providers:
            raise NotSent("a reload has removed it")
        if runtime.table.providers[model.provider].app_keys:
            raise NotSent(f"{model.provider} takes the keys of apps, and the daemon has none")
        self.runtime = runtime
        self.operation, asked = _smallest(model)
        self.request_id = os.urandom(16)
        self._timeout = timeout
        limit = runtime.state.output_limit(model)
        if self.operation.output and limit:
            asked[limit] = 1
        body = msgspec.json.encode({"model": model.upstream, **asked})
        _, needs, self._fields, _ = OPENAI.app.read(self.operation, body)
        state, now = runtime.state, clock.now()
        question = Question(runtime.table, pool, needs, now, Requester(operator=True))
        no_room = state.accounts.refusal(question, model) or state.rates.no_room(question, model)
        if no_room is not None:
            raise NotSent(no_room.reason)
        counters = runtime.counters
        taken = counters.take(question, model)
        if taken is None:
            raise NotSent("another process took the room that it had")
        self.plan = OneAttempt(AttemptBook(state, counters), question.needs, now, timeout)
        self.step = self.plan.book.begin(question, model, 0.0, None, False, taken)

    def credential_for(self, model: ModelSpec) -> None:
        return None

    def patience(self, model: ModelSpec) -> float:
        return self._timeout

    async def prompt_tokens(self, model: ModelSpec) -> int:
        return self.plan.needs.expected(model.vocabulary)

    def fields_for(self, step: AttemptStep) -> Mapping[str, msgspec.Raw]:
        """Without the model's own parameters, which may ask for more than a token."""
        return self._fields

    def added_limit(self, model: ModelSpec) -> str:
        return ""

    def about_to_send(self, step: AttemptStep) -> None:
        """No app asked for it, so it is not counted as a request."""

    def settled(self, attempt: UpstreamAttempt) -> None:
        publisher, model = self.runtime.publisher, attempt.step.model
        publisher.used(model.id, model.provider)
        publisher.settled()

    def another_key(self, failure: ProviderFailure) -> bool:
        """Whether the key was refused and the provider has another one that can be used."""
        ticket = self.step.ticket
        if failure.kind not in OF_A_KEY or ticket is None:
            return False
        rest = failure.retry_after or self.step.pool.recovery.cooldown
        return self.runtime.state.rates.key_refused(ticket, failure.message, failure.kind, clock.now(), rest)


class OneAttempt:
    """The plan of a single attempt: settles it, and leaves the judgement to others. failure: of the attempt."""

    def __init__(self, book: AttemptBook, needs: RequestNeeds, now: float, timeout: float) -> None:
        self.book = book
        self.needs = needs
        self.failure: ProviderFailure | None = None
        self.deadline = self.latest = now + 2 * timeout  # the model is asked once more if the key is replaced
        self._timeout = timeout

    def start(self, step: AttemptStep, now: float) -> bool:
        return True

    def note_begun(self) -> None:
        """Only streams begin before they end."""

    def succeeded(
        self, now: float, duration: float, *, step: AttemptStep, usage: Usage, limits: RateLimits | None
    ) -> None:
        self.book.close(step, now, usage, limits, billed=True)
        self.book.release(step)

    def failed(
        self, failure: ProviderFailure, now: float, duration: float, *, step: AttemptStep, usage: Usage, begun: bool
    ) -> None:
        self.failure = failure
        left = not (failure.kind is FailureKind.LOCAL and failure.unsent)
        self.book.close(step, now, usage, failure.limits, sent=not failure.unsent, left=left)
        self.book.release(step)

    def cancelled(self, now: float, duration: float, *, step: AttemptStep, usage: Usage, sent: bool) -> None:
        self.book.close(step, now, usage, sent=sent)
        self.book.release(step)

    lost = cancelled

    def ran_out(self, now: float, duration: float, *, step: AttemptStep, usage: Usage) -> None:
        self.failure = ProviderFailure(FailureKind.TIMEOUT, f"no answer within {self._timeout:g} s")
        self.cancelled(now, duration, step=step, usage=usage, sent=True)


def _smallest(model: ModelSpec) -> tuple[OperationSpec, dict[str, Any]]:
    """The operation by which the model answers with text or vectors. Raises NotSent if there is none: images and speech
    have no smallest part."""
    if model.synchronous:
        for operation in OPERATIONS.values():
            if operation.example and any(serves(operation, capability) for capability in model.capabilities):
                return operation, operation.example("a")
    raise NotSent(f"{model.id} cannot be asked for one token")
