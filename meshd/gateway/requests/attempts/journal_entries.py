"""The journal's entries of one attempt: that it is about to be sent, and what it used.

Owns: what these entries hold. Must never: decide when they are written (`attempt.py`).
"""

from __future__ import annotations

import time

from meshd.core.prices import units_of
from meshd.gateway.requests.attempts.attempt_plan import Plan
from meshd.gateway.runtime import Runtime
from meshd.routing.attempts.step import AttemptStep
from meshd.spend.journal import JournalWriter


async def write_begin(runtime: Runtime, request_id: bytes, step: AttemptStep, plan: Plan) -> None:
    """Returns when the entry is as durable as it has to be."""
    model, reservation = step.model, step.reservation
    assert reservation is not None, "nothing was reserved for it"
    runtime.ledger.begin(
        request_id,
        time.time(),
        model.provider,
        model.id,
        step.pool.name,
        reservation.account,
        reservation.estimate.cost,
        plan.latest,
        step.number,
        reservation.day,
        reservation.estimate.tokens_in,
        reservation.estimate.tokens_out,
        units=plan.needs.units,  # the most that it may use of what has a price, besides tokens
    )
    await runtime.sync.done()


def write_end(ledger: JournalWriter, request_id: bytes, step: AttemptStep, ok: bool) -> None:
    """The step is closed."""
    usage = step.usage
    ledger.settle(
        request_id,
        time.time(),
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        step.cost,
        ok,
        step.number,
        step.sent,
        units=units_of(usage),
    )
