"""How long something lasts, for people."""

from __future__ import annotations

import pytest

from meshd.core.text.durations import format_duration


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (0.6, "1 s"),
        (60, "60 s"),
        (119.4, "119 s"),
        (120, "2 min"),
        (250, "4 min 10 s"),
        (3599.6, "1 h"),
        (36_123, "10 h 2 min"),
        (86_399, "23 h 59 min"),
        (86_400 * 3 + 3600 * 4 + 59, "3 d 4 h"),
    ],
)
def test_two_units_at_most(seconds, told):
    assert format_duration(seconds) == told
