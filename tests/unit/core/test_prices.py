"""What images of a kind cost."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import assume, given
from hypothesis import strategies as some

from meshd.core.prices import PICTURED, PriceRow, Pricing, dearest

LOW, HIGH, WIDE = PriceRow({"quality": "low"}, 1), PriceRow({"quality": "high"}, 5), PriceRow({"size": "9x1"}, 3)
BOTH = PriceRow({"quality": "high", "size": "9x1"}, 8)
ROWS = (LOW, HIGH, WIDE, BOTH)
_KINDS = some.fixed_dictionaries(
    {}, optional={"quality": some.sampled_from(["low", "high", "odd"]), "size": some.sampled_from(["1x1", "9x1"])}
)
_ROWS = some.lists(
    some.builds(PriceRow, _KINDS.filter(bool), some.integers(min_value=0, max_value=9)), max_size=5, unique_by=str
)


def test_the_row_that_names_most_counts() -> None:
    assert dearest(ROWS, {"quality": "high", "size": "9x1"}, None) == 8
    assert dearest(ROWS, {"quality": "high", "size": "1x1"}, None) == 5
    assert dearest(ROWS, {"quality": "low", "size": "9x1"}, None) == 3, "of two that name as much, the dearer one"


def test_what_is_left_open_costs_the_most() -> None:
    assert dearest(ROWS, {}, None) == 8
    assert dearest(ROWS, {"size": "9x1"}, None) == 8
    assert dearest(ROWS, {"quality": "low"}, None) == 3
    assert dearest(ROWS, {"quality": "low"}, 7) == 7, "what no row is for may come too"


def test_what_no_row_is_for() -> None:
    assert dearest((LOW, HIGH), {"quality": "odd"}, None) is None
    assert dearest((LOW, HIGH), {"quality": "odd"}, 7) == 7
    assert dearest((), {}, None) is None
    pricing = Pricing(of_images=(LOW, HIGH))
    assert [pricing.knows_images({"quality": each}) for each in ("low", "odd")] == [True, False]
    assert pricing.cost_of_units([("images", 2)], {"quality": "odd"}) == 10, "without a budget, at the highest price"


@given(_ROWS, _KINDS, _KINDS, some.none() | some.integers(min_value=0, max_value=9))
def test_no_image_costs_more_than_was_reserved(
    rows: list[PriceRow], told: Mapping[str, str], later: Mapping[str, str], other: int | None
) -> None:
    true = dearest(rows, {**later, **told}, other)
    assume(true is not None)
    reserved = dearest(rows, told, other)
    assert true is not None
    assert reserved is not None
    assert reserved >= true


def test_images_cost_nothing_beside_output_tokens_with_a_price() -> None:
    pricing = Pricing.of({"output_per_1m": 10**9, "per_image": 7, "per_partial_image": 2})
    used = [("images", 2), ("partials", 3)]
    assert pricing.cost_of_units(used, {}) == 0
    assert pricing.cost_of_answer(used, {}) == 20
    assert Pricing.of({"per_image": 7, "per_partial_image": 2}).cost_of_units(used, {}) == 20


def test_input_tokens_of_images_are_paid_instead_of_others() -> None:
    pricing = Pricing.of({"input_per_1m": 5 * 10**9, "image_input_per_1m": 10 * 10**9})
    assert pricing.cost(300, 0) + pricing.cost_of_units([(PICTURED, 200)], {}) == 100 * 5_000 + 200 * 10_000
