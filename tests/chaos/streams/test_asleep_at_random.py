"""Daemon and apps are stopped and continued again and again, at random moments and for random times, while requests
with little patience run: each gets its answer, whole and once, and nothing is blamed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.daemon.process import test_asleep as asleep

asking = asleep.asking
SECONDS = 90.0
PATIENCE = 1.5  # s
AT_ONCE = 6

pytestmark = [pytest.mark.soak, pytest.mark.timeout(int(SECONDS) + 60)]


@pytest.mark.parametrize("how", asleep.HOWS)
def test_stopped_again_and_again(
    meshd: Any, upstream: Any, asking: Callable[..., asleep.Asking], eventually: Any, how: str
) -> None:
    chance = random.Random(how)
    stream = how.endswith("stream")
    step = {"tokens": asleep.WORDS, "chunk_delay": 0.15} if stream else {"reply": asleep.TEXT, "delay": 0.8}
    server = upstream([step])
    daemon = meshd(asleep.config(server, PATIENCE))
    began, asked = time.monotonic(), 0
    while time.monotonic() - began < SECONDS:
        app = asking(daemon.socket, how, 60, AT_ONCE)
        asked += AT_ONCE
        asleep.under_way(daemon, app, how, asked, eventually, server)
        for _ in range(chance.randint(1, 3)):
            if app.process.poll() is not None:
                break
            who = chance.choice([[daemon.process], [app.process], [daemon.process, app.process]])
            asleep.sleep(chance.choice([0.1, 0.3, 0.5, 0.8, 1.3, 2.0, 3.0, 5.0]) * chance.uniform(0.8, 1.2), *who)
        assert app.came() == [asleep.TEXT] * AT_ONCE
    asleep.nothing_is_blamed(daemon, asked, eventually)
    assert server.served["served"] == asked, "each was asked once"
