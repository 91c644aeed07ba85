"""A session keeps to one key of a provider, so that the provider's prompt cache is found again."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.core.events.cause import Why, cause_of
from meshd.routing.rates.key_ring import KeyRing, RestingKey
from meshd.routing.table.specs import KeySpec
from meshd.sdk.provider import FailureKind

NOW = 1_000_000.0
SESSIONS = [f"session {number}" for number in range(600)]
WHY = Why(cause_of(FailureKind.RATE_LIMIT), FailureKind.RATE_LIMIT)


def ring(weights: dict[str, float]) -> KeyRing:
    made = KeyRing()
    made.configure(tuple(KeySpec(id, weight) for id, weight in weights.items()))
    return made


def homes(made: KeyRing, at: float = NOW, full: str = "") -> dict[str, str]:
    return {session: made.take(at, lambda id: id != full, session) for session in SESSIONS}


@given(some.dictionaries(some.sampled_from("abcdef"), some.sampled_from([1.0, 1.0, 2.0, 0.5]), min_size=2), some.data())
def test_a_dead_key_moves_only_its_own_sessions_and_they_come_back(
    weights: dict[str, float], data: some.DataObject
) -> None:
    made = ring(weights)
    before = homes(made)
    dead = data.draw(some.sampled_from(sorted(weights)))
    made.refuse(RestingKey(dead, WHY, NOW + 60), NOW)
    during = homes(made)
    assert dead not in during.values()
    assert all(during[session] == home for session, home in before.items() if home != dead)
    assert homes(made, NOW + 60) == before, "when the key is back"
    full = homes(made, NOW + 60, full=dead)
    assert full == during, "one without room is passed over in the same way"


def test_sessions_are_spread_by_weight() -> None:
    had = Counter(homes(ring({"a": 3.0, "b": 1.0, "none": 0.0})).values())
    assert had["a"] == pytest.approx(len(SESSIONS) * 0.75, rel=0.1)
    assert had["none"] == 0


def test_a_session_has_the_same_key_in_any_order_and_after_a_restart() -> None:
    assert homes(ring({"a": 1.0, "b": 1.0, "c": 1.0})) == homes(ring({"c": 1.0, "a": 1.0, "b": 1.0}))


def test_a_key_that_a_session_used_has_had_its_turn_but_only_one() -> None:
    made = ring({"a": 1.0, "b": 1.0})
    session = next(each for each in SESSIONS if made.take(NOW, lambda _: True, each) == "a")
    made = ring({"a": 1.0, "b": 1.0})
    for _ in range(10):
        made.take(NOW, lambda _: True, session)
    used = [made.take(NOW, lambda _: True) for _ in range(10)]
    assert used[0] == "b"
    assert Counter(used[:6])["a"] >= 2
