"""What the statistics of a life that was killed lack, as the journal has it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from meshd.spend.records import Begin, Settle
from meshd.spend.recovered import Covered, find_lost
from meshd.telemetry.lost_outcomes import outcomes_of


def begin(number: int, attempt: int = 1, at: float = 100.0) -> Begin:
    return Begin(bytes([number]) * 16, at, "p", "m", "chat", "app", 50, at + 60, attempt, "", 3, 4)


def settle(number: int, at: float, attempt: int = 1, ok: bool = True, sent: bool = True) -> Settle:
    return Settle(bytes([number]) * 16, at, 1, 2, 0, 7, ok, attempt, sent)


def test_what_was_settled_and_not_counted_is_lost_and_what_was_open_by_its_reservation() -> None:
    records = [begin(1), settle(1, 110), begin(2), settle(2, 111), begin(3), settle(3, 112, sent=False), begin(4)]
    covered = Covered(111.5, 51.5, frozenset({(bytes([1]) * 16).hex()}))
    lost = find_lost(records, {(bytes([4]) * 16, 1): begin(4)}, covered)
    assert [(each.request[:2], each.cost, each.ok) for each in lost] == [("04", 50, False), ("02", 7, True)]


def test_an_attempt_that_began_in_a_segment_that_is_gone_is_found() -> None:
    assert [each.model for each in find_lost([settle(1, 110)], {}, Covered(), [begin(1)])] == ["m"]
    assert find_lost([settle(1, 110)], {}, Covered()) == []


def test_what_else_was_counted_is_there_as_well() -> None:
    records = [begin(1), replace(settle(1, 101, ok=False), units={"searches": 2})]
    still = replace(begin(1, 2, 102), units={"searches": 1, "pages": 9})
    [outcome] = outcomes_of(find_lost([*records, still], {(still.request, 2): still}, Covered()))
    assert outcome.units == {"searches": 3, "pages": 9}
    assert [each.units for each in outcome.attempts] == [{"searches": 2}, {"searches": 1, "pages": 9}]


def test_attempts_of_one_request_are_one_outcome() -> None:
    records = [begin(1), settle(1, 101, ok=False), begin(1, 2, 102), settle(1, 103, 2)]
    [outcome] = outcomes_of(find_lost(records, {}, Covered()))
    assert (outcome.status, outcome.cost, len(outcome.attempts), outcome.total_time) == (200, 14, 2, 1.0)


@given(some.lists(some.tuples(some.integers(0, 20), some.floats(100, 200)), max_size=30), some.floats(100, 200))
def test_each_is_counted_once_whenever_the_statistics_were_saved(ends: list[tuple[int, float]], saved: float) -> None:
    requests = dict(ends)
    records = [record for number, at in requests.items() for record in (begin(number), settle(number, at))]
    seen = frozenset((bytes([n]) * 16).hex() for n, at in requests.items() if saved - 60 <= at <= saved)
    before = sum(at < saved - 60 for at in requests.values())
    lost = find_lost(records, {}, Covered(saved, saved - 60, seen))
    assert before + len(seen) + len(lost) == len(requests)
