"""What is kept of the state over a restart, and what the records say of themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.core.events.cause import Cause, Why
from meshd.routing.availability import saved
from meshd.routing.availability import state as states
from meshd.routing.availability.latencies import Latencies
from meshd.routing.availability.state import MeshState, ModelState, ProviderState
from meshd.routing.standing import INDEFINITELY, Availability
from meshd.sdk.provider import FailureKind
from tests.support.routing.causes import USED_UP, resting
from tests.support.routing.routing_builders import NOW


def stored(value: Any) -> Any:
    """As the storage gives it back."""
    return json.loads(json.dumps(value))


def test_records_are_made_when_first_asked_for_and_stay_the_same() -> None:
    state = MeshState()
    assert state.member("chat", "m") is state.member("chat", "m")
    assert state.member("chat", "m") is not state.member("other", "m")
    assert state.model("m") is state.model("m")
    assert state.provider("p") is state.provider("p")
    assert state.pool("chat") is state.pool("chat")


def test_what_is_well_leaves_nothing_to_keep() -> None:
    assert saved.dump_availability(Availability()) is None
    assert saved.dump_member(MeshState().member("chat", "m")) is None


@given(
    some.builds(
        Availability,
        standby=some.just(True),
        until=some.floats(NOW, NOW + 900),
        since=some.floats(0, NOW),
        why=some.none() | some.builds(Why, some.sampled_from(Cause), text=some.text()),
        probation=some.booleans(),
        relapses=some.integers(1, 40),
        recovered_at=some.floats(0, NOW),
        standby_events=some.integers(0, 40),
        quota_resets=some.integers(0, 40),
        downtime=some.floats(0, 10**6),
    )
)
def test_an_availability_survives(availability: Availability) -> None:
    assert saved.load_availability(stored(saved.dump_availability(availability)), NOW) == availability


def test_standby_without_end_stays_without_end() -> None:
    availability = Availability(standby=True, until=INDEFINITELY)
    assert saved.load_availability(stored(saved.dump_availability(availability)), NOW).until == INDEFINITELY


def test_a_cooldown_is_never_longer_than_the_longest_whatever_the_clock_did() -> None:
    ahead = NOW + 10**9
    availability = Availability(standby=True, since=ahead, until=ahead + 60, recovered_at=ahead)
    loaded = saved.load_availability(stored(saved.dump_availability(availability)), NOW)
    assert (loaded.since, loaded.until) == (NOW, NOW + 60), "as long as it was to rest"
    assert loaded.recovered_at == NOW, "else its relapses would not be forgotten for years"


def test_relapses_survive_while_it_is_well() -> None:
    availability = Availability(relapses=2, recovered_at=NOW - 5)
    assert saved.load_availability(stored(saved.dump_availability(availability)), NOW).relapses == 2


def test_no_request_is_a_tester_after_a_restart() -> None:
    availability = Availability(standby=True, until=NOW, tester=object())
    assert saved.load_availability(stored(saved.dump_availability(availability)), NOW).tester is None


def test_a_member_survives() -> None:
    member = MeshState().member("chat", "m")
    member.failures = 2
    assert saved.load_member(stored(saved.dump_member(member)), NOW) == member
    member.availability = Availability(standby=True, until=NOW + 60, since=NOW, why=resting("why"), relapses=1)
    assert saved.load_member(stored(saved.dump_member(member)), NOW) == member


def test_a_model_survives_with_its_counters_and_an_operators_decision() -> None:
    known = ModelState(
        availability=Availability(standby=True, until=NOW + 60, since=NOW, relapses=1),
        deactivated="too dear",
        requests=4,
        failures=1,
        tokens_in=10,
        tokens_out=20,
        cost=30,
        last_request=NOW,
        last_failure=NOW - 1,
        last_failure_kind=FailureKind.SERVER,
        last_failure_said="x",
    )
    loaded = saved.load_model(stored(saved.dump_model(known)), NOW)
    assert saved.dump_model(loaded) == saved.dump_model(known)
    assert saved.load_model({}, NOW).deactivated is None


def test_a_provider_survives() -> None:
    known = ProviderState(Availability(standby=True, until=NOW + 60, since=NOW), auth_valid=False, requests=3, cost=4)
    loaded = saved.load_provider(stored(saved.dump_provider(known)), NOW)
    assert saved.dump_provider(loaded) == saved.dump_provider(known)
    assert saved.load_provider({}, NOW).auth_valid


def test_after_the_routers_restart_nothing_is_in_flight_or_tested() -> None:
    state = MeshState()
    state.model("m").in_flight = state.provider("p").in_flight = 3
    known = list(states.availabilities(state, "chat", "m", "p"))
    for availability in known:
        availability.tester = object()
    state.nothing_in_flight()
    assert (state.model("m").in_flight, state.provider("p").in_flight) == (0, 0)
    assert [availability.tester for availability in known] == [None, None, None]


def test_latencies_average_over_all_and_percentiles_over_the_recent() -> None:
    latencies = Latencies()
    assert latencies.summary() == {"average": None, "p50": None, "p95": None}
    for number in range(1, 201):
        latencies.add(float(number))
    assert latencies.count == 200
    assert latencies.average == pytest.approx(100.5)
    assert latencies.percentile(0.0) == 73.0
    assert latencies.percentile(0.5) == 137.0
    assert latencies.percentile(1.0) == 200.0


def test_availabilities_go_from_the_widest_to_the_narrowest() -> None:
    state = MeshState()
    found = list(states.availabilities(state, "chat", "m", "p"))
    expected = [
        state.provider("p").availability,
        state.model("m").availability,
        state.member("chat", "m").availability,
    ]
    assert list(map(id, found)) == list(map(id, expected))


def test_latencies_outlive_a_restart() -> None:
    state = MeshState()
    model = state.model("p/m")
    assert saved.load_model(stored(saved.dump_model(model)), NOW).total.average is None
    for each in range(200):
        model.total.add(each / 1000)
        model.first_token.add(each / 2000)
    again = saved.load_model(stored(saved.dump_model(model)), NOW)
    assert again.total.count == 200
    assert again.total.summary() == pytest.approx(model.total.summary(), abs=1e-4)
    assert again.first_token.summary() == pytest.approx(model.first_token.summary(), abs=1e-4)
    assert len(saved.dump_model(model)["total"]["recent"]) == 128


def test_the_time_spent_on_standby_adds_up() -> None:
    well = Availability(downtime=10.0)
    assert well.down_for(NOW) == 10.0
    failed = Availability(standby=True, since=NOW, until=NOW + 60, downtime=10.0)
    assert failed.down_for(NOW + 90) == 100.0, "a probation is not over before somebody was answered"
    used_up = Availability(standby=True, since=NOW, until=NOW + 60, downtime=10.0, probation=False)
    assert used_up.down_for(NOW + 90) == 70.0
    assert used_up.down_for(NOW - 90) == 10.0, "whatever the clock did"


def test_what_rests_by_the_calendar_rests_on_after_a_restart() -> None:
    month = Availability(standby=True, since=NOW, until=NOW + 31 * 86400, why=USED_UP, probation=False)
    assert saved.load_availability(stored(saved.dump_availability(month)), NOW + 5) == month


def test_what_has_been_away_is_remembered_for_the_statistics() -> None:
    been_away = Availability(standby_events=2, quota_resets=1, downtime=3.5, recovered_at=NOW)
    assert saved.load_availability(stored(saved.dump_availability(been_away)), NOW) == been_away


JUNK = some.one_of(
    some.none(), some.booleans(), some.integers(), some.floats(), some.text(max_size=5), some.just([]), some.just({})
)
KEYS = [field for kind in (Availability, ModelState, ProviderState) for field in kind.__dataclass_fields__]
KEYS += ["reason", "cause", "last_failure_reason"]  # of earlier versions
LATENCIES = ("total", "first_token")
JUNK_MAP = some.dictionaries(some.sampled_from([key for key in KEYS if key not in LATENCIES]), JUNK)


@given(JUNK_MAP, some.one_of(JUNK, JUNK_MAP))
def test_whatever_was_written_the_daemon_starts(written: dict[str, Any], availability: Any) -> None:
    written["availability"] = availability
    model, provider = saved.load_model(written, NOW), saved.load_provider(written, NOW)
    member = saved.load_member(written, NOW)
    for known in (model, provider, member):
        rests = known.availability.until
        assert rests == INDEFINITELY or rests <= NOW + 32 * 86400
        assert known.availability.since <= NOW
    assert model.requests >= 0
