"""How much others notice of each flood, for longer, and beside the same without it. Run with -s to see the figures."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.apps.attacker import FLOODS
from tests.support.daemons.attacked import MIB, Figures

pytestmark = [pytest.mark.soak, pytest.mark.timeout(120)]
_SECONDS = 2.5
_NOISE = 0.020  # s: the attackers and the test take processors too


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_hardly_noticed(door: Any, attack: Any, flood: str) -> None:
    uid, quiet = 8000 + list(FLOODS).index(flood), Figures()
    door.measure(quiet, _SECONDS)
    with door.watched() as figures:
        attackers = [attack(flood, uid) for _ in range(2 if flood == "idle" else 1)]
        door.measure(figures, _SECONDS)
    for each in attackers:
        each.close()
    print(
        f"\n{flood:20} memory +{figures.memory / MIB:3.0f} MiB, median {quiet.share(0.5) * 1e3:5.1f} → "
        f"{figures.share(0.5) * 1e3:5.1f} ms, "
        f"p99 {quiet.share(0.99) * 1e3:5.1f} → {figures.share(0.99) * 1e3:5.1f} ms, "
        f"status {max(figures.statuses) * 1e3:.0f} ms, {[each.told for each in attackers]}"
    )
    assert door.running()
    assert figures.memory < 64 * MIB
    assert max(figures.statuses) < 1.0
    assert figures.share(0.99) < 2 * quiet.share(0.99) + _NOISE
