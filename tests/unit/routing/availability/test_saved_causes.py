"""A cause outlives a restart, also one that an earlier version wrote as prose."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.core.events.cause import Cause, UsedLimit, Why, dump_why, load_why
from meshd.routing.availability import recovery, saved
from meshd.routing.standing import INDEFINITELY
from meshd.sdk.provider import FailureKind
from tests.support.routing.routing_builders import NOW

LIMITS = some.builds(UsedLimit, some.integers(0, 10**15))
CAUSES = some.builds(
    Why,
    kind=some.none() | some.sampled_from(FailureKind),
    said=some.text(),
    count=some.integers(0, 99),
    limit=some.none() | LIMITS,
    behind=some.none() | some.builds(Why),
)


@given(CAUSES)
def test_all_its_details_are_kept(why: Why) -> None:
    assert load_why({"why": json.loads(json.dumps(dump_why(why)))}) == why


@pytest.mark.parametrize(
    ("cause", "reason", "now"),
    [
        ("server", "3 failures in a row, the last: HTTP 500", (Cause.FAILURES, FailureKind.SERVER)),
        ("authentication", "its key is refused: HTTP 401", (Cause.KEY_REFUSED, FailureKind.AUTHENTICATION)),
        ("quota", "it says that its quota is used up", (Cause.QUOTA_USED_UP, FailureKind.QUOTA)),
        ("model_not_found", "its provider lists it no longer", (Cause.MODEL_NOT_FOUND, FailureKind.MODEL_NOT_FOUND)),
        ("used_up", "it has used up 10 requests of the day", (Cause.LIMIT_USED_UP, None)),
        ("provider", "provider p failed, and an operator has to bring it back", (Cause.HELD, None)),
        ("probe", "it does not answer probes: refused", (Cause.PROBE_FAILED, None)),
    ],
)
def test_the_state_of_an_earlier_version_is_read(cause: str, reason: str, now: tuple[Cause, FailureKind]) -> None:
    written: dict[str, Any] = {"standby": True, "until": NOW + 60, "since": NOW, "reason": reason, "cause": cause}
    found = saved.load_availability(written, NOW)
    assert (found.cause, found.kind, found.reason) == (*now, reason)
    assert recovery.status(found, NOW) == recovery.STANDBY
    again = saved.load_availability(json.loads(json.dumps(saved.dump_availability(found))), NOW)
    assert again == found


def test_and_so_is_a_last_failure() -> None:
    found = saved.load_model({"last_failure": NOW, "last_failure_reason": "server: HTTP 500"}, NOW)
    assert (found.last_failure_kind, found.last_failure_reason) == (None, "server: HTTP 500")
    again = saved.load_model(json.loads(json.dumps(saved.dump_model(found))), NOW)
    assert again.last_failure_reason == "server: HTTP 500"


@pytest.mark.parametrize("why", [5, [], "x", {"cause": "unheard of"}, {"cause": "held", "count": "many"}])
def test_what_cannot_be_read_leaves_it_on_standby_without_a_reason(why: Any) -> None:
    found = saved.load_availability({"standby": True, "until": None, "why": why}, NOW)
    assert (found.standby, found.until, found.cause, found.reason) == (True, INDEFINITELY, None, "")
