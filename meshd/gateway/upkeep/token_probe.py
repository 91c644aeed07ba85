"""A probe of one model: the smallest possible request, reserved, recorded and settled like any other.

Owns: the request for one token, and its way through budget, limits and journal.
Must never: ask a model that is over a budget or at a limit; ask for more than one token; judge the answer.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any

import msgspec

from meshd.gateway.requests import stream_relay
from meshd.gateway.requests.token_counting import count_text
from meshd.host import clock
from meshd.host.awake import Limit
from meshd.routing.attempts import usage as settlement
from meshd.routing.attempts.usage import Received
from meshd.routing.decision.stages.capability import serves
from meshd.routing.request import needs as reading
from meshd.routing.request.estimate import cost_of
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec, PoolSpec
from meshd.sdk.provider import FailureKind, Operation, Provider, ProviderAnswer, ProviderCall, ProviderFailure, Usage

if TYPE_CHECKING:
    from meshd.gateway.router import RouterCore

logger = logging.getLogger("meshd.router")

OVERTIME = 1.0  # s that a connector may take to notice its timeout

_ASKS: dict[Operation, dict[str, Any]] = {
    Operation.CHAT: {"messages": [{"role": "user", "content": "a"}]},
    Operation.COMPLETION: {"prompt": "a"},
    Operation.EMBEDDINGS: {"input": "a"},
}
_OF_A_KEY = frozenset({FailureKind.AUTHENTICATION, FailureKind.PERMISSION, FailureKind.RATE_LIMIT, FailureKind.QUOTA})


class NotSent(Exception):
    """It may not be asked, or not now; the message says why."""


async def ask_one_token(core: RouterCore, pool: PoolSpec, model: ModelSpec, timeout: float) -> None:
    """Ask within the limits of pool and model. Raises NotSent, ProviderFailure."""
    asked = OneToken(core, pool, model, timeout)
    failure: ProviderFailure | None = ProviderFailure(FailureKind.CANCELLED, "cancelled")
    try:
        await asked.send()
        failure = None
    except ProviderFailure as refused:
        failure = refused
    except TimeoutError:
        failure = ProviderFailure(FailureKind.TIMEOUT, f"no answer within {timeout:g} s")
    except Exception as bug:
        logger.exception("probing %s failed unexpectedly", model.id)
        failure = stream_relay.bug(bug)
    finally:
        asked.settle(failure)
    if failure is not None:
        if asked.another_key(failure):
            raise NotSent(f"one key of {model.provider} was refused, and it has others: {failure.message}")
        raise failure


class OneToken:
    """`send` once, then `settle`. Raises NotSent if there is no room for it, with nothing reserved."""

    def __init__(self, core: RouterCore, pool: PoolSpec, model: ModelSpec, timeout: float) -> None:
        if model.provider not in core.mesh.table.providers:
            raise NotSent("a reload took it away meanwhile")
        operation = _operation(model)
        asked = dict(_ASKS[operation])
        limit = core.mesh.state.output_limit(model)
        if operation is not Operation.EMBEDDINGS and limit:
            asked[limit] = 1
        body = msgspec.json.encode({"model": model.upstream, **asked})
        self._mesh, self._pool, self._model = core.mesh, pool, model
        self._keeper = core.keeper
        state, now = core.mesh.state, clock.now()
        question = Question(core.mesh.table, pool, reading.read(operation, body)[1], now)
        no_room = state.accounts.refusal(question, model) or state.rates.no_room(question, model)
        if no_room is not None:
            raise NotSent(no_room.reason)
        self._needs = question.needs
        self._reservation = state.accounts.reserve(question, model)
        self._ticket = state.rates.enter(question, model, self._reservation.estimate)
        self._request = os.urandom(16)
        self._call = ProviderCall(
            operation,
            model.upstream,
            reading.split(body),
            timeout=timeout,
            request_id=self._request.hex(),
            key=self._ticket.key,
        )
        self._written = False  # in the journal
        self._answer: ProviderAnswer | None = None

    async def send(self) -> None:
        """Raises ProviderFailure, TimeoutError, and whatever a connector's bug raises."""
        deadline = clock.now() + self._call.timeout
        lease = self._mesh.provider(self._model.provider)
        try:
            with lease as provider:
                self._write_down()
                self._answer = await self._execute(provider)
                return
        except ProviderFailure as failure:
            refused = failure
        instead = await self._mesh.renewed(provider.settings, self._call.key, refused, deadline)
        if instead is None:
            raise refused
        self._call.key = self._ticket.key = instead
        with self._mesh.provider(self._model.provider) as provider:
            self._answer = await self._execute(provider)

    async def _execute(self, provider: Provider) -> ProviderAnswer:
        with Limit(self._call.timeout + OVERTIME):
            return await provider.execute(self._call)

    def _write_down(self) -> None:
        reservation = self._reservation
        self._written = True
        self._mesh.ledger.begin(
            self._request,
            time.time(),
            self._model.provider,
            self._model.id,
            self._pool.name,
            reservation.account,
            reservation.estimate.cost,
            clock.now() + self._call.timeout,
            1,
            reservation.day,
            reservation.estimate.tokens_in,
            reservation.estimate.tokens_out,
        )

    def settle(self, failure: ProviderFailure | None) -> None:
        model, state, now = self._model, self._mesh.state, clock.now()
        usage = self._used(failure)
        counts = usage.input_tokens, usage.output_tokens, usage.cached_tokens
        tokens = usage.input_tokens + usage.output_tokens
        cost = cost_of(usage, model, self._reservation.write_percent) if tokens or failure is None else 0
        sent = self._written and not (failure is not None and failure.unsent)
        state.accounts.settle(self._reservation, tokens, cost, sent=sent)
        limits = self._answer.limits if self._answer is not None else failure.limits if failure is not None else None
        state.rates.observe(self._ticket, limits, now)
        left = sent or failure is None or failure.kind is not FailureKind.LOCAL
        state.rates.leave(self._ticket, now, tokens, sent=left)
        if self._written:
            self._mesh.ledger.settle(self._request, time.time(), *counts, cost, failure is None, 1, sent)
        known, provider = state.model(model.id), state.provider(model.provider)
        known.tokens_in += usage.input_tokens
        known.tokens_out += usage.output_tokens
        known.cost += cost
        provider.cost += cost
        self._keeper.used(model.id, model.provider)
        self._mesh.settled()

    def _used(self, failure: ProviderFailure | None) -> Usage:
        if not self._written:
            return Usage()
        if self._answer is None:
            return settlement.used(failure, self._needs, self._model, Received())
        reported = self._answer.usage
        if reported is not None and settlement.may_be_true(reported, self._needs, self._model, len(self._answer.body)):
            return reported
        text = settlement.answer_text(self._answer.body)
        received = Received.of(text, 0, count_text(self._model.vocabulary, text))
        if reported is not None:
            return settlement.read(reported, self._needs, self._model, received).usage
        return settlement.used(None, self._needs, self._model, received)

    def another_key(self, failure: ProviderFailure) -> bool:
        """Whether the key was refused and the provider has another usable one."""
        if failure.kind not in _OF_A_KEY:
            return False
        rest = failure.retry_after or self._pool.recovery.cooldown
        rates, now = self._mesh.state.rates, clock.now()
        return rates.key_refused(self._ticket, failure.message, failure.kind, now, rest)


def _operation(model: ModelSpec) -> Operation:
    """The one by which the model answers with text or vectors. Raises NotSent: images and speech have no smallest
    part."""
    if model.synchronous:
        for operation in _ASKS:
            if any(serves(operation, capability) for capability in model.capabilities):
                return operation
    raise NotSent(f"{model.id} cannot be asked for one token")
