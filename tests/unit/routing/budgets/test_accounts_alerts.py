"""What accounts tell by themselves and when asked: alerts, and how every limit stands."""

from __future__ import annotations

from tests.support.routing.account_builders import (
    DAY,
    DOLLAR,
    FREE,
    MIDNIGHT,
    NOW,
    PAID,
    budget,
    configure,
    mesh,
    quota,
)


def test_alerts_are_given_once_a_window() -> None:
    mesh_ = mesh(budget())
    for _ in range(7):
        mesh_.spend()
    assert mesh_.alerts() == []
    mesh_.spend()
    [alert] = mesh_.accounts.take_alerts()
    assert (alert.type, alert.spent, alert.reserved, alert.resets_at) == ("budget_alert", 800_000_000, 0, MIDNIGHT)
    mesh_.spend()
    assert mesh_.alerts() == []
    mesh_.spend()
    assert mesh_.alerts() == [("budget_exceeded", "provider")]
    assert mesh_.refusal() is not None
    assert mesh_.alerts() == []
    mesh_.now = MIDNIGHT
    for _ in range(8):
        mesh_.spend()
    assert mesh_.alerts() == [("budget_alert", "provider")]


def test_a_refused_reservation_says_that_the_limit_is_used_up() -> None:
    mesh_ = mesh(budget(DOLLAR * 3 // 20))
    mesh_.reserve()
    assert mesh_.refusal() is not None
    assert mesh_.refusal() is not None
    assert mesh_.alerts() == [("budget_exceeded", "provider")]


def test_a_request_that_could_never_fit_says_nothing_of_the_limit_and_one_of_a_limit_of_nothing_does() -> None:
    mesh_ = mesh(budget(DOLLAR // 20))
    assert mesh_.refusal() is not None
    assert mesh_.alerts() == []
    configure(mesh_, budget(0))
    assert mesh_.refusal() is not None
    assert mesh_.alerts() == [("budget_exceeded", "provider")]


def test_a_free_model_raises_no_alert_of_a_limit_of_0() -> None:
    mesh_ = mesh(budget(0, name="local"))
    mesh_.spend(FREE, cost=0)
    assert mesh_.alerts() == []


def test_what_is_not_enforced_alerts_too_and_both_at_once_where_both_are_reached() -> None:
    mesh_ = mesh(budget(DOLLAR // 20, enforce=False), quota(100, "tokens", scope="app", name="notes"))
    mesh_.spend()
    assert mesh_.alerts() == [
        ("budget_alert", "provider"),
        ("budget_exceeded", "provider"),
        ("limit_alert", "app"),
        ("limit_exceeded", "app"),
    ]
    mesh_.accounts.settle(mesh_.accounts.reserve(mesh_.question(), PAID), 100, 1)
    assert mesh_.alerts() == []


def test_a_reload_alerts_again_only_of_what_it_changed() -> None:
    rolling = quota(4, window="rolling")
    mesh_ = mesh(budget(), rolling)
    for _ in range(4):
        mesh_.spend(cost=DOLLAR // 5)
    assert len(mesh_.alerts()) == 3
    configure(mesh_, budget(DOLLAR - 1), rolling)
    assert mesh_.refusal() is not None
    assert mesh_.alerts() == []
    mesh_.now = MIDNIGHT
    assert mesh_.refused().allowance == rolling
    assert mesh_.alerts() == [("limit_exceeded", "provider")]


def test_a_reservation_made_before_a_reload_alerts_of_its_new_limit_soon() -> None:
    mesh_ = mesh()
    reservation = mesh_.reserve()
    configure(mesh_, budget(DOLLAR // 10))
    mesh_.accounts.settle(reservation, 100, DOLLAR // 10)  # the new limit has not been read yet
    assert mesh_.refusal() is not None
    assert ("budget_exceeded", "provider") in mesh_.alerts()


# -- how it stands ---------------------------------------------------------------------------


def test_how_it_stands() -> None:
    mesh_ = mesh(budget(DOLLAR, alert_threshold=0.5))
    mesh_.spend()
    mesh_.reserve()
    assert mesh_.row() == {
        "scope": "provider",
        "name": "groq",
        "measure": "cost",
        "window": "day",
        "source": "budget",
        "limit": DOLLAR,
        "spent": DOLLAR // 10,
        "reserved": DOLLAR // 10,
        "elsewhere": 0,
        "remaining": DOLLAR * 8 // 10,
        "resets_at": MIDNIGHT,
        "since": MIDNIGHT - DAY,
        "period": "2026-11-23",
        "enforce": True,
        "alert_threshold": 0.5,
    }


def test_an_overrun_leaves_nothing_rather_than_less() -> None:
    mesh_ = mesh(budget(DOLLAR, window="month"))
    mesh_.spend(cost=2 * DOLLAR)
    assert mesh_.row()["remaining"] == 0
    assert mesh_.row()["period"] == "2026-11"


def test_a_rolling_window_that_is_empty_has_nothing_to_wait_for() -> None:
    row = mesh(quota(1, window="rolling")).row()
    assert (row["resets_at"], row["since"]) == (None, NOW - DAY)
