"""What batches leave of each limit for requests that apps wait for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.routing.rates.shares import held_back
from meshd.routing.table.policies import PacingPolicy
from meshd.routing.table.specs import RateSpec
from meshd.sdk.provider import RateLimits
from tests.support.routing.rate_builders import NOW, Room

SHARE = 0.8


@pytest.mark.parametrize(("limit", "kept"), [(100, 20), (10, 2), (5, 1), (4, 1), (1, 0), (0, 0), (None, 0)])
def test_even_a_small_limit_leaves_a_batch_some_room(limit: int | None, kept: int) -> None:
    assert held_back(limit, SHARE) == kept


def fills(room: Room, most: int = 1000, **asked: Any) -> int:
    """How many requests of a batch are sent at once."""
    for sent in range(most):
        if room.no_room(share=SHARE, **asked) is not None:
            return sent
        room.enter(share=SHARE, **asked)
    return most


@pytest.mark.parametrize(
    ("limits", "asked", "sent"),
    [
        ({"rate": RateSpec(rpm=10)}, {}, 8),
        ({"rate": RateSpec(tpm=1000)}, {"tokens": 99, "output": 1}, 8),
        ({"rate": RateSpec(concurrency=4)}, {}, 3),
        ({"rate": RateSpec(concurrency=1)}, {}, 1),
        ({"app": RateSpec(rpm=10, concurrency=100)}, {}, 8),
        ({"pacing": PacingPolicy(max_rpm=10)}, {}, 8),
    ],
)
def test_a_batch_fills_its_share_of_each_limit(limits: dict[str, Any], asked: dict[str, Any], sent: int) -> None:
    room = Room(**limits)
    assert fills(room, **asked) == sent
    assert (room.no_room(**asked) is None) == (sent > 1)


def test_and_of_a_limit_that_the_provider_tells() -> None:
    room = Room()
    room.rates.observe(room.enter(), RateLimits(limit_requests=10, remaining_requests=5, reset_requests=30.0), NOW)
    assert fills(room) == 3
    assert room.no_room() is None
    refused = room.no_room(share=SHARE)
    assert refused is not None
    assert refused.frees_in == 30.0


LIMIT, WINDOW = 10, 60


@given(
    st.sampled_from(["requests", "tokens"]),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 20)), max_size=80),
    st.integers(1, 7),
)
def test_who_waits_for_an_answer_always_finds_room_within_what_is_held_back(
    what: str, arrivals: list[tuple[int, int]], every: int
) -> None:
    """A batch sends whenever it may, for five minutes of virtual time; apps send at most what is held back in any
    minute, at times of any pattern."""
    each = 100
    room = Room(rate=RateSpec(rpm=LIMIT) if what == "requests" else RateSpec(tpm=LIMIT * each))
    kept, sent = held_back(LIMIT, SHARE), list[float]()
    wanted = sorted(at + part / 21 for at, part in arrivals)
    batch = 0
    for now in sorted({*wanted, *(float(at) for at in range(0, 301, every))}):
        if now in wanted and sum(now - WINDOW < at for at in sent) < kept:
            assert room.no_room(now, tokens=each - 1, output=1) is None
            room.leave(room.enter(now, tokens=each - 1, output=1))
            sent.append(now)
        while room.no_room(now, tokens=each - 1, output=1, share=SHARE) is None:
            room.leave(room.enter(now, tokens=each - 1, output=1, share=SHARE))
            batch += 1
    assert batch >= 5 * (LIMIT - kept) - len(sent)  # and the batch is not starved
