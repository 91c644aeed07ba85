"""Daemons that share a budget, and who divides it between them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path

from meshd.connectors.storage.memory import MemoryStorage
from meshd.routing.budgets.reservations import Reservation
from meshd.routing.budgets.shares import DAYS_AHEAD, Shares
from meshd.routing.budgets.windows import COST as COST_INDEX
from meshd.routing.table.specs import Allowance
from meshd.sdk.storage import Claim, Grant
from meshd.state.remote.kept_parts import KeptParts
from tests.support.routing.account_builders import DAY, DOLLAR, PAID, Mesh, budget, mesh

PROVIDER = ("provider", "groq")
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

    def __init__(self, name: str, limit: int, divide: Divide, *more: Allowance) -> None:
        self.name = name
        self.mesh = mesh(budget(limit), *more)
        self.divide = divide
        self.taken: list[Reservation] = []
        self.asked = 0
        self._directory = MemoryStorage({}, Path())
        self._live()

    def _live(self) -> None:
        self.shares = self.mesh.accounts.shares = Shares(self.mesh.accounts, self._ask)
        self._kept = KeptParts()
        self.mesh.refusal()  # finds out which day it is

    def _ask(self) -> None:
        self.asked += 1

    def restart(self) -> None:
        """What was reserved counts as spent."""
        limits = {key: tuple(each.allowance for each in of_one) for key, of_one in self.mesh.accounts.limits.items()}
        days = self.mesh.accounts.meters[PROVIDER].days.items()
        usage = [(day, *PROVIDER, *sums.taken) for day, sums in days]
        now, self.mesh, self.taken = self.mesh.now, Mesh(), []
        self.mesh.now = now
        self.mesh.accounts.configure(limits, "UTC")
        self.mesh.accounts.restore(usage, now)
        self._live()

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

    def exchange(self, *, lost: str = "", ahead: bool = True, last: bool = False) -> None:
        """lost: "claim" or "grant"."""
        claims = self._kept.remember(self._directory, self.shares.claims(self.mesh.now, ahead=ahead, last=last))
        if lost == "claim":
            self.shares.take({claim.key: Grant(claim.keeps) for claim in claims}, connected=False)
            return
        grants = self.divide(self.name, claims)
        if lost != "grant":
            self.shares.take(grants, connected=True)

    @property
    def used(self) -> int:
        """Today."""
        return self.mesh.accounts.used(*PROVIDER, "day").cost + sum(each.estimate.cost for each in self.taken)

    def windows(self) -> dict[str, int]:
        """What it has taken in each."""
        meter = self.mesh.accounts.meters[PROVIDER]
        return {window: sums.taken[COST_INDEX] for window, sums in {**meter.days, **meter.months}.items()}


def settle_down(*daemons: Sharer) -> None:
    """Until each has its part."""
    for _ in range(4):
        for each in daemons:
            each.exchange()


ACTIONS = (*["begin"] * 4, "end", "exchange", "exchange", "claim", "grant", "hours", "restart", "cut")
Step = tuple[int, str, int]
"""Which daemon, one of ACTIONS, and a number."""


def never_more_than_the_limit(divide: Divide, limit: int, steps: Iterable[Step]) -> None:
    """Anything happens in any order: on each of three daemons attempts begin and end, claims and grants are lost; they
    are cut off, restart, and their clocks go on for hours, and back, each on its own."""
    month = budget(4 * limit, window="month")
    daemons = [Sharer(name, limit, divide, month) for name in ("a", "b", "c")]
    cut: set[str] = set()
    for number, action, amount in steps:
        daemon = daemons[number]
        match action:
            case "begin":
                daemon.begin()
            case "end" if daemon.taken:
                daemon.end((0, COST // 2, COST)[amount % 3])
            case "exchange" | "claim" | "grant":
                lost = "claim" if daemon.name in cut else "" if action == "exchange" else action
                daemon.exchange(lost=lost, ahead=amount % 2 == 0)
            case "hours":
                for each in daemons if amount > 2 else [daemon]:
                    each.mesh.now += (amount - 2) * 3600 * 7
            case "restart":
                daemon.restart()
            case "cut":
                cut ^= {daemon.name}
        _check(daemons, limit)


def _check(daemons: Iterable[Sharer], limit: int) -> None:
    taken: dict[str, int] = {}
    for each in daemons:
        for window, amount in each.windows().items():
            taken[window] = taken.get(window, 0) + amount
    for window, amount in taken.items():
        assert amount <= (limit if window.count("-") == 2 else 4 * limit), window


def drawn(seed: int, count: int) -> list[Step]:
    chance = random.Random(seed)
    return [(chance.randrange(3), chance.choice(ACTIONS), chance.randrange(6)) for _ in range(count)]


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


def each_has_its_part_of_the_next_days(divide: Divide) -> None:
    """Cut off before they begin, for as long as it takes."""
    first, second = Sharer("first", 10 * COST, divide), Sharer("second", 10 * COST, divide)
    settle_down(first, second)
    for day in range(5):
        answered = 0
        if day == 1:
            first.restart()
        for _ in range(12):
            for each in (first, second):
                if each.begin() == "taken":
                    each.end()
                    answered += 1
                each.exchange(lost="claim", ahead=day % 2 == 0)
        assert answered == (10 if day <= DAYS_AHEAD else 0)
        assert first.begin() == "refused"
        for each in (first, second):
            each.mesh.now += DAY
    settle_down(first, second)
    assert first.begin() == "taken"


def a_month_begins_while_it_is_cut_off(divide: Divide) -> None:
    month = budget(10 * COST, window="month")
    first, second = (Sharer(name, 100 * COST, divide, month) for name in ("first", "second"))
    for each in (first, second):
        each.mesh.now += 6 * DAY  # the 29th
    settle_down(first, second)
    for each in (first, second):
        each.mesh.now += 3 * DAY
        each.exchange(lost="claim")
    answered = 0
    while first.begin() == "taken":
        first.end()
        answered += 1
    assert answered == 5
    assert second.begin() == "taken"


def as_many_as_it_can(daemon: Sharer, divide_again: bool = True) -> int:
    """How many requests it answers."""
    answered = 0
    for _ in range(40):
        if daemon.begin() == "taken":
            daemon.end()
            answered += 1
        daemon.exchange(lost="" if divide_again else "claim")
    return answered


def a_clock_that_is_set_back_gives_back_nothing_that_is_used(divide: Divide) -> None:
    first, second = Sharer("first", 10 * COST, divide), Sharer("second", 10 * COST, divide)
    first.mesh.now += DAY
    assert as_many_as_it_can(first) == 10
    first.mesh.now -= DAY
    settle_down(first, second)
    second.mesh.now += DAY
    assert as_many_as_it_can(second) == 0


def a_restart_knows_what_was_given_back(divide: Divide) -> None:
    first, second = Sharer("first", 10 * COST, divide), Sharer("second", 10 * COST, divide)
    first.exchange()
    for _ in range(4):
        second.exchange(ahead=False)
        first.exchange(ahead=False)
    first.restart()
    assert as_many_as_it_can(first, divide_again=False) == 5
    assert as_many_as_it_can(second) == 5
