"""A receiver with a limit gets everything that fits, each item once and in order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.connectors.observability.halving import Lost, TooLarge, post_in_halves


@given(st.lists(st.integers(1, 20), min_size=1, max_size=40), st.integers(1, 40))
def test_what_fits_is_taken_in_order_and_the_rest_is_counted(sizes: list[int], most: int) -> None:
    taken: list[int] = []
    parts: list[str] = []

    def post(items: Sequence[int], part: str) -> Lost:
        parts.append(part)
        if sum(items) > most:
            raise TooLarge("too large", len(items))
        taken.extend(items)
        return 0, ""

    lost, why = post_in_halves(post, sizes)
    assert taken == [size for size in sizes if size <= most]
    assert (lost, bool(why)) == (len(sizes) - len(taken), len(taken) < len(sizes))
    assert len(parts) == len(set(parts))
    assert parts[0] == ""


def test_what_is_refused_for_another_reason_is_added_up() -> None:
    def post(items: Sequence[str], part: str) -> Lost:
        if len(items) > 1:
            raise TooLarge("too large", len(items))
        return (2, f"{items[0]} is odd") if part == "-1-2" else (0, "")

    assert post_in_halves(post, ["a", "b", "c"]) == (0, "")
    assert post_in_halves(post, ["a", "b", "c", "d"]) == (2, "b is odd")


def test_a_failure_ends_it() -> None:
    def post(items: Sequence[int], part: str) -> Lost:
        if part == "-2":
            raise OSError("away")
        raise TooLarge("too large", 7) if len(items) > 1 else OSError("first")

    with pytest.raises(OSError, match="first"):
        post_in_halves(post, [1, 2])
