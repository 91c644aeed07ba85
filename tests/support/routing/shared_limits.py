"""Daemons that share a budget, and who divides it between them."""

from __future__ import annotations

import random
from collections.abc import Callable

from meshd.routing.budgets.reservations import Reservation
from meshd.routing.budgets.shares import Shares
from meshd.sdk.storage import Claim, Grant
from tests.support.routing.account_builders import DOLLAR, PAID, budget, mesh

COST = DOLLAR // 10  # of a request
Divide = Callable[[str, list[Claim]], dict[str, Grant]]


class Divider:
    """As the script in Redis does, without its clock: all members are there."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, tuple[int, int, int]]] = {}

    def divide(self, me: str, claims: list[Claim]) -> dict[str, Grant]:
        return {claim.key: self._one(me, claim) for claim in claims}

    def _one(self, me: str, claim: Claim) -> Grant:
        rows = self.rows.setdefault(claim.key, {})
        others = {name: row for name, row in rows.items() if name != me}
        granted = sum(max(g, u) for g, u, _ in others.values())
        elsewhere = sum(u for _, u, _ in others.values())
        left = max(claim.limit - elsewhere - claim.used - sum(n for _, _, n in others.values()), 0)
        slack, needs = left // (len(others) + 1), claim.needs
        if needs and any(n and name < me for name, (_, _, n) in others.items()):
            slack = needs = 0
        want = claim.used if claim.last else claim.used + max(slack, needs)
        grant = max(claim.keeps, claim.used, min(want, claim.limit - granted))
        rows[me] = grant, claim.used, claim.needs
        return Grant(grant, elsewhere, max(slack, needs))


class Sharer:
    """One of the daemons. taken: attempts in flight. asked: that an attempt waits."""

    def __init__(self, name: str, limit: int, divide: Divide) -> None:
        self.name = name
        self.mesh = mesh(budget(limit))
        self.divide = divide
        self.taken: list[Reservation] = []
        self.asked = 0
        self.shares = self.mesh.accounts.shares = Shares(self.mesh.accounts, self._ask)
        self.mesh.refusal()  # finds out which day it is

    def _ask(self) -> None:
        self.asked += 1

    def begin(self) -> str:
        """A request: "taken", "waits" or "refused"."""
        if self.mesh.refusal() is not None:
            return "refused"
        if self.mesh.accounts.lacks(self.mesh.question(), PAID):
            return "waits"
        self.taken.append(self.mesh.reserve())
        return "taken"

    def end(self, cost: int = COST) -> None:
        self.mesh.accounts.settle(self.taken.pop(), 100, cost)

    def exchange(self, *, lost: str = "", last: bool = False) -> None:
        """lost: "claim" or "grant"."""
        claims = self.shares.claims(last=last)
        if lost == "claim":
            self.shares.take({claim.key: Grant(claim.keeps) for claim in claims}, connected=False)
            return
        grants = self.divide(self.name, claims)
        if lost != "grant":
            self.shares.take(grants, connected=True)

    @property
    def used(self) -> int:
        row = self.mesh.row()
        return int(row["spent"] + row["reserved"] - row["elsewhere"])


def settle_down(*daemons: Sharer) -> None:
    """Until each has its part."""
    for _ in range(4):
        for each in daemons:
            each.exchange()


def never_more_than_the_limit(divide: Divide, seed: int, steps: int) -> None:
    """Anything happens in any order."""
    chance = random.Random(seed)
    limit = chance.choice([3, 10, 25]) * COST
    daemons = [Sharer(name, limit, divide) for name in ("a", "b", "c")]
    for _ in range(steps):
        daemon = chance.choice(daemons)
        match chance.choice(["begin", "begin", "begin", "end", "exchange", "exchange"]):
            case "begin":
                daemon.begin()
            case "end" if daemon.taken:
                daemon.end(chance.choice([0, COST // 2, COST]))
            case "exchange":
                daemon.exchange(lost=chance.choice(["", "", "", "claim", "grant"]))
        assert sum(each.used for each in daemons) <= limit


def each_gets_what_is_left(divide: Divide) -> None:
    """One that works takes all that the other, which rests, has not used."""
    busy, idle = Sharer("busy", 10 * COST, divide), Sharer("idle", 10 * COST, divide)
    settle_down(busy, idle)
    assert idle.begin() == "taken"
    idle.end()
    answered = 0
    for _ in range(40):
        if busy.begin() == "taken":
            busy.end()
            answered += 1
        busy.exchange()
        idle.exchange()
    assert answered == 9
    assert busy.asked
    assert busy.begin() == "refused"
    assert busy.mesh.row()["spent"] == 10 * COST
    assert busy.mesh.row()["elsewhere"] == COST


def one_that_is_cut_off_goes_on_with_what_it_has(divide: Divide) -> None:
    first, second = Sharer("first", 10 * COST, divide), Sharer("second", 10 * COST, divide)
    settle_down(first, second)
    answered = 0
    while first.begin() == "taken":
        first.end()
        first.exchange(lost="claim")
        answered += 1
    assert answered == 5
    assert first.begin() == "refused"
    second.exchange()
    assert second.used == 0


def one_that_ends_gives_back(divide: Divide) -> None:
    first, second = Sharer("first", 10 * COST, divide), Sharer("second", 10 * COST, divide)
    settle_down(first, second)
    first.exchange(last=True)
    answered = 0
    for _ in range(20):
        if second.begin() == "taken":
            answered += 1
        second.exchange()
    assert answered == 10


def two_that_need_the_rest_do_not_wait_for_each_other(divide: Divide) -> None:
    """Each has half of what a request needs."""
    first, second = Sharer("first", COST, divide), Sharer("second", COST, divide)
    settle_down(first, second)
    for _ in range(6):
        found = [first.begin(), second.begin()]
        if "taken" in found:
            break
        first.exchange()
        second.exchange()
    assert first.used + second.used == COST
