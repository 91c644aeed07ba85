"""One attempt of a request, from its decision until it is closed.

Owns: its record. Must never: decide anything.
"""

from __future__ import annotations

import msgspec

from meshd.routing.attempts.counters import Taken
from meshd.routing.budgets.reservations import Reservation
from meshd.routing.rates.records import RateTicket
from meshd.routing.standing import Availability
from meshd.routing.table.specs import ModelSpec, PoolSpec
from meshd.sdk.calls.tracing import CallTrace
from meshd.sdk.provider import Usage

NOTHING = Usage()


class AttemptStep(msgspec.Struct, eq=False):
    """Ask `model` after `wait` seconds. rotated_from: the model that the pool leaves. number: of the attempt, from 1.
    hedge: it is sent in addition to another. tests: those whose probation it tests. resting: it was on standby when
    chosen. remark: how it was asked, if not as usual. usage, cost (10⁻⁹ USD), sent: what it used, and whether it was
    sent, once it is closed. trace: of its calls, if the request is traced."""

    model: ModelSpec
    pool: PoolSpec
    number: int = 1
    wait: float = 0.0
    rotated_from: str | None = None
    hedge: bool = False
    tests: tuple[Availability, ...] = ()
    resting: bool = False
    taken: Taken | None = None
    remark: str = ""
    usage: Usage = NOTHING
    cost: int = 0
    sent: bool = True
    trace: CallTrace | None = None

    @property
    def reservation(self) -> Reservation | None:
        return None if self.taken is None else self.taken.reservation

    @property
    def ticket(self) -> RateTicket | None:
        return None if self.taken is None else self.taken.ticket
