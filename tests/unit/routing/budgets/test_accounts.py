"""What scopes have used and reserved, and who is refused: no clock, no file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshd.routing.budgets.accounts import Accounts
from meshd.routing.budgets.records import Use
from meshd.routing.decision.stages.budget import BudgetStage
from meshd.routing.table.specs import Allowance
from tests.support.routing.account_builders import (
    DOLLAR,
    FREE,
    MIDNIGHT,
    NOW,
    PAID,
    UNPRICED,
    budget,
    configure,
    mesh,
    quota,
)


def test_nothing_is_refused_where_nothing_is_limited_and_everything_is_counted() -> None:
    mesh_ = mesh()
    mesh_.spend(cost=7)
    mesh_.spend(FREE, tokens=3, cost=0)
    used = mesh_.accounts.used
    assert used("provider", "groq", "day") == used("model", "groq.llama", "month") == Use(1, 100, 7)
    assert used("pool", "chat") == used("app", "notes", "day") == Use(2, 103, 7)
    assert used("member", "chat\0groq.llama", "stint") == Use(1, 100, 7)
    assert used("provider", "groq", "rolling") == used("model", "nobody") == Use()
    assert mesh_.accounts.used("model", "groq.llama").cost == 7
    assert mesh_.accounts.standing(NOW) == []


def test_nothing_is_known_before_the_first_request() -> None:
    assert Accounts().used("model", "groq.llama") == Use()


def test_what_is_reserved_is_not_given_away_again() -> None:
    mesh_ = mesh(budget(DOLLAR // 4))
    first = mesh_.reserve()
    mesh_.reserve()
    refusal = mesh_.refused()
    assert (refusal.spent, refusal.reserved, refusal.resets_at) == (0, DOLLAR // 5, MIDNIGHT)
    mesh_.accounts.settle(first, 10, DOLLAR // 100)
    mesh_.reserve()
    assert mesh_.row()["reserved"] == DOLLAR // 5


def test_a_settlement_counts_once_and_one_that_never_left_is_not_a_request() -> None:
    mesh_ = mesh(quota(10))
    reservation = mesh_.reserve()
    for _ in range(2):
        mesh_.accounts.settle(reservation, 50, 5)
    mesh_.spend(tokens=0, cost=0, sent=False)
    assert mesh_.accounts.used("provider", "groq", "day") == Use(1, 50, 5)
    assert mesh_.row()["reserved"] == 0


def test_a_reservation_says_what_the_journal_writes_down() -> None:
    reservation = mesh().reserve()
    assert (reservation.day, reservation.account) == ("2026-11-23", "notes")
    assert reservation.estimate == (60, 40, DOLLAR // 10)


def test_no_app_and_no_pool_are_not_scopes() -> None:
    mesh_ = mesh()
    mesh_.app = mesh_.pool = ""
    mesh_.spend()
    used = mesh_.accounts.used
    assert used("app", "") == used("pool", "") == used("member", "\0groq.llama") == Use()
    assert used("provider", "groq").requests == 1


def test_what_a_lost_router_had_reserved_is_spent() -> None:
    mesh_ = mesh(budget())
    lost = mesh_.reserve()
    mesh_.accounts.nothing_reserved()
    mesh_.accounts.settle(lost, 1, 1)
    assert mesh_.accounts.used("provider", "groq") == Use(1, 100, DOLLAR // 10)
    assert (mesh_.row()["spent"], mesh_.row()["reserved"]) == (DOLLAR // 10, 0)


# -- refusals ---------------------------------------------------------------------------


def test_a_refusal_is_a_sentence_for_people() -> None:
    mesh_ = mesh(budget())
    for _ in range(10):
        mesh_.spend()
    assert mesh_.refused().reason == "provider groq has spent $1.00 of its $1.00 a day; resets at 2026-11-24 00:00 UTC"


@pytest.mark.parametrize(
    ("allowance", "used", "reason"),
    [
        (
            budget(DOLLAR * 3 // 20, "pool", "chat", window="month"),
            1,
            "pool chat has spent $0.10 of its $0.15 a month, this one may cost $0.10; resets at 2026-12-01 00:00 UTC",
        ),
        (
            quota(2),
            2,
            "provider groq has used 2 of its 2 requests a day; resets at 2026-11-24 00:00 UTC",
        ),
        (
            quota(1234, "tokens", scope="app", name="notes", window="rolling"),
            12,
            "app notes has used 1,200 of its 1,234 tokens in any 24 hours, this one may use 100; "
            "there is room again at 2026-11-24 12:01 UTC",
        ),
        (
            budget(1, "member", "chat\0groq.llama", measure="requests", window="stint", source="rule"),
            1,
            "model groq.llama in pool chat has used 1 of its 1 requests since it last came back from standby",
        ),
        (
            budget(DOLLAR // 20, "model", "groq.llama"),
            0,
            "this request may cost $0.10, and model groq.llama may spend $0.05 a day",
        ),
        (quota(99, "tokens"), 0, "this request may use 100, and provider groq may use 99 tokens a day"),
    ],
)
def test_every_kind_of_limit_refuses_in_its_own_words(allowance: Allowance, used: int, reason: str) -> None:
    mesh_ = mesh(allowance)
    for _ in range(used):
        mesh_.spend()
    assert mesh_.refused().reason == reason
    assert mesh_.refused().allowance == allowance


def test_a_refusal_tells_what_is_under_way() -> None:
    mesh_ = mesh(budget(DOLLAR // 4), quota(3))
    mesh_.spend()
    mesh_.reserve()
    assert mesh_.refused().reason == (
        "provider groq has spent $0.10 of its $0.25 a day, requests in flight may cost $0.10, this one may cost $0.10; "
        "resets at 2026-11-24 00:00 UTC"
    )


def test_times_are_told_in_the_configured_timezone() -> None:
    mesh_ = mesh(quota(1), timezone="Europe/Berlin")
    mesh_.spend()
    assert mesh_.refused().reason.endswith("resets at 2026-11-24 00:00 CET")
    assert mesh_.refused().resets_at == MIDNIGHT - 3600


def test_a_free_model_fits_a_budget_that_is_used_up_and_no_quota() -> None:
    mesh_ = mesh(budget(0, "pool", "chat"), quota(1, name="local"))
    assert mesh_.refused().resets_at is None
    mesh_.spend(FREE, cost=0)
    assert mesh_.refused(FREE).allowance.source == "quota"


def test_a_model_without_prices_meets_no_budget() -> None:
    mesh_ = mesh(budget(DOLLAR, "app", "notes"), quota(1))
    refusal = mesh_.refused(UNPRICED)
    assert refusal.reason == "the price of groq.new is unknown, and app notes may spend $1.00 a day: set its `pricing`"
    assert (refusal.resets_at, refusal.allowance.scope) == (None, "app")
    configure(mesh_, budget(DOLLAR, "app", "notes", enforce=False), quota(1))
    assert mesh_.refusal(UNPRICED) is None


def test_a_model_that_a_reload_gave_prices_is_known_at_once() -> None:
    mesh_ = mesh(budget())
    assert mesh_.refusal(UNPRICED) is not None
    assert mesh_.refusal(replace(UNPRICED, priced=True)) is None


def test_budgets_are_told_before_quotas_before_rules_and_the_narrowest_first() -> None:
    everything = [
        budget(0, "app", "notes"),
        budget(0, "model", "groq.llama", window="day"),
        budget(0, "model", "groq.llama", window="month"),
        budget(0),
        quota(0, scope="app", name="notes"),
        quota(0),
        budget(0, "member", "chat\0groq.llama", source="rule", measure="requests"),
        budget(0, "member", "chat\0groq.llama", source="rule", measure="tokens"),
    ]
    for at, allowance in enumerate(everything):
        assert mesh(*reversed(everything[at:])).refused().allowance == allowance


def test_what_is_not_enforced_refuses_nothing() -> None:
    mesh_ = mesh(budget(0, enforce=False), quota(0, enforce=False))
    mesh_.spend()
    assert [row["enforce"] for row in mesh_.accounts.standing(NOW)] == [False, False]


# -- the stage ---------------------------------------------------------------------------


def test_the_budget_stage_drops_what_does_not_fit() -> None:
    mesh_ = mesh(quota(1))
    stage = BudgetStage(mesh_.state)
    assert stage.objection(PAID, mesh_.question()) is None
    mesh_.spend()
    assert (stage.objection(PAID, mesh_.question()) or "").startswith("provider groq has used 1 of its 1 requests")
    assert stage.objection(FREE, mesh_.question()) is None
    assert not stage.permanent
