"""One owner's entries do not push another's out of a store."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.core.fair_eviction import Shares


def test_the_one_that_holds_most_loses_what_was_unused_for_longest() -> None:
    shares: Shares[str] = Shares()
    for key in ("a1", "a2", "a3"):
        shares.put(key, "a")
    shares.put("b1", "b")
    shares.used("a1")
    assert [shares.pop() for _ in range(2)] == ["a2", "a3"]
    assert "b1" in shares
    with pytest.raises(ValueError):
        Shares[str]().pop()


@given(some.lists(some.tuples(some.integers(0, 3), some.integers(0, 40), some.integers(1, 5)), max_size=200))
def test_no_one_is_pushed_out_of_less_than_its_share(puts: list[tuple[int, int, int]]) -> None:
    room, shares, owners = 40, Shares[int](), {}
    for owner, key, size in puts:
        shares.put(key, owner, size)
        owners[key] = (owner, size)
        while shares.size > room:
            before = Counter({each: sum(s for o, s in owners.values() if o == each) for each in range(4)})
            gone, size_gone = owners.pop(shares.pop())
            assert before[gone] == max(before.values())
            assert size_gone > 0
        assert shares.size == sum(size for _, size in owners.values()) <= room
        assert len(shares) == len(owners)
        assert all(each in shares for each in owners)
