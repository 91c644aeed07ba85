"""What the journal adds up to, without a file or a clock."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshd.spend.ledger import Ledger, usage_id, usage_key, usage_rows
from meshd.spend.records import Begin, Settle, Usage
from meshd.state.codec import read_export

DAY = 86400.0
NOON = 20000 * DAY + DAY / 2  # 2024-10-04


def begin(request: int, at: float = NOON, reserved: int = 100, attempt: int = 0) -> Begin:
    return Begin(request.to_bytes(16), at, "p", "p/m", "chat", "app", reserved, at + 60, attempt)


def settle(request: int, cost: int = 40, at: float = NOON + 1, attempt: int = 0) -> Settle:
    return Settle(request.to_bytes(16), at, 10, 5, 2, cost, True, attempt)


def test_a_settled_attempt_counts_in_all_its_scopes_once() -> None:
    ledger = Ledger()
    ledger.apply([begin(1), settle(1), settle(1)])
    expected = Usage(1, 10, 5, 2, 40)
    assert ledger.usage == {
        ("2024-10-04", scope, name): expected
        for scope, name in (
            ("provider", "p"),
            ("model", "p/m"),
            ("pool", "chat"),
            ("member", "chat\0p/m"),
            ("app", "app"),
        )
    }
    assert not ledger.open


def test_units_are_summed_as_reported_and_as_reserved_for_what_was_lost() -> None:
    ledger = Ledger()
    units = {"searches": 1, "tokens_reasoning": 30}
    ledger.apply([begin(1), replace(settle(1), units=units), begin(2), replace(settle(2), units=units), begin(3)])
    ledger.apply([replace(begin(4), units={"searches": 5})])
    ledger.bury(NOON)
    assert ledger.usage["2024-10-04", "model", "p/m"].units == {"searches": 7, "tokens_reasoning": 60}


def test_an_export_of_an_older_version_is_added_to_what_was_counted_since() -> None:
    row = {"requests": 1, "tokens_in": 10, "tokens_out": 5, "tokens_cached": 2, "cost": 40}
    key = ("2024-10-04", "model", "p/m")
    found = read_export({"version": 1, "tables": {}, "usage": {usage_id(key): row}})[1]
    ledger = Ledger()
    ledger.apply([begin(1), replace(settle(1), units={"searches": 1})])
    ledger.add(key, found[key])
    assert ledger.usage[key] == Usage(2, 20, 10, 4, 80, {"searches": 1})
    exported = msgspec.to_builtins(ledger.usage[key])
    assert read_export({"version": 1, "tables": {}, "usage": {usage_id(key): exported}})[1][key] == ledger.usage[key]


def test_it_counts_on_the_day_it_began() -> None:
    ledger = Ledger()
    ledger.apply([begin(1, at=NOON + DAY / 2 - 1), settle(1, at=NOON + DAY / 2 + 5)])
    assert {key[0] for key in ledger.usage} == {"2024-10-04"}


def test_it_counts_on_the_day_that_its_router_said() -> None:
    ledger = Ledger()
    ledger.apply([Begin(b"1", NOON, "p", "p/m", "", "", 100, NOON + 60, day="2024-10-05"), Settle(b"1", NOON, 1, 1, 0, 7, True)])  # noqa: E501  # fmt: skip
    assert set(ledger.usage) == {("2024-10-05", "provider", "p"), ("2024-10-05", "model", "p/m")}


def test_what_never_left_is_not_a_request() -> None:
    ledger = Ledger()
    ledger.apply([begin(1), Settle((1).to_bytes(16), NOON, 0, 0, 0, 0, False, sent=False)])
    assert ledger.usage["2024-10-04", "member", "chat\0p/m"] == Usage()


def test_an_attempt_that_was_lost_has_used_all_the_tokens_it_could() -> None:
    ledger = Ledger()
    ledger.apply([Begin(b"1", NOON, "p", "p/m", "chat", "app", 100, NOON + 60, tokens_in=30, tokens_out=4)])
    ledger.bury(NOON)
    assert ledger.usage["2024-10-04", "app", "app"] == Usage(1, 30, 4, 0, 100)


@given(st.dates().map(str), st.sampled_from(["member", "app"]), st.text(min_size=1))
def test_a_tables_ids_say_what_they_are_of_whatever_the_name(day: str, scope: str, name: str) -> None:
    key = (day, scope, name)
    assert usage_key(usage_id(key)) == key
    sums = {"requests": 1, "tokens_in": 2, "tokens_out": 3, "tokens_cached": 1, "cost": 4}
    assert list(usage_rows({usage_id(key): sums})) == [(day, scope, name, 1, 5, 4)]


def test_an_id_of_nothing() -> None:
    with pytest.raises(ValueError, match="not a day"):
        usage_key("2024-10-04\0app")


def test_what_a_dead_life_left_open_is_spent_and_remembered_for_an_hour() -> None:
    ledger = Ledger()
    ledger.apply([begin(1)])
    ledger.bury(NOON + 10)
    assert ledger.usage["2024-10-04", "provider", "p"].cost == 100
    assert set(ledger.begun) == {(1).to_bytes(16)}
    ledger.apply([settle(1)])
    assert ledger.usage["2024-10-04", "provider", "p"].cost == 100
    ledger.expire(NOON + 3700)
    assert not ledger.begun


def test_an_attempt_never_settled_is_spent_a_minute_after_its_deadline() -> None:
    ledger = Ledger()
    ledger.apply([begin(1)])
    assert not ledger.expire(NOON + 119)
    assert ledger.expire(NOON + 121)
    assert ledger.usage["2024-10-04", "app", "app"].cost == 100


def test_attempts_of_one_request_are_apart() -> None:
    ledger = Ledger()
    ledger.apply([begin(1), begin(1, attempt=1), settle(1, cost=7, attempt=1)])
    assert ledger.usage["2024-10-04", "pool", "chat"].cost == 7
    assert len(ledger.open) == 1


@given(st.permutations(range(6)))
def test_the_order_of_settlements_does_not_matter(order: list[int]) -> None:
    ledger = Ledger()
    ledger.apply([begin(each) for each in range(6)])
    ledger.apply([settle(each, cost=each) for each in order])
    assert ledger.usage["2024-10-04", "model", "p/m"] == Usage(6, 60, 30, 12, 15)


def test_old_days_leave_memory_but_not_before_they_are_written() -> None:
    ledger = Ledger()
    ledger.apply([begin(1), settle(1)])
    ledger.forget_days(NOON + 100 * DAY)
    assert ledger.usage
    ledger.changed.clear()
    ledger.forget_days(NOON + 100 * DAY)
    assert not ledger.usage


def test_apps_that_name_themselves_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshd.spend.ledger.MOST_NAMES", 3)
    ledger = Ledger()
    for number in range(10):
        app = begin(number)
        app = Begin(app.request, app.at, app.provider, app.model, app.pool, f"app-{number}", 100, app.deadline)
        ledger.apply([app, settle(number)])
    apps = {key[2]: usage.requests for key, usage in ledger.usage.items() if key[1] == "app"}
    assert apps == {"app-0": 1, "app-1": 1, "app-2": 1, "(others)": 7}
    assert ledger.usage["2024-10-04", "provider", "p"].requests == 10
