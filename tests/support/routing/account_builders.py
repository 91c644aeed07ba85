"""Accounts on a day that stands still, and short names for what is limited."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from meshd.core.needs import RequestNeeds
from meshd.core.prices import Pricing
from meshd.operations import chat
from meshd.routing.availability.state import MeshState
from meshd.routing.budgets.accounts import Accounts
from meshd.routing.budgets.records import Refusal
from meshd.routing.budgets.reservations import Reservation
from meshd.routing.request.question import Question, Requester
from meshd.routing.table.specs import Allowance, ModelSpec, PoolSpec, RoutingTable
from tests.support.routing.routing_builders import CHAT, model

DOLLAR = 1_000_000_000
NOW = 1_795_435_200.0  # 2026-11-23 12:00 UTC
DAY = 86400.0
MIDNIGHT = NOW + DAY / 2
PAID = model("groq.llama", pricing=Pricing(per_request=DOLLAR // 10))
FREE = model("local.llama")
UNPRICED = model("groq.new", priced=False)
NEEDS = RequestNeeds(chat.CHAT, most=60, max_output=40)


@dataclass
class Mesh:
    """Accounts and the questions put to them; `now` moves only when a test moves it."""

    state: MeshState = field(default_factory=MeshState)
    now: float = NOW
    pool: str = "chat"
    app: str = "notes"
    needs: RequestNeeds = NEEDS

    @property
    def accounts(self) -> Accounts:
        return self.state.accounts

    def question(self) -> Question:
        pool = PoolSpec(self.pool, CHAT, (PAID.id, FREE.id, UNPRICED.id))
        return Question(RoutingTable.empty(), pool, self.needs, self.now, Requester(account=self.app))

    def refusal(self, spec: ModelSpec = PAID) -> Refusal | None:
        return self.accounts.refusal(self.question(), spec)

    def refused(self, spec: ModelSpec = PAID) -> Refusal:
        found = self.refusal(spec)
        assert found is not None
        return found

    def reserve(self, spec: ModelSpec = PAID) -> Reservation:
        assert self.refusal(spec) is None
        return self.accounts.reserve(self.question(), spec)

    def spend(self, spec: ModelSpec = PAID, tokens: int = 100, cost: int = DOLLAR // 10, *, sent: bool = True) -> None:
        self.accounts.settle(self.reserve(spec), tokens, cost, sent=sent)

    def alerts(self) -> list[tuple[str, str]]:
        return [(alert.type, alert.allowance.scope) for alert in self.accounts.take_alerts()]

    def row(self) -> dict[str, Any]:
        [row] = self.accounts.standing(self.now)
        return row


def mesh(*allowances: Allowance, timezone: str = "UTC") -> Mesh:
    found = Mesh()
    configure(found, *allowances, timezone=timezone)
    return found


def configure(found: Mesh, *allowances: Allowance, timezone: str = "UTC") -> None:
    table = RoutingTable(RoutingTable.empty().tree, (), (), (), allowances=allowances, timezone=timezone)
    found.accounts.configure(table.allowances, table.timezone)


def budget(limit: int = DOLLAR, scope: str = "provider", name: str = "groq", **given: Any) -> Allowance:
    return Allowance(scope, name, given.pop("measure", "cost"), given.pop("window", "day"), limit, **given)


def quota(limit: int, measure: str = "requests", **given: Any) -> Allowance:
    return budget(limit, measure=measure, source="quota", **given)
