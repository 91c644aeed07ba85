"""Several daemons never take more than a limit, whatever is lost between them, and each gets what is left."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.routing.budgets.shares import Shares
from tests.support.routing import shared_limits
from tests.support.routing.account_builders import DAY, DOLLAR, budget, mesh, quota
from tests.support.routing.shared_limits import ACTIONS, COST, Divider, Sharer

STEP = st.tuples(st.integers(0, 2), st.sampled_from(ACTIONS), st.integers(0, 5))


@settings(max_examples=40)
@given(st.sampled_from([3, 10, 25]), st.lists(STEP, min_size=20, max_size=100))
def test_never_more_than_the_limit(limit: int, steps: list[shared_limits.Step]) -> None:
    shared_limits.never_more_than_the_limit(Divider().divide, limit * COST, steps)


@pytest.mark.parametrize("seed", range(6))
def test_never_more_than_the_limit_in_a_long_time(seed: int) -> None:
    shared_limits.never_more_than_the_limit(Divider().divide, 10 * COST, shared_limits.drawn(seed, 400))


def test_each_has_its_part_of_the_next_days() -> None:
    shared_limits.each_has_its_part_of_the_next_days(Divider().divide)


def test_a_month_begins_while_it_is_cut_off() -> None:
    shared_limits.a_month_begins_while_it_is_cut_off(Divider().divide)


def test_each_gets_what_is_left() -> None:
    shared_limits.each_gets_what_is_left(Divider().divide)


def test_one_that_is_cut_off_goes_on_with_what_it_has() -> None:
    shared_limits.one_that_is_cut_off_goes_on_with_what_it_has(Divider().divide)


def test_one_that_ends_gives_back() -> None:
    shared_limits.one_that_ends_gives_back(Divider().divide)


def test_two_that_need_the_rest_do_not_wait_for_each_other() -> None:
    shared_limits.two_that_need_the_rest_do_not_wait_for_each_other(Divider().divide)


def test_another_day_is_another_window() -> None:
    daemon = Sharer("a", 2 * COST, Divider().divide)
    daemon.exchange()
    assert daemon.begin() == "taken"
    daemon.end()
    daemon.exchange()
    daemon.mesh.now += DAY
    assert daemon.begin() == "taken"  # of its part
    daemon.mesh.now += 9 * DAY
    assert daemon.begin() == "waits"
    daemon.exchange()
    assert daemon.begin() == "taken"


def test_a_warning_counts_what_others_have_spent() -> None:
    first, second = (Sharer(name, 10 * COST, None) for name in ("a", "b"))  # type: ignore[arg-type]
    first.divide = second.divide = Divider().divide
    for _ in range(8):
        first.exchange()
        if first.begin() == "taken":
            first.end()
    shared_limits.settle_down(second, first)
    assert second.begin() == "taken"
    second.end()
    assert ("budget_alert", "provider") in second.mesh.alerts()


def test_what_is_not_enforced_or_of_one_daemon_is_not_shared() -> None:
    found = mesh(budget(DOLLAR, enforce=False), quota(5, window="stint", scope="member", name="chat\0groq.llama"))
    shares = found.accounts.shares = Shares(found.accounts, lambda: None)
    assert shares.claims(found.now) == []
    assert found.refusal() is None
    assert shares.claims(found.now) == []
    assert not found.accounts.lacks(found.question(), shared_limits.PAID)


def test_who_is_cut_off_says_why_it_refuses() -> None:
    first, second = (Sharer(name, 10 * COST, None) for name in ("a", "b"))  # type: ignore[arg-type]
    first.divide = second.divide = Divider().divide
    shared_limits.settle_down(first, second)
    assert shared_limits.as_many_as_it_can(first, divide_again=False) == 5
    assert first.mesh.refused().reason == (
        "provider groq has spent $0.50 of its $1.00 a day, this one may cost $0.10, the rest is kept for other "
        "daemons, and the storage that divides it does not answer; resets at 2026-11-24 00:00 UTC"
    )


def test_limits_are_its_own_again() -> None:
    daemon = Sharer("a", 10 * COST, Divider().divide)
    daemon.exchange(lost="claim")
    assert daemon.begin() == "refused"
    daemon.shares.end()
    daemon.mesh.accounts.shares = None
    assert daemon.begin() == "taken"


def test_a_clock_that_is_set_back_gives_back_nothing_that_is_used() -> None:
    shared_limits.a_clock_that_is_set_back_gives_back_nothing_that_is_used(Divider().divide)


def test_a_restart_knows_what_was_given_back() -> None:
    shared_limits.a_restart_knows_what_was_given_back(Divider().divide)
