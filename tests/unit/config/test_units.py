"""Durations, sizes and money."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.config.units import (
    parse_duration,
    parse_money,
    parse_size,
    write_duration,
    write_size,
)
from meshd.core.money import NANO


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("500ms", 0.5),
        ("60s", 60.0),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("7d", 604800.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        (" 2 m ", 120.0),
        (0, 0.0),
        (2.5, 2.5),
        ("30", 30.0),
        ("0.25", 0.25),
        ("1e2", 100.0),
    ],
)
def test_durations(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    ["soon", "", "5 minutes", "-1s", -1, True, None, [], "1e999", float("nan"), float("inf"), "s", "٥s", "1h-5m"],
)
def test_no_durations(written: object) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("512MB", 512_000_000),
        ("1GiB", 1024**3),
        ("64MiB", 64 * 1024**2),
        ("1kb", 1000),
        ("1.5KB", 1500),
        (7, 7),
        ("9", 9),
    ],
)
def test_sizes(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["big", "1XB", -1, True, None, 1.5, "0.0001KB", "", "MB"])
def test_no_sizes(written: object) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_size(written)


@pytest.mark.parametrize(
    ("written", "nano"),
    [(0.1, 100_000_000), ("0.15", 150_000_000), (3, 3 * NANO), ("$2.50", 2_500_000_000), ("5 USD", 5 * NANO), (0, 0)],
)
def test_money(written: object, nano: int) -> None:
    assert parse_money(written) == nano


@pytest.mark.parametrize("written", ["cheap", -1, True, None, "", float("nan"), float("inf"), "1e400"])
def test_no_money(written: object) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        parse_money(written)


def test_a_price_below_a_nano_dollar_is_rounded_up() -> None:
    assert parse_money("0.0000000001") == 1


@given(st.decimals(min_value=0, max_value=10**6, places=9))
def test_money_is_exact(amount: Decimal) -> None:
    assert parse_money(str(amount)) == int(amount * NANO)


@given(st.integers(min_value=0, max_value=10**18))
def test_sizes_read_back(size: int) -> None:
    assert parse_size(write_size(size)) == size


@given(st.floats(min_value=0, max_value=1e9, allow_nan=False))
def test_durations_read_back(seconds: float) -> None:
    assert parse_duration(write_duration(seconds)) == pytest.approx(seconds, rel=1e-12, abs=1e-300)


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    for parse in (parse_duration, parse_size, parse_money):
        with contextlib.suppress(ValueError):
            assert parse(text) >= 0
