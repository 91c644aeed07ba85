"""Who may be probed, and what a probe of one model shows."""

from __future__ import annotations

from meshd.core.events.cause import Cause
from meshd.routing.availability import probes, recovery
from meshd.routing.availability.state import Change, availabilities
from meshd.routing.standing import INDEFINITELY, Availability
from meshd.routing.table.policies import DeactivationPolicy, RecoveryPolicy
from meshd.routing.table.specs import ProviderSpec
from meshd.sdk.provider import FailureKind, ProviderFailure
from tests.support.routing.causes import HELD, USED_UP, because
from tests.support.routing.routing_builders import NOW, SERVER, Mesh, failure, mesh

TESTER = object()
POLICY = RecoveryPolicy()


def wanted(made: Mesh, *models: str, resting: bool = True, now: float = NOW) -> list[str]:
    return probes.to_probe(made.state, made.table, made.pool, now, models or None, resting)


def down(availability: Availability, cause: FailureKind = FailureKind.SERVER, now: float = NOW) -> None:
    recovery.stand_by(availability, because("it fails", cause), POLICY, now)


def probe(made: Mesh, failed: ProviderFailure | None, now: float = NOW, id: str = "p.a") -> list[Change]:
    spec = made.table.models[id]
    tested = list(availabilities(made.state, "chat", id, spec.provider))
    for availability in tested:
        recovery.begin_probation(availability, TESTER)
    provider = made.table.providers[spec.provider]
    changes = probes.record_probe(made.state, made.pool, spec, provider, failed, now, TESTER)
    for availability in tested:
        recovery.end_probation(availability, TESTER)
    return changes


# -- who -------------------------------------------------------------------------------------------------


def test_at_the_start_all_and_later_those_that_rest_because_they_failed() -> None:
    made = mesh("p.a", "p.b", "q.c")
    down(made.member("p.b"))
    assert wanted(made, resting=False) == ["p.a", "p.b", "q.c"]
    assert wanted(made, "q.c", "gone", resting=False) == ["q.c"]
    assert wanted(made) == ["p.b"]
    down(made.state.model("q.c").availability, FailureKind.MODEL_NOT_FOUND)
    assert wanted(made) == ["p.b", "q.c"]


def test_no_model_that_is_switched_off_or_held_is_tested() -> None:
    made = mesh("p.a", "p.b", "p.c", "q.d", providers=[ProviderSpec("q", "x", disabled="no key")])
    made.state.model("p.a").deactivated = "by hand"
    recovery.stand_by_indefinitely(made.member("p.b"), HELD, NOW)
    down(made.member("p.c"))
    made.member("p.c").tester = object()
    assert wanted(made, resting=False) == []


def test_no_model_that_waits_for_the_calendar_is_tested_early() -> None:
    made = mesh("p.a", "p.b")
    recovery.stand_by_until(made.member("p.a"), USED_UP, NOW + 60, NOW)
    down(made.state.model("p.b").availability, FailureKind.QUOTA)
    assert wanted(made, resting=False) == []
    assert wanted(made, now=NOW + 60) == ["p.a", "p.b"]


def test_one_model_of_a_provider_that_rests() -> None:
    made = mesh("p.a", "p.b", "q.c")
    down(made.state.provider("p").availability)
    assert wanted(made, resting=False) == ["p.a", "q.c"]


def test_none_where_only_an_operator_brings_a_provider_back() -> None:
    made = mesh("p.a", "p.b", recover_on_probe=False)
    down(made.member("p.b"))
    assert wanted(made) == ["p.b"]
    down(made.state.provider("p").availability)
    assert wanted(made) == []


# -- what it shows ---------------------------------------------------------------------------------------


def test_an_answer_brings_back_all_that_was_away() -> None:
    made = mesh("p.a")
    for availability in availabilities(made.state, "chat", "p.a", "p"):
        down(availability)
    assert [change.scope for change in probe(made, None)] == ["provider", "model", "member"]
    assert made.decide() == "p.a"


def test_one_failure_sets_aside_what_was_well() -> None:
    made = mesh("p.a", "p.b")
    (change,) = probe(made, failure(FailureKind.RATE_LIMIT, retry_after=90.0))
    assert (change.why.cause, change.reason) == (Cause.PROBE_FAILED, "it does not answer probes: it failed")
    assert change == Change("member", False, change.why, "chat", "p.a", "p", NOW + 90)
    assert made.decide() == "p.b"


def test_what_is_set_aside_by_a_rule_of_its_own_is_not_blamed_twice() -> None:
    made = mesh("p.a", deactivation=DeactivationPolicy(retry_limit=1))
    assert len(probe(made, SERVER)) == 1
    refused = mesh("p.a")
    assert [change.scope for change in probe(refused, failure(FailureKind.AUTHENTICATION))] == ["provider"]
    gone = mesh("p.a")
    assert [change.scope for change in probe(gone, failure(FailureKind.MODEL_NOT_FOUND))] == ["model"]


def test_a_failure_that_does_not_count_sets_no_model_aside() -> None:
    assert probe(mesh("p.a"), failure(FailureKind.SERVER, 498)) == []


def test_a_failure_during_the_cooldown_makes_it_no_longer() -> None:
    made = mesh("p.a")
    down(made.member("p.a"))
    assert probe(made, SERVER, NOW + 30) == []
    assert (made.member("p.a").until, made.member("p.a").relapses) == (NOW + 60, 1)
    (change,) = probe(made, SERVER, NOW + 60)[-1:]
    assert change.until is not None
    assert made.member("p.a").relapses == 2, "on probation it is a test like any other"


def test_a_refusal_of_the_probes_form_lets_a_request_find_out() -> None:
    made = mesh("p.a")
    down(made.member("p.a"))
    assert probe(made, failure(FailureKind.INVALID_REQUEST)) == []
    assert recovery.status(made.member("p.a"), NOW) == recovery.PROBATION
    well = mesh("p.a")
    assert probe(well, failure(FailureKind.UNSUPPORTED)) == []
    assert well.member("p.a").until != INDEFINITELY
    assert not well.member("p.a").standby
