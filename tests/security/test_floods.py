"""Whatever one user sends, or does not read: the daemon stays small, and answers the others."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.apps.other_users.attacker import FLOODS, OVER_CURVE
from tests.support.daemons.stress.attacked import MIB

ALL = (*FLOODS, *OVER_CURVE)


@pytest.mark.parametrize("flood", ALL)
def test_a_flood_takes_neither_memory_nor_the_others_time(door: Any, attack: Any, flood: str) -> None:
    """The figures are for a machine that runs other tests too; the exact ones are in test_soak.py."""
    with door.watched() as figures:
        attack(flood, 6000 + ALL.index(flood))
        door.measure(figures, 0.7)
    assert door.running()
    assert figures.memory < 64 * MIB
    assert min(figures.statuses) < 1.0
    assert figures.share(0.5) < 0.25
