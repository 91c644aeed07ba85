"""Days, months, 24 hours and stints of accounts, over midnights, reloads and restarts."""

from __future__ import annotations

import pytest

from meshd.routing.budgets import accounts as accounts_module
from meshd.routing.budgets.accounts import Accounts
from meshd.routing.budgets.records import Use
from meshd.spend.ledger import OTHERS
from tests.support.routing.account_builders import DAY, DOLLAR, MIDNIGHT, NOW, Mesh, budget, configure, mesh, quota


def test_days_and_months_begin_again() -> None:
    mesh_ = mesh(budget(DOLLAR // 10), budget(DOLLAR // 5, window="month"))
    mesh_.spend()
    assert mesh_.refused().allowance.window == "day"
    mesh_.now = MIDNIGHT
    mesh_.spend()
    assert mesh_.refused().allowance.window == "day"
    mesh_.now += DAY
    assert mesh_.refused().allowance.window == "month"
    mesh_.now = NOW + 8 * DAY  # 2026-12-01
    mesh_.spend()
    assert mesh_.accounts.used("model", "groq.llama").cost == DOLLAR // 10


def test_a_request_settles_in_the_window_it_was_made_in() -> None:
    mesh_ = mesh(budget(DOLLAR // 5), budget(DOLLAR, window="month"))
    mesh_.now = MIDNIGHT - 1
    reservation = mesh_.reserve()
    mesh_.now = MIDNIGHT + 1
    mesh_.spend()
    mesh_.accounts.settle(reservation, 100, DOLLAR // 20)
    day, month = mesh_.accounts.standing(mesh_.now)
    assert (day["spent"], day["reserved"], day["period"]) == (DOLLAR // 10, 0, "2026-11-24")
    assert (month["spent"], month["reserved"]) == (DOLLAR * 3 // 20, 0)


def test_a_clock_that_jumps_and_comes_back_finds_what_was_used() -> None:
    mesh_ = mesh(quota(1))
    mesh_.spend()
    for elsewhere in (0.0, NOW + 5000 * DAY):
        mesh_.now = elsewhere
        assert mesh_.refusal() is None
        mesh_.now = NOW
        assert mesh_.refused().spent == 1


def test_a_rolling_window_lets_go_after_a_day_and_not_before() -> None:
    mesh_ = mesh(quota(2, window="rolling"))
    mesh_.spend()
    mesh_.now += 3600
    mesh_.spend()
    assert mesh_.refused().resets_at == NOW + DAY + 60
    mesh_.now = NOW + DAY
    assert mesh_.refusal() is not None
    mesh_.now = NOW + DAY + 60
    mesh_.spend()
    assert mesh_.refused().resets_at == NOW + 3600 + DAY + 60
    mesh_.now += 10 * DAY
    assert mesh_.row()["spent"] == 0


def test_room_for_a_large_request_waits_for_several_that_leave() -> None:
    mesh_ = mesh(quota(130, "tokens", window="rolling"))
    for tokens in (10, 10, 10, 15):
        mesh_.spend(tokens=tokens)
        mesh_.now += 600
    assert mesh_.refused().resets_at == NOW + 600 + DAY + 60  # 15 too many: the second's have to leave as well


def test_an_attempt_that_outlives_its_rolling_window_changes_it_no_more() -> None:
    mesh_ = mesh(quota(100, "tokens", window="rolling"))
    old = mesh_.reserve()
    mesh_.now += 2 * DAY
    new = mesh_.reserve()
    mesh_.accounts.settle(old, 5, 5)
    assert (mesh_.row()["spent"], mesh_.row()["reserved"]) == (0, 100)
    mesh_.accounts.settle(new, 7, 7)
    assert (mesh_.row()["spent"], mesh_.row()["reserved"]) == (7, 0)


def test_a_clock_put_back_keeps_a_rolling_window_in_order() -> None:
    mesh_ = mesh(quota(3, window="rolling"))
    mesh_.spend()
    mesh_.now -= 7200
    mesh_.spend()
    assert mesh_.row()["spent"] == 2
    mesh_.now = NOW + DAY + 60
    assert mesh_.row()["spent"] == 0


def test_a_stint_ends_when_the_member_comes_back() -> None:
    rule = budget(2, "member", "chat\0groq.llama", measure="requests", window="stint", source="rule")
    mesh_ = mesh(rule)
    mesh_.accounts.begin_stint("chat", "groq.llama")
    old = mesh_.reserve()
    mesh_.spend()
    assert mesh_.refused().resets_at is None
    mesh_.accounts.begin_stint("chat", "groq.llama")
    mesh_.accounts.begin_stint("chat", "nobody")
    mesh_.accounts.settle(old, 1, 1)
    assert mesh_.row() == mesh_.row() | {"spent": 0, "reserved": 0, "resets_at": None, "since": None, "period": ""}
    mesh_.spend()
    mesh_.spend()
    assert mesh_.refused().spent == 2


def test_a_stint_without_a_limit_may_end_before_and_after_the_first_request() -> None:
    accounts = Accounts()
    accounts.restore([("2026-11-23", "member", "chat\0groq.llama", 1, 1, 1)], NOW)
    accounts.begin_stint("chat", "groq.llama")
    assert accounts.used("member", "chat\0groq.llama", "stint") == Use()


# -- reloads and restarts ---------------------------------------------------------------------------


def test_a_limit_that_a_reload_brings_counts_what_was_used_before() -> None:
    mesh_ = mesh()
    open_ = mesh_.reserve()
    mesh_.spend(tokens=30)
    configure(mesh_, quota(200, "tokens"), quota(1000, "tokens", scope="pool", name="chat", window="rolling"))
    day, rolling = mesh_.accounts.standing(mesh_.now)
    assert (day["spent"], day["reserved"]) == (30, 100)
    # A window that was not counted takes reservations as used, and today's usage as used now.
    assert (rolling["spent"], rolling["reserved"]) == (130, 0)
    assert mesh_.refusal() is not None
    mesh_.accounts.settle(open_, 10, 0)
    assert mesh_.refusal() is None


def test_a_new_day_finds_the_rolling_window_it_had() -> None:
    mesh_ = mesh(quota(5, window="rolling", scope="pool", name="chat"))
    mesh_.spend()
    mesh_.now = MIDNIGHT
    mesh_.spend()
    assert mesh_.row()["spent"] == 2


def test_a_limit_of_24_hours_that_a_reload_brings_where_nothing_was_used() -> None:
    mesh_ = mesh(quota(5, scope="pool", name="chat"))
    assert mesh_.refusal() is None
    configure(mesh_, quota(5, scope="pool", name="chat"), quota(5, scope="pool", name="chat", window="rolling"))
    assert [row["spent"] for row in mesh_.accounts.standing(NOW)] == [0, 0]


def test_a_clock_that_is_wrong_at_the_start_loses_nothing() -> None:
    mesh_ = mesh(quota(10))
    rows = [("2026-11-20", 3), ("2026-11-21", 4), ("2026-11-22", 5), ("2026-11-23", 6)]
    mesh_.now = 0.0
    mesh_.accounts.restore([(day, "provider", "groq", count, 0, 0) for day, count in rows], mesh_.now)
    for _ in range(3):
        mesh_.spend()
    configure(mesh_, quota(10))
    assert mesh_.row()["spent"] == 3
    mesh_.now = NOW
    assert mesh_.row()["spent"] == 6


def test_what_a_restart_knows_errs_high_in_a_rolling_window() -> None:
    mesh_ = mesh(quota(20, window="rolling"))
    rows = [("2026-11-21", 1), ("2026-11-22", 2), ("2026-11-23", 4)]
    mesh_.accounts.restore([(day, "provider", "groq", count, 0, 0) for day, count in rows], NOW)
    assert mesh_.row()["spent"] == 6
    assert mesh_.row()["resets_at"] == MIDNIGHT
    mesh_.now = MIDNIGHT
    assert mesh_.row()["spent"] == 4
    mesh_.now = NOW + DAY + 60
    assert mesh_.row()["spent"] == 0


@pytest.mark.parametrize(
    ("timezone", "today", "yesterday"),
    [("Pacific/Kiritimati", "2026-11-24", "2026-11-23"), ("Pacific/Pago_Pago", "2026-11-23", "2026-11-22")],
)
def test_a_life_that_begins_knows_its_timezone_after_its_use(timezone: str, today: str, yesterday: str) -> None:
    mesh_ = Mesh(now=NOW - 3600)  # 11:00 UTC: 01:00 the next day, and midnight
    rows = [(day, "provider", "groq", count, 0, 0) for day, count in ((today, 4), (yesterday, 3), ("2026-11-20", 9))]
    mesh_.accounts.restore(rows, mesh_.now)
    configure(mesh_, quota(20, window="rolling"), timezone=timezone)
    assert mesh_.row()["spent"] == 7
    configure(mesh_, quota(20, window="rolling"), timezone="UTC")
    assert mesh_.row()["spent"] == 7


def test_a_restart_brings_days_and_months_back_and_keeps_what_is_open() -> None:
    mesh_ = mesh(budget(DOLLAR), budget(10 * DOLLAR, "pool", "chat", window="month"))
    mesh_.spend()
    open_ = mesh_.reserve()
    rows = [("2026-11-01", 5), ("2026-11-23", 3), ("2026-10-31", 7)]
    restored = [(day, scope, name, 1, 1, cost) for day, cost in rows for scope, name in [("provider", "groq"), ("pool", "chat")]]  # noqa: E501  # fmt: skip
    mesh_.accounts.restore(restored, NOW)
    day, month = mesh_.accounts.standing(NOW)
    assert (day["spent"], day["reserved"]) == (3, DOLLAR // 10)
    assert (month["spent"], month["reserved"]) == (8, DOLLAR // 10)
    mesh_.accounts.settle(open_, 1, 2)
    day, month = mesh_.accounts.standing(NOW)
    assert (day["spent"], day["reserved"], month["spent"]) == (5, 0, 10)
    assert mesh_.accounts.used("provider", "groq", "day") == Use(2, 2, 5)


def test_an_unknown_timezone_changes_nothing() -> None:
    mesh_ = mesh(quota(1))
    with pytest.raises(ValueError, match="Mars"):
        configure(mesh_, timezone="Mars/Olympus")
    mesh_.spend()
    assert mesh_.refusal() is not None


def test_another_timezone_is_another_day() -> None:
    mesh_ = mesh(quota(1))
    mesh_.spend()
    configure(mesh_, quota(1), timezone="Pacific/Kiritimati")  # 02:00 the next day
    assert mesh_.row()["period"] == "2026-11-24"
    mesh_.spend()


def test_apps_that_name_themselves_are_bounded_but_for_those_that_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts_module, "MOST_APPS", 3)
    mesh_ = mesh(budget(DOLLAR, "app", "known"))
    for number in range(10):
        mesh_.app = f"app-{number}"
        mesh_.spend()
    mesh_.app = "known"
    mesh_.spend()
    mesh_.app = "app-0"
    assert mesh_.reserve().account == "app-0"
    mesh_.app = "app-9"
    assert mesh_.reserve().account == OTHERS
    used = mesh_.accounts.used
    assert [used("app", name).requests for name in ("app-0", "app-2", OTHERS, "known")] == [1, 0, 8, 1]
    mesh_.now = NOW + 8 * DAY  # another month: those that are gone make room
    mesh_.app = "app-7"
    assert mesh_.reserve().account == "app-7"


def test_more_apps_than_there_may_be_of_an_earlier_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts_module, "MOST_APPS", 2)
    mesh_ = Mesh()
    names = ["a", "b", "c", OTHERS, "known"]
    mesh_.accounts.restore([("2026-11-23", "app", name, 1, 1, 1) for name in names], NOW)
    configure(mesh_, budget(DOLLAR, "app", "known"))
    mesh_.accounts.standing(NOW)
    assert [mesh_.accounts.used("app", name).requests for name in names] == [0, 0, 0, 1, 1]


def test_what_is_remembered_of_ways_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts_module, "MOST_ROUTES", 4)
    mesh_ = mesh(quota(100))
    for number in range(20):
        mesh_.app = f"app-{number}"
        mesh_.spend()
        assert len(mesh_.accounts.routes) <= 4
    assert mesh_.row()["spent"] == 20


def test_old_windows_are_forgotten() -> None:
    mesh_ = mesh()
    for _ in range(100):
        mesh_.spend()
        mesh_.now += DAY
    for meter in mesh_.accounts.meters.values():
        assert len(meter.days) <= 4
        assert len(meter.months) <= 3
    assert not mesh_.accounts.open
