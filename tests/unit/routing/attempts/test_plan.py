"""One request's way: retry, rotation, waiting, probation and the deadline."""

from __future__ import annotations

from typing import Any

import pytest

import modelmesh as errors
from meshd.routing.attempts.waiting import Wait
from meshd.routing.availability import recovery
from meshd.routing.standing import Availability
from meshd.routing.table.policies import DeactivationPolicy, RetryPolicy
from meshd.sdk.provider import FailureKind
from tests.support.routing.causes import resting
from tests.support.routing.routing_builders import (
    CONNECTION,
    NOW,
    SERVER,
    Mesh,
    failure,
    gave_up,
    mesh,
    tried,
    waits,
    walk,
)

ONCE = RetryPolicy(max_attempts=1)
AT_ONCE = DeactivationPolicy(retry_limit=1)
LIMITED = failure(FailureKind.RATE_LIMIT, retry_after=30.0)


# -- the next step -------------------------------------------------------------------------------------


def test_a_success_at_once() -> None:
    made = mesh("p.a", "p.b")
    plan = made.plan()
    step = tried(plan.next(NOW))
    assert (step.model.id, step.wait, step.rotated_from) == ("p.a", 0.0, None)
    assert made.in_flight() == [1, 1]
    plan.succeeded(NOW + 2, 2.0)
    assert made.in_flight() == [0, 0]
    (attempt,) = plan.attempts
    assert (attempt.model, attempt.provider, attempt.ok, attempt.status, attempt.duration) == ("p.a", "p", True, 200, 2)
    assert (plan.retries, plan.rotations, plan.changes) == (0, 0, [])


def test_a_transient_failure_is_tried_again_at_the_same_model_and_then_elsewhere() -> None:
    made = mesh("p.a", "p.b")
    plan = made.plan()
    assert walk(made, plan, SERVER, SERVER, failure(FailureKind.TIMEOUT)) == [("p.a", 0.0), ("p.a", 0.25), ("p.b", 0.0)]
    assert tried(plan.next(made.now)).model.id == "p.b"
    plan.succeeded(made.now, 0.1)
    assert (plan.retries, plan.rotations) == (2, 1)


@pytest.mark.parametrize(
    "kind",
    [
        FailureKind.UNSUPPORTED,
        FailureKind.CONTEXT_LENGTH,
        FailureKind.MODEL_NOT_FOUND,
        FailureKind.AUTHENTICATION,
        FailureKind.PERMISSION,
        FailureKind.QUOTA,
    ],
)
def test_what_asking_again_cannot_cure_goes_elsewhere_at_once(kind: FailureKind) -> None:
    made = mesh("p.a", "q.b")
    assert walk(made, made.plan(), failure(kind), SERVER) == [("p.a", 0.0), ("q.b", 0.0)]


def test_an_unreachable_provider_is_not_waited_for_while_another_is_there() -> None:
    made = mesh("p.a", "q.b")
    assert walk(made, made.plan(), CONNECTION, SERVER) == [("p.a", 0.0), ("q.b", 0.0)]


def test_another_model_answers_sooner_than_one_that_asks_to_be_left_alone() -> None:
    made = mesh("p.a", "q.b")
    assert walk(made, made.plan(), LIMITED, SERVER, SERVER) == [("p.a", 0.0), ("q.b", 0.0), ("q.b", 0.25)]


def test_a_model_that_asked_to_be_left_alone_is_left_alone_also_when_the_others_are_used_up() -> None:
    made = mesh("p.a", "q.b")
    steps = walk(made, made.plan(), LIMITED, SERVER, SERVER, SERVER)
    assert steps[-1] == ("p.a", 29.75)
    assert made.now == NOW + 30


def test_of_several_that_are_waited_for_it_is_the_first_to_be_ready() -> None:
    made = mesh("p.a", "q.b", "r.c")
    sooner = failure(FailureKind.RATE_LIMIT, retry_after=10.0)
    steps = walk(made, made.plan(), LIMITED, sooner, LIMITED, SERVER)
    assert steps == [("p.a", 0.0), ("q.b", 0.0), ("r.c", 0.0), ("q.b", 10.0)]


def test_of_those_that_are_waited_for_one_that_is_up_comes_before_one_that_is_down() -> None:
    made = mesh("p.a", "q.b", deactivation=AT_ONCE)
    plan = made.plan()
    walk(made, plan, failure(FailureKind.RATE_LIMIT, retry_after=1.0), failure(FailureKind.RATE_LIMIT, retry_after=5.0))
    made.member("q.b").standby = False  # another request has succeeded there
    step = tried(plan.next(made.now))
    assert (step.model.id, step.wait) == ("q.b", 5.0)


def test_what_one_request_was_told_holds_for_the_others() -> None:
    made = mesh("p.a", "q.b")
    walk(made, made.plan(), LIMITED)
    assert made.ask() == "q.b"
    made.now += 30
    assert made.ask() == "p.a"


def test_without_another_model_the_others_wait_where_all_wait() -> None:
    made = mesh("p.a")
    walk(made, made.plan(), LIMITED)
    step = made.plan().next(made.now)
    assert isinstance(step, Wait)
    assert (step.until, list(step.reasons)) == (NOW + 30, ["p.a"])


def test_a_request_that_was_told_less_waits_with_those_that_were_told_more() -> None:
    made = mesh("p.a")
    first, second, third = made.plan(), made.plan(), made.plan(timeout=10.0)
    assert {tried(plan.next(made.now)).model.id for plan in (first, second, third)} == {"p.a"}
    first.failed(failure(FailureKind.RATE_LIMIT, retry_after=5.0), made.now, 0.1)
    third.failed(failure(FailureKind.RATE_LIMIT, retry_after=5.0), made.now, 0.1)
    second.failed(LIMITED, made.now, 0.1)
    assert tried(first.next(made.now)).wait == pytest.approx(30.0)
    assert tried(second.next(made.now)).wait == pytest.approx(30.0)
    assert gave_up(third.next(made.now)).status_code == 429, "at once, as it has not so much time"


def test_when_retry_after_is_not_honoured_it_is_an_ordinary_back_off() -> None:
    made = mesh("p.a", "q.b", retry=RetryPolicy(honor_retry_after=False))
    assert walk(made, made.plan(), LIMITED, SERVER) == [("p.a", 0.0), ("p.a", 0.25)]


def test_a_single_model_is_waited_for() -> None:
    made = mesh("p.a")
    plan = made.plan()
    assert walk(made, plan, LIMITED) == [("p.a", 0.0)]
    step = tried(plan.next(made.now + 5))
    assert (step.model.id, step.wait) == ("p.a", 25.0)
    plan.succeeded(made.now + 30, 1.0)


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    made = mesh("p.a")
    plan = made.plan(timeout=30.0)
    walk(made, plan, LIMITED)
    error = gave_up(plan.next(made.now))
    assert isinstance(error, errors.RateLimitError)
    assert (error.retry_after, error.retryable) == (30.0, True)


def test_the_single_model_that_its_own_failure_put_on_standby_is_tried_again_by_that_very_request() -> None:
    made = mesh("p.a", deactivation=AT_ONCE)
    plan = made.plan()
    walk(made, plan, SERVER)
    assert made.member("p.a").standby
    assert waits(made.plan().next(NOW)).until == NOW + 0.5, "others wait for its outcome"
    assert tried(plan.next(NOW)).wait == 0.25
    plan.succeeded(NOW + 1, 0.5)
    assert made.ask() == "p.a"


def test_a_retrys_failure_is_not_a_relapse() -> None:
    made = mesh("p.a", deactivation=AT_ONCE)
    walk(made, made.plan(), SERVER, SERVER)
    assert made.member("p.a").until == NOW + 60


def test_a_retry_does_not_push_into_another_requests_probation() -> None:
    made = mesh("p.a", deactivation=AT_ONCE)
    waiting = made.plan()
    walk(made, waiting, SERVER)
    made.now += 60
    tried(made.plan().next(made.now))
    assert waits(waiting.next(made.now)).until == made.now + recovery.LONGEST_TEST, "for how that ends, at most"


def test_a_model_that_an_operator_takes_out_is_not_tried_again() -> None:
    made = mesh("p.a")
    plan = made.plan()
    walk(made, plan, SERVER)
    made.state.model("p.a").deactivated = "too dear"
    gave_up(plan.next(made.now))


def test_no_model_is_asked_more_often_than_the_pool_allows() -> None:
    made = mesh("p.a", "q.b", retry=RetryPolicy(max_attempts=4), deactivation=DeactivationPolicy(retry_limit=100))
    plan = made.plan()
    steps = walk(made, plan, *[failure(FailureKind.TIMEOUT)] * 8)
    assert [model for model, _ in steps] == ["p.a"] * 4 + ["q.b"] * 4
    assert [wait for _, wait in steps] == [0.0, 0.25, 0.5, 1.0] * 2
    waits(plan.next(made.now))


@pytest.mark.parametrize(
    ("scope", "models"),
    [("any", ["p.a", "q.b", "p.c"]), ("same_provider", ["p.a", "p.c"]), ("same_model", ["p.a"])],
)
def test_the_next_attempt_stays_within_the_retrys_scope(scope: Any, models: list[str]) -> None:
    made = mesh("p.a", "q.b", "p.c", retry=RetryPolicy(max_attempts=1, scope=scope))
    plan = made.plan()
    assert [model for model, _ in walk(made, plan, *[failure(FailureKind.TIMEOUT)] * len(models))] == models
    gave_up(plan.next(made.now))


def test_a_concrete_model_is_tried_again_and_not_left() -> None:
    made = mesh("p.a", "q.b")
    alone = Mesh(made.table, made.table.resolve("p.a").pool, made.state)
    plan = alone.plan()
    assert [model for model, _ in walk(alone, plan, SERVER, SERVER)] == ["p.a", "p.a"]
    waits(plan.next(alone.now))


def test_a_pool_that_leaves_its_model_says_which_it_left() -> None:
    made = mesh("p.a", "q.b", deactivation=AT_ONCE, retry=ONCE)
    plan = made.plan()
    walk(made, plan, SERVER)
    assert plan.changes[0].model == "p.a"
    step = tried(plan.next(made.now))
    assert (step.model.id, step.rotated_from) == ("q.b", "p.a")
    assert made.state.pool("chat").current == "q.b"


def test_a_request_that_goes_elsewhere_leaves_the_pool_where_it_is_while_its_model_is_up() -> None:
    made = mesh("p.a", "q.b", retry=ONCE)
    plan = made.plan()
    walk(made, plan, failure(FailureKind.UNSUPPORTED))
    step = tried(plan.next(made.now))
    assert (step.model.id, step.rotated_from) == ("q.b", None)
    plan.succeeded(made.now, 0.1)
    assert made.ask() == "p.a"


# -- probation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["succeeded", "failed", "cancelled", "blameless"])
def test_the_place_on_probation_is_given_back_however_the_test_ends(ending: str) -> None:
    made = mesh("p.a")
    for owner in (made.state.provider("p"), made.state.model("p.a"), made.state.member("chat", "p.a")):
        owner.availability = Availability(standby=True, until=NOW, why=resting("it failed"))
    plan = made.plan()
    tried(plan.next(NOW))
    assert len(made.testers()) == 3
    waiting = waits(made.plan().next(NOW))
    assert "one request is testing it" in waiting.reasons["p.a"]
    if ending == "succeeded":
        plan.succeeded(NOW + 1, 1.0)
    elif ending == "failed":
        plan.failed(failure(FailureKind.TIMEOUT), NOW + 1, 1.0)
    elif ending == "blameless":
        plan.failed(failure(FailureKind.INVALID_REQUEST), NOW + 1, 1.0)
    else:
        plan.cancelled(NOW, 1.0)
    assert made.testers() == []
    assert made.in_flight() == [0, 0]
    if ending == "succeeded":
        assert made.ask() == "p.a"
    elif ending != "failed":
        assert tried(made.plan().next(NOW + 1)).model.id == "p.a", "the next one tests"


def test_an_older_request_that_ends_does_not_give_away_the_testers_place() -> None:
    made = mesh("p.a", deactivation=AT_ONCE, retry=ONCE)
    older, failing = made.plan(), made.plan()
    tried(older.next(NOW))
    walk(made, failing, SERVER)
    tried(made.plan().next(NOW + 60))
    older.cancelled(NOW)
    assert waits(made.plan().next(NOW + 60)).until == NOW + 60 + recovery.LONGEST_TEST


def test_sixty_four_that_fail_together_are_one_failure_of_the_model() -> None:
    made = mesh("p.a", "q.b")
    plans = [made.plan() for _ in range(64)]
    for plan in plans:
        assert tried(plan.next(NOW)).model.id == "p.a"
    for plan in plans:
        plan.failed(CONNECTION, NOW, 0.0)
    assert not made.member("p.a").standby, "its provider is gone, and it is to blame for nothing"
    assert made.state.provider("p").availability.until == NOW + 60
    for plan in plans:
        assert tried(plan.next(NOW)).model.id == "q.b"
        plan.succeeded(NOW, 0.1)


# -- the deadline, and being called off ----------------------------------------------------------------


def test_one_deadline_covers_all_attempts() -> None:
    made = mesh("p.a", "q.b")
    plan = made.plan(timeout=10.0)
    walk(made, plan, failure(FailureKind.TIMEOUT))
    error = gave_up(plan.next(NOW + 10))
    assert isinstance(error, errors.RequestTimeoutError)
    assert "\n  p.a: " in error.message
    assert len(error.attempts) == 1


def test_a_request_that_comes_too_late_is_not_sent() -> None:
    assert "\n" not in gave_up(mesh("p.a").plan(timeout=0.0).next(NOW)).message


def test_a_pools_own_deadline_shortens_the_requests_and_never_lengthens_it() -> None:
    made = mesh("p.a", retry=RetryPolicy(deadline=5.0))
    assert made.plan(timeout=1000.0).deadline == NOW + 5
    assert made.plan(timeout=1.0).deadline == NOW + 1


def test_a_cancelled_request_blames_no_model_and_goes_nowhere_else() -> None:
    made = mesh("p.a", "q.b", deactivation=AT_ONCE)
    plan = made.plan()
    tried(plan.next(NOW))
    plan.cancelled(NOW, 0.5)
    (attempt,) = plan.attempts
    assert (attempt.reason, attempt.status, attempt.duration) == ("cancelled", 499, 0.5)
    assert (plan.changes, made.state.model("p.a").failures, made.in_flight()) == ([], 0, [0, 0])
    assert isinstance(gave_up(plan.next(NOW)), errors.RequestCancelledError)


def test_an_app_with_a_short_deadline_blames_no_model() -> None:
    made = mesh("p.a", "q.b", deactivation=AT_ONCE)
    plan = made.plan()
    tried(plan.next(NOW))
    plan.ran_out(NOW, 0.05)
    assert (plan.changes, made.state.model("p.a").failures, made.in_flight()) == ([], 0, [0, 0])
    error = gave_up(plan.next(NOW))
    assert isinstance(error, errors.RequestTimeoutError)
    assert error.attempts[0]["message"] == "the request's own deadline passed"


def test_an_attempt_is_closed_once_and_before_the_next() -> None:
    made = mesh("p.a")
    plan = made.plan()
    with pytest.raises(AssertionError, match="0 attempts are in flight"):
        plan.cancelled(NOW)
    tried(plan.next(NOW))
    with pytest.raises(AssertionError, match="not closed"):
        plan.next(NOW)
    plan.succeeded(NOW, 0.1)
    with pytest.raises(AssertionError, match="0 attempts are in flight"):
        plan.failed(SERVER, NOW, 0.1)
    assert made.in_flight() == [0, 0]
