"""What a user may take of what there is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from meshd.gateway.frontends.shares.fair_share import FairShare


@given(some.integers(8, 5000), some.sampled_from([1 / 7, 1, 3]), some.integers(1, 6))
def test_something_is_left_for_the_next_user(capacity: int, generosity: float, users: int) -> None:
    share = FairShare(capacity, generosity)
    for user in range(users):
        while share.fits(user):
            share.take(user)
    left = capacity - share.total
    assert share.fits("another") is (generosity * (left - capacity // 8) >= 1)
    assert left - capacity // 8 >= int(capacity * 7 / 8 / (1 + generosity) ** users) - users
    assert all(share.of(0) >= share.of(user) for user in range(users))


@given(some.lists(some.tuples(some.integers(0, 3), some.integers(1, 40), some.booleans()), max_size=60))
def test_what_is_given_back_is_there_again(steps: list[tuple[int, int, bool]]) -> None:
    share = FairShare(100, 1)
    taken: list[tuple[int, int]] = []
    for user, amount, back in steps:
        if back and taken:
            share.give(*taken.pop())
        elif share.fits(user, amount, operator=user == 0):
            share.take(user, amount)
            taken.append((user, amount))
        assert share.total == sum(amount for _, amount in taken) <= 100
        for each in range(4):
            assert share.of(each) == sum(amount for user, amount in taken if user == each)
    for user, amount in taken:
        share.give(user, amount)
    assert share.fits(1, 44)


def test_operators_have_everything() -> None:
    share = FairShare(16, 1)
    while share.fits("user"):
        share.take("user")
    assert share.of("user") == 7
    while share.fits("root", operator=True):
        share.take("root")
    assert share.of("root") == 9
    assert not share.fits("user")


def test_a_least_amount_fits_whatever_the_share_is() -> None:
    share = FairShare(100, 1 / 7)
    assert not share.fits("user", 40)
    assert share.fits("user", 40, least=50)
    share.take("user", 40)
    assert not share.fits("user", 40, least=50)
    assert not share.fits("user", 200, least=500)
