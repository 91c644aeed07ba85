"""What a request waits for, and behind which others."""

from __future__ import annotations

import pytest

from meshd.core.needs import RequestNeeds
from meshd.operations.chat import CHAT
from meshd.routing.attempts.plan import AttemptStep, GiveUp, RequestPlan, Wait
from meshd.routing.availability import recovery
from meshd.routing.availability.state import Availability
from meshd.routing.standing import LONGEST_RETRY
from meshd.routing.table.policies import DeactivationPolicy, RecoveryPolicy, RetryPolicy
from meshd.routing.table.specs import KeySpec, ProviderSpec, RateSpec
from meshd.sdk.provider import FailureKind
from tests.support.routing.causes import because
from tests.support.routing.routing_builders import CHAT_NEEDS, NO_FEATURES, SERVER, Mesh, failure, mesh, model, tried

ONE_AT_A_TIME = ProviderSpec("p", "x", rate=RateSpec(concurrency=1))


def crowded(*models: str, **pool: object) -> Mesh:
    """p.a has no room until a request ends that is under way."""
    made = mesh("p.a", *models, providers=[ONE_AT_A_TIME], **pool)
    assert tried(made.plan().next(made.now)).model.id == "p.a"
    return made


def waits(plan: RequestPlan, now: float) -> Wait:
    step = plan.next(now)
    assert isinstance(step, Wait), step
    return step


def test_it_waits_no_longer_than_until_another_model_is_back() -> None:
    made = crowded("q.b", "q.c")
    for id, seconds in (("q.b", 5.0), ("q.c", 7.0)):
        recovery.stand_by(made.member(id), because("failed"), RecoveryPolicy(seconds), made.now)
    plan = made.plan()
    assert waits(plan, made.now).until == made.now + 0.5
    made.now += 5.0
    assert tried(plan.next(made.now)).model.id == "q.b"


def test_of_a_model_that_is_being_tested_the_test_tells() -> None:
    made = crowded("q.b")
    known: Availability = made.member("q.b")
    recovery.stand_by(known, because("failed"), RecoveryPolicy(5.0), made.now)
    made.now += 5.0
    recovery.begin_probation(known, object())
    assert waits(made.plan(), made.now).until is None


def test_nothing_is_expected_of_a_model_that_is_switched_off() -> None:
    made = crowded("q.b")
    made.state.model("q.b").deactivated = "by hand"
    assert waits(made.plan(), made.now).until is None


@pytest.mark.parametrize("kind", [FailureKind.RATE_LIMIT, FailureKind.AUTHENTICATION])
@pytest.mark.parametrize("keys", [2, 3])
@pytest.mark.parametrize("cooldown", [0.0, 0.01, 60.0])
@pytest.mark.parametrize("reserve", [False, True])
def test_a_request_asks_once_more_for_each_further_key_and_no_more(
    kind: FailureKind, keys: int, cooldown: float, reserve: bool
) -> None:
    """Also where keys are back sooner than it has been through them, and where all but one are used in need alone."""
    specs = [KeySpec(f"key-{number}", float(not (number and reserve))) for number in range(keys)]
    provider = ProviderSpec("k", "x", keys=tuple(specs))
    policy = {"retry": RetryPolicy(2), "recovery": RecoveryPolicy(cooldown, max_cooldown=cooldown)}
    made = mesh("k.d", providers=[provider], deactivation=DeactivationPolicy(100), **policy)
    plan, sent = made.plan(), 0
    while isinstance(step := plan.next(made.now), AttemptStep):
        made.now += step.wait
        if plan.start(step, made.now):
            sent += 1
            made.now += 0.1
            plan.failed(failure(kind), made.now, 0.1)
        assert sent <= 2 + keys - 1
    assert reserve or sent >= keys


@pytest.mark.parametrize("meanwhile", ["maintenance", "by hand"])
def test_a_back_off_does_not_end_at_a_model_that_was_set_aside(meanwhile: str) -> None:
    made = mesh("p.a", deactivation=DeactivationPolicy(maintenance_window="@hourly 10m"), retry=RetryPolicy(3))
    made.now = 1_000_799.9 if meanwhile == "maintenance" else made.now
    plan = made.plan()
    tried(plan.next(made.now))
    plan.failed(SERVER, made.now, 0.1)
    step = tried(plan.next(made.now))
    if meanwhile == "by hand":
        made.state.model("p.a").deactivated = meanwhile
    made.now += step.wait
    assert step.wait > 0.1
    assert not plan.start(step, made.now)
    assert isinstance(plan.next(made.now), GiveUp)
    assert set(made.in_flight()) == {0}


def lines(made: Mesh, *needs: RequestNeeds) -> set[str]:
    return {made.plan(each).line(made.now) for each in needs}


def test_requests_for_which_the_same_models_are_possible_stand_in_one_line() -> None:
    made = mesh("p.a", model("q.b", features=NO_FEATURES), model("q.c", streaming=False))
    tools, stream = RequestNeeds(CHAT, tools=True), RequestNeeds(CHAT, stream=True)
    assert len(lines(made, CHAT_NEEDS, CHAT_NEEDS)) == 1
    assert len(lines(made, CHAT_NEEDS, tools, stream)) == 3
    assert len(lines(mesh("p.a", "q.b"), CHAT_NEEDS, tools, stream)) == 1


def test_a_request_that_gave_a_model_up_does_not_block_others() -> None:
    made = mesh("p.a", "q.b", retry=RetryPolicy(1))
    before, plan = made.plan(), made.plan()
    plan.next(made.now)
    plan.failed(SERVER, made.now, 0.1)
    assert plan.line(made.now) != before.line(made.now)


# -- a rest that may be tested early, and is not -------------------------------------------------------


def test_where_an_early_test_is_let_pass_it_still_waits_no_longer_than_the_rest() -> None:
    """From 0.5 s on q.b would be tested where no other could answer; as p.a may have room at any moment, it is left in
    peace, but not for longer than it rests."""
    made = crowded("q.b")
    recovery.stand_by(made.member("q.b"), because("failed"), RecoveryPolicy(5.0), made.now)
    plan, back = made.plan(), made.now + 5.0
    for _ in range(3):
        until = waits(plan, made.now).until
        assert until is not None, "nothing but the end of another request would wake it"
        made.now = until
        if until == back:
            break
    assert tried(plan.next(made.now)).model.id == "q.b"


def test_it_waits_no_longer_than_until_refused_keys_have_rested() -> None:
    made = mesh(
        "p.a",
        "k.d",
        providers=[ONE_AT_A_TIME, ProviderSpec("k", "x", keys=(KeySpec("one"),))],
        recovery=RecoveryPolicy(5.0, max_cooldown=5.0),
        retry=RetryPolicy(3),
        deactivation=DeactivationPolicy(100),
        deactivate_on_auth_failure=False,
    )
    made.state.model("p.a").deactivated = "by hand"
    first = made.plan()
    tried(first.next(made.now))
    first.failed(failure(FailureKind.AUTHENTICATION), made.now, 0.1)
    made.state.model("p.a").deactivated = None
    assert tried(made.plan().next(made.now)).model.id == "p.a"
    assert waits(made.plan(), made.now).until == made.now + 5.0


def test_a_request_that_waits_for_a_test_continues_when_another_model_is_back() -> None:
    """p.a is paused for longer than q.b, which is not asked before its quota resets, is set aside."""
    made = mesh("p.a", "q.b", retry=RetryPolicy(1), deactivation=DeactivationPolicy(100))
    rest = RecoveryPolicy(20.0)
    recovery.stand_by(made.member("p.a"), because("slow down", FailureKind.RATE_LIMIT), rest, made.now, at_least=20.0)
    recovery.stand_by(made.member("q.b"), because("used up", FailureKind.QUOTA), RecoveryPolicy(5.0), made.now)
    plan = made.plan()
    assert waits(plan, made.now).until == made.now + 5.0
    made.now += 5.0
    assert tried(plan.next(made.now)).model.id == "q.b"


def test_a_request_that_waits_for_distant_room_tests_a_paused_model() -> None:
    """Room at p.a is half a minute away, and q.b, told to be left alone for longer than that, may be tested before."""
    made = mesh(
        "p.a",
        "q.b",
        providers=[ProviderSpec("p", "x", rate=RateSpec(rpm=1))],
        retry=RetryPolicy(3),
        deactivation=DeactivationPolicy(100),
    )
    assert tried(made.plan().next(made.now)).model.id == "p.a"
    first = made.plan()
    assert tried(first.next(made.now)).model.id == "q.b"
    first.failed(failure(FailureKind.RATE_LIMIT, 429, retry_after=300.0), made.now, 0.1)
    plan = made.plan()
    step = plan.next(made.now)
    if isinstance(step, Wait):
        assert step.until is not None
        assert step.until <= made.now + LONGEST_RETRY
        step = plan.next(step.until)
    assert tried(step).model.id == "q.b"
