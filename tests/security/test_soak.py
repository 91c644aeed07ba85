"""How much others notice of each flood, for longer, and beside the same without it. Run with -s to see the figures.

An attacker takes processor time from the others just by running. So a flood is compared with as many processes that
only compute: what is more than that comes from the daemon.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.support.apps.other_users.attacker import FLOODS, OVER_CURVE, Bystander
from tests.support.daemons.stress.attacked import MIB, Figures

pytestmark = [pytest.mark.soak, pytest.mark.timeout(120)]
ALL = (*FLOODS, *OVER_CURVE)
_SECONDS = 2.5
_NOISE = 0.005  # s: how far apart two measurements of the same are


@pytest.mark.parametrize("flood", ALL)
def test_a_flood_is_hardly_noticed(door: Any, attack: Any, flood: str) -> None:
    uid, count = 8000 + ALL.index(flood), 2 if flood == "idle" else 1
    quiet, busy = Figures(), Figures()
    door.measure(quiet, _SECONDS)
    with ExitStack() as bystanders:
        for _ in range(count):
            bystanders.enter_context(closing(Bystander()))
        door.measure(busy, _SECONDS)
    with door.watched() as figures:
        attackers = [attack(flood, uid) for _ in range(count)]
        door.measure(figures, _SECONDS)
    for each in attackers:
        each.close()
    shares = " → ".join(
        "/".join(f"{each.share(part) * 1e3:.1f}" for part in (0.5, 0.99)) for each in (quiet, busy, figures)
    )
    print(
        f"\n{flood:20} memory +{figures.memory / MIB:3.0f} MiB, median/p99 quiet → busy → flooded {shares} ms, "
        f"ratio {figures.share(0.99) / busy.share(0.99):.1f}, "
        f"status {max(figures.statuses) * 1e3:.0f} ms, {[each.told for each in attackers]}"
    )
    assert door.running()
    assert figures.memory < 64 * MIB
    assert max(figures.statuses) < 1.0
    assert figures.share(0.99) < 2 * busy.share(0.99) + _NOISE
