"""Which of the last requests are kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshd.core.events.records import Outcome
from meshd.telemetry.last_requests import LastRequests


@given(st.lists(st.sampled_from("abc"), max_size=60))
def test_a_busy_app_pushes_out_only_its_own(apps: list[str]) -> None:
    kept = LastRequests(most=12)
    for number, app in enumerate(apps):
        kept.add(Outcome(str(number), 0.0, "chat.completions", "chat", 200, app=app))
    found = list(kept)
    assert len(found) == min(12, len(apps))
    assert [int(each.request_id) for each in found] == sorted(int(each.request_id) for each in found)
    for app in set(apps):
        mine = [number for number, each in enumerate(apps) if each == app]
        shown = [int(each.request_id) for each in found if each.app == app]
        assert shown == mine[len(mine) - len(shown) :]
        assert len(shown) >= min(len(mine), 12 // len(set(apps)))
