"""Requests end in any order: what every scope has used is the same in each, also over midnights."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshd.routing.budgets.accounts import Accounts
from meshd.routing.budgets.windows import Sums
from meshd.spend.ledger import Ledger
from meshd.spend.records import Begin, Settle
from tests.support.routing.account_world import APPS, MODELS, NOW, POOLS, TABLE, ZONES, question

HOUR = 3600.0
ATTEMPTS = st.lists(
    st.tuples(
        st.sampled_from(MODELS),
        st.sampled_from(POOLS),
        st.sampled_from(APPS),
        st.integers(0, 150),  # tokens reserved, each way
        st.integers(0, 400),  # tokens used
        st.integers(0, 5000),  # what they cost
        st.booleans(),  # sent
        st.integers(0, 40),  # hours since the one before began
    ),
    min_size=2,
    max_size=12,
)


def played(attempts: list[tuple[Any, ...]], order: list[int], looks: set[int], zone: str) -> Any:
    """All sums, after the attempts have begun one after the other and ended in this order. looks: how many have
    ended when somebody asks how it stands, each time a day later than the time before."""
    accounts, ledger, now = Accounts(), Ledger(), NOW
    accounts.configure(TABLE.allowances, zone)
    begun = []
    for number, (model, pool, app, most, *_, hours) in enumerate(attempts):
        now += hours * HOUR
        reservation = accounts.reserve(question(pool, app, most, now), model)
        names = model.provider, model.id, pool.name, reservation.account
        begin = Begin(number.to_bytes(16), now, *names, reservation.estimate.cost, now, 0, reservation.day)
        ledger.apply([begin])
        begun.append((reservation, begin))
    for done, number in enumerate(order):
        if done in looks:
            now += 24 * HOUR
            accounts.standing(now)
        reservation, begin = begun[number]
        _, _, _, _, tokens, cost, sent, _ = attempts[number]
        accounts.settle(reservation, tokens, cost, sent=sent)
        ledger.apply([Settle(begin.request, now, tokens, 0, 0, cost, True, 0, sent)])
    accounts.standing(NOW + 100 * 24 * HOUR)
    accounts.standing(now)
    accounts.spread()
    return {key: of_meter(meter) for key, meter in accounts.meters.items()}, ledger.usage


def of_meter(meter: Any) -> Any:
    windows: dict[str, Sums] = {**meter.days, **meter.months}
    if meter.stint is not None:
        windows["stint"] = meter.stint
    for sums in windows.values():
        assert sums.taken == sums.used  # nothing is reserved when all have ended
    return {name: tuple(sums.used) for name, sums in windows.items() if any(sums.used)}


@given(ATTEMPTS, st.data(), st.sampled_from(ZONES))
def test_the_order_of_settlements_changes_no_sum(
    attempts: list[tuple[Any, ...]], data: st.DataObject, zone: str
) -> None:
    in_turn = list(range(len(attempts)))
    looks = data.draw(st.sets(st.sampled_from(in_turn), max_size=3))
    expected = played(attempts, in_turn, looks, zone)
    assert played(attempts, data.draw(st.permutations(in_turn)), looks, zone) == expected
    assert played(attempts, in_turn[::-1], looks, zone) == expected
