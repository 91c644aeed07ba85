"""Invariants of accounts, whatever happens in whatever order: requests, settlements, midnights, restarts."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from meshd.routing.budgets.accounts import Accounts
from meshd.routing.budgets.records import Use
from meshd.routing.budgets.reservations import Reservation
from meshd.routing.budgets.windows import Sums
from meshd.routing.table.specs import Allowance, ModelSpec, PoolSpec, RoutingTable
from meshd.spend.calendar import Calendar
from meshd.spend.ledger import Ledger, usage_id, usage_rows
from meshd.spend.records import Begin, Settle
from tests.support.routing.account_world import ALLOWANCES, APPS, MODELS, NOW, POOLS, TABLE, ZONES, question


class Life(RuleBasedStateMachine):
    """Accounts beside the journal's ledger, which is told the same and knows nothing of limits."""

    def __init__(self) -> None:
        super().__init__()
        self.accounts = Accounts()
        self.ledger = Ledger()
        self.now = NOW
        self.open: list[tuple[Reservation, Begin]] = []
        self.count = 0
        self.timezone = "UTC"

    @initialize(timezone=st.sampled_from(ZONES))
    def configured(self, timezone: str) -> None:
        self.timezone = timezone
        self.accounts.configure(TABLE.allowances, timezone)

    @rule(
        spec=st.sampled_from([*MODELS, *(replace(each) for each in MODELS)]),  # a request keeps its table over a reload
        pool=st.sampled_from(POOLS),
        app=st.sampled_from(APPS),
        tokens=st.integers(0, 150),
    )
    def ask(self, spec: ModelSpec, pool: PoolSpec, app: str, tokens: int) -> None:
        asked = question(pool, app, tokens, self.now)
        if self.accounts.refusal(asked, spec) is not None:
            return
        reservation = self.accounts.reserve(asked, spec)
        estimate = reservation.estimate
        self.count += 1
        begin = Begin(
            self.count.to_bytes(16),
            self.now,
            spec.provider,
            spec.id,
            pool.name,
            reservation.account,
            estimate.cost,
            self.now + 60,
            0,
            reservation.day,
            estimate.tokens_in,
            estimate.tokens_out,
        )
        self.ledger.apply([begin])
        self.open.append((reservation, begin))
        names = {("provider", spec.provider), ("model", spec.id), ("pool", pool.name), ("app", app)}
        self._fits(begin, names | {("member", f"{pool.name}\0{spec.id}")})

    @precondition(lambda self: self.open)
    @rule(at=st.integers(0, 1000), part=st.floats(0, 1.5), sent=st.booleans(), twice=st.booleans())
    def settle(self, at: int, part: float, sent: bool, twice: bool) -> None:
        """Also with more than was reserved: what a provider reports was used."""
        reservation, begin = self.open.pop(at % len(self.open))
        estimate = reservation.estimate
        tokens = int(estimate.tokens_in * part), int(estimate.tokens_out * part)
        cost = int(estimate.cost * part)
        for _ in range(1 + twice):
            self.accounts.settle(reservation, sum(tokens), cost, sent=sent)
        self.ledger.apply([Settle(begin.request, self.now, *tokens, 0, cost, True, 0, sent)])

    @rule(seconds=st.sampled_from([1.0, 59.0, 3600.0, 13 * 3600.0, 86400.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def comes_back(self) -> None:
        self.accounts.begin_stint("chat", "groq.a")

    @rule()
    def router_is_lost(self) -> None:
        self.accounts.nothing_reserved()
        for reservation, begin in self.open:
            estimate = reservation.estimate
            self.ledger.apply(
                [Settle(begin.request, self.now, estimate.tokens_in, estimate.tokens_out, 0, estimate.cost, False)]
            )
        self.open.clear()

    @rule(limits=st.sets(st.sampled_from(ALLOWANCES)))
    def reload(self, limits: set[Allowance]) -> None:
        table = RoutingTable(TABLE.tree, MODELS, (), POOLS, allowances=limits)
        self.accounts.configure(table.allowances, self.timezone)

    @rule()
    def restart(self) -> None:
        """A crash: the ledger buries what is open, and a new router restores its sums."""
        self.ledger.bury(self.now)
        self.open.clear()
        limits = self.accounts.limits
        self.accounts = Accounts()
        self.accounts.restore(usage_rows(rows(self.ledger)), self.now)
        allowances = {key: tuple(limit.allowance for limit in found) for key, found in limits.items()}
        self.accounts.configure(allowances, self.timezone)

    @precondition(lambda self: all(begin.at > self.now - 86400 for _, begin in self.open))
    @rule()
    def import_(self) -> None:
        """Sums are replaced while requests are under way."""
        self.accounts.restore(usage_rows(rows(self.ledger)), self.now)

    def _fits(self, begin: Begin, names: set[tuple[str, str]]) -> None:
        """Every limit that the attempt needs something of holds it, by what the ledger says and by what is open."""
        amounts = {"requests": 1, "tokens": begin.tokens_in + begin.tokens_out, "cost": begin.reserved}
        for row in self.accounts.standing(self.now):
            measure, window = row["measure"], row["window"]
            if not row["enforce"] or (row["scope"], row["name"]) not in names or not amounts[measure]:
                continue
            assert row["spent"] + row["reserved"] <= row["limit"]
            if window in ("day", "month"):
                assert self._taken(row["scope"], row["name"], measure, row["period"]) <= row["limit"]

    def _taken(self, scope: str, name: str, measure: str, period: str) -> int:
        """By the ledger, as if every attempt that is open had been settled with all it reserved."""
        after = Ledger()
        after.apply(begin for _, begin in self.open)
        after.bury(self.now)
        taken = 0
        for ledger in (self.ledger, after):
            for (day, of, whose), usage in ledger.usage.items():
                if (of, whose) == (scope, name) and day.startswith(period):
                    tokens = usage.tokens_in + usage.tokens_out
                    taken += {"requests": usage.requests, "tokens": tokens, "cost": usage.cost}[measure]
        return taken

    @invariant()
    def nothing_is_negative_or_lost(self) -> None:
        for meter in self.accounts.meters.values():
            rolling = [meter.rolling.total] if meter.rolling is not None else []
            stint = [meter.stint] if meter.stint is not None else []
            for sums in (*meter.days.values(), *meter.months.values(), *rolling, *stint):
                whole = up_to_date(self.accounts, sums)
                for taken, used in zip(whole.taken, whole.used, strict=True):
                    assert taken >= used >= 0

    @invariant()
    def what_is_reserved_is_what_is_open(self) -> None:
        """In every day and month of every scope: nothing leaks, nothing is given back twice."""
        held: dict[tuple[str, str, str], list[int]] = {}
        for _, begin in self.open:
            for scope, name in scopes(begin):
                for period in (begin.day, begin.day[:7]):
                    sums = held.setdefault((scope, name, period), [0, 0, 0])
                    for measure, amount in enumerate((1, begin.tokens_in + begin.tokens_out, begin.reserved)):
                        sums[measure] += amount
        for meter in self.accounts.meters.values():
            for period, found in (*meter.days.items(), *meter.months.items()):
                whole = up_to_date(self.accounts, found)
                reserved = [taken - used for taken, used in zip(whole.taken, whole.used, strict=True)]
                assert reserved == held.get((meter.scope, meter.name, period), [0, 0, 0])

    @invariant()
    def a_limit_is_always_up_to_date(self) -> None:
        """Sums are right without reading others first."""
        for limits in self.accounts.limits.values():
            for limit in limits:
                whole = up_to_date(self.accounts, limit.sums)
                assert (limit.sums.taken, limit.sums.used) == (whole.taken, whole.used)

    @invariant()
    def the_ledger_says_the_same(self) -> None:
        for (day, scope, name), usage in self.ledger.usage.items():
            meter = self.accounts.meters.get((scope, name))
            found = None if meter is None else meter.days.get(day)
            if found is not None:
                found = up_to_date(self.accounts, found)
                assert tuple(found.used) == (usage.requests, usage.tokens_in + usage.tokens_out, usage.cost)
        for meter in self.accounts.meters.values():
            for month, found in meter.months.items():
                sums = up_to_date(self.accounts, found)
                of_month = [
                    usage
                    for (day, scope, name), usage in self.ledger.usage.items()
                    if (scope, name) == (meter.scope, meter.name) and day.startswith(month)
                ]
                assert sums.used[0] == sum(usage.requests for usage in of_month)
                assert sums.used[1] == sum(usage.tokens_in + usage.tokens_out for usage in of_month)
                assert sums.used[2] == sum(usage.cost for usage in of_month)


def scopes(begin: Begin) -> list[tuple[str, str]]:
    found = [("provider", begin.provider), ("model", begin.model), ("pool", begin.pool), ("app", begin.app)]
    return [*(scope for scope in found if scope[1]), ("member", f"{begin.pool}\0{begin.model}")]


def up_to_date(accounts: Accounts, sums: Sums) -> Sums:
    """With what waits in lumps, which stays there: reading must not change what it reads."""
    whole = Sums(list(sums.taken), list(sums.used))
    for route in accounts.lumped:
        if any(other is sums for other in route.others):
            whole.merge(route.lump)
    return whole


def rows(ledger: Ledger) -> dict[str, dict[str, int]]:
    return {
        usage_id(key): {
            "requests": usage.requests,
            "tokens_in": usage.tokens_in,
            "tokens_out": usage.tokens_out,
            "cost": usage.cost,
        }
        for key, usage in ledger.usage.items()
    }


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


@given(st.permutations(range(8)), st.integers(0, 8))
def test_the_order_of_settlements_does_not_matter_nor_does_midnight(order: list[int], before: int) -> None:
    accounts = Accounts()
    open_ = [accounts.reserve(question(POOLS[at % 2], APPS[at % 3], at, NOW), MODELS[at % 3]) for at in order]
    for at, reservation in zip(order, open_, strict=True):
        if len([each for each in open_ if each.settled]) == before:
            accounts.standing(NOW + 86400)
        accounts.settle(reservation, 2 * at, at)
    accounts.standing(NOW)
    assert accounts.used("provider", "groq", "day") == Use(6, 2 * (0 + 1 + 3 + 4 + 6 + 7), 21)
    assert accounts.used("app", "notes", "day") == accounts.used("app", "notes") == Use(3, 18, 9)
    accounts.standing(NOW + 86400)
    assert accounts.used("provider", "groq", "day") == accounts.used("provider", "groq") == Use()


@given(st.lists(st.tuples(st.sampled_from(MODELS), st.integers(0, 100), st.integers(0, 50)), max_size=30))
def test_what_a_ledger_brings_back_is_what_was_there(attempts: list[tuple[ModelSpec, int, int]]) -> None:
    accounts, ledger, calendar = Accounts(), Ledger(), Calendar()
    now = NOW
    for number, (spec, cost, hours) in enumerate(attempts):
        now += hours * 3600
        reservation = accounts.reserve(question(POOLS[0], "notes", 10, now), spec)
        begin = Begin(number.to_bytes(16), now, spec.provider, spec.id, "chat", "notes", 0, now, 0, reservation.day)
        accounts.settle(reservation, 5, cost)
        ledger.apply([begin, Settle(begin.request, now, 3, 2, 1, cost, True)])
    restored = Accounts()
    restored.restore(usage_rows(rows(ledger)), now)
    accounts.standing(now)
    for scope, name in {(scope, name) for _, scope, name in ledger.usage}:
        for window in ("day", "month"):
            assert restored.used(scope, name, window) == accounts.used(scope, name, window)
    spent = sum(
        usage.cost
        for (day, scope, _), usage in ledger.usage.items()
        if scope == "app" and day == calendar.period(now).day
    )
    assert restored.used("app", "notes", "day").cost == spent


def test_a_limit_of_a_reload_knows_what_attempts_of_two_tables_used() -> None:
    """Two requests, of before and after a reload, at the same model; another reload then limits it."""
    accounts, old, new = Accounts(), MODELS[0], replace(MODELS[0])
    accounts.configure({}, "UTC")
    asked = question(POOLS[0], "notes", 100, NOW)
    first, second = accounts.reserve(asked, old), accounts.reserve(asked, new)
    limit = Allowance("model", old.id, "cost", "day", 10_000)
    accounts.configure({("model", old.id): (limit,)}, "UTC")
    assert accounts.standing(NOW)[0]["reserved"] == first.estimate.cost + second.estimate.cost
    accounts.settle(first, 5, 77)
    [row] = accounts.standing(NOW)
    assert (row["spent"], row["reserved"]) == (77, second.estimate.cost)
    accounts.settle(second, 5, 100)
    [row] = accounts.standing(NOW)
    assert (row["spent"], row["reserved"]) == (177, 0)
