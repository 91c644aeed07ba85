"""The last model standing: when a request tests a model on standby, and when it gets the outcome of another's test."""

from __future__ import annotations

import pytest

import modelmesh as errors
from meshd.routing.attempts.plan import GiveUp
from meshd.routing.attempts.results import LAST_REFUSALS
from meshd.routing.attempts.step import AttemptStep
from meshd.routing.attempts.waiting import Wait
from meshd.routing.availability import recovery
from meshd.routing.table.policies import DeactivationPolicy, RetryPolicy
from meshd.routing.table.specs import KeySpec, ProviderSpec
from meshd.sdk.provider import FailureKind
from tests.support.routing.routing_builders import (
    NOW,
    SERVER,
    failure,
    gave_up,
    mesh,
    tried,
    waits,
    walk,
)

ONCE = RetryPolicy(max_attempts=1)
AT_ONCE = DeactivationPolicy(retry_limit=1)


def test_the_last_one_standing_is_tried_again_soon_and_by_one_request_at_a_time() -> None:
    made = mesh("p.a", deactivation=AT_ONCE, retry=RetryPolicy(max_attempts=2))
    walk(made, made.plan(), SERVER)
    first, second = made.plan(), made.plan()
    assert waits(first.next(NOW)).until == NOW + 0.5
    tried(first.next(NOW + 0.5))
    assert waits(second.next(NOW + 0.5)).until == NOW + 0.5 + recovery.LONGEST_TEST, "or the outcome of the test"
    first.succeeded(NOW + 0.6, 0.1)
    tried(second.next(NOW + 0.6))
    assert not made.member("p.a").standby


def test_each_failed_test_doubles_the_wait_up_to_two_seconds() -> None:
    made = mesh("p.a", deactivation=AT_ONCE)
    walk(made, made.plan(), SERVER)
    made.now, pauses = NOW + 0.5, []
    for _ in range(5):
        plan = made.plan()
        tried(plan.next(made.now))
        plan.failed(SERVER, made.now, 0.0)
        until = waits(made.plan().next(made.now)).until
        assert until is not None
        pauses.append(until - made.now)
        made.now = until
    assert pauses == [1.0, 2.0, 2.0, 2.0, 2.0]


def test_it_keeps_its_rest_while_another_can_answer() -> None:
    made = mesh("p.a", "q.b", deactivation=AT_ONCE)
    walk(made, made.plan(), SERVER)
    made.now += 10
    assert tried(made.plan().next(made.now)).model.id == "q.b"


REFUSING = [FailureKind.AUTHENTICATION, FailureKind.MODEL_NOT_FOUND, FailureKind.QUOTA, FailureKind.PERMISSION]


@pytest.mark.parametrize("kind", REFUSING)
def test_what_refuses_is_asked_by_each_request_where_no_other_can_answer(kind: FailureKind) -> None:
    made = mesh("p.a", deactivation=AT_ONCE)
    walk(made, made.plan(), failure(kind, 401))
    plan = made.plan()
    assert tried(plan.next(NOW)).tests
    plan.succeeded(NOW + 1, 1.0)
    assert made.decide() == "p.a", "its cooldown ended"


@pytest.mark.parametrize("kind", REFUSING)
def test_what_refuses_keeps_its_rest_while_another_can_answer(kind: FailureKind) -> None:
    made = mesh("p.a", "q.b", deactivation=AT_ONCE)
    walk(made, made.plan(), failure(kind, 401))
    assert tried(made.plan().next(NOW + 10)).model.id == "q.b"


@pytest.mark.parametrize("kind", REFUSING)
def test_what_never_answered_and_refuses_is_asked_once_a_request(kind: FailureKind) -> None:
    made = mesh("p.a", deactivation=AT_ONCE)
    for _ in range(4):
        plan = made.plan()
        walk(made, plan, failure(kind, 401, "not with this key"))
        assert "not with this key" in gave_up(plan.next(made.now)).message


@pytest.mark.parametrize("kind", REFUSING)
def test_what_answered_before_and_refuses_is_asked_once_more(kind: FailureKind) -> None:
    made = mesh("p.a", deactivation=AT_ONCE)
    made.ask()
    plan = made.plan()
    walk(made, plan, failure(kind, 401))
    assert waits(plan.next(NOW)).until == NOW + 0.5
    tried(plan.next(NOW + 0.5))
    plan.failed(failure(kind, 401), NOW + 0.6, 0.1)
    gave_up(plan.next(NOW + 0.6))
    made.now = NOW + 1
    plan = made.plan()
    walk(made, plan, failure(kind, 401))
    gave_up(plan.next(made.now))


def test_a_429_is_asked_again_whatever_it_says_but_not_for_ever() -> None:
    made, asked = mesh("p.a"), []
    for _ in range(3):
        plan, number = made.plan(), 0
        while not isinstance(step := plan.next(made.now), GiveUp):
            if isinstance(step, Wait):
                assert step.until is not None
                made.now = step.until
                continue
            number += 1
            plan.failed(failure(FailureKind.QUOTA, 429), made.now, 0.0)
        asked.append(number)
        made.now += 40.0
    assert asked == [LAST_REFUSALS, LAST_REFUSALS, 1]


def test_a_request_that_waits_for_a_test_gets_its_outcome_at_once() -> None:
    made = mesh("p.a")
    walk(made, made.plan(), failure(FailureKind.AUTHENTICATION, message="no such key"))
    testing, waiting = made.plan(), made.plan()
    tried(testing.next(NOW + 1))
    waits(waiting.next(NOW + 1))
    testing.failed(failure(FailureKind.AUTHENTICATION), NOW + 2, 1.0)
    error = gave_up(waiting.next(NOW + 2))
    assert isinstance(error, errors.AuthenticationError)
    assert error.message == (
        "The key of provider p is refused; give the daemon another.\n  p.a: its key is refused: no such key"
    )
    made.now = NOW + 3
    assert tried(made.plan().next(NOW + 3)).tests, "who comes later asks"


@pytest.mark.parametrize("kind", [FailureKind.SERVER, FailureKind.RATE_LIMIT, FailureKind.QUOTA])
def test_a_long_retry_after_does_not_keep_the_last_one_standing(kind: FailureKind) -> None:
    made = mesh("p.a")
    walk(made, plan := made.plan(), failure(kind, 429, retry_after=3600.0))
    assert waits(plan.next(NOW)).until == NOW + 0.5
    step = tried(plan.next(NOW + 0.5))
    assert step.tests
    waits(made.plan().next(NOW + 0.5))
    plan.succeeded(NOW + 1, 0.5, step=step)
    assert made.decide() == "p.a"
    assert made.state.rates.left_alone("p.a", NOW + 1) is None


@pytest.mark.parametrize("kind", [FailureKind.SERVER, FailureKind.RATE_LIMIT, FailureKind.QUOTA])
@pytest.mark.parametrize("told", [1.0, 7.0, 60.0])
def test_a_retry_after_of_a_minute_is_kept(kind: FailureKind, told: float) -> None:
    for same in (True, False):
        made = mesh("p.a", deactivation=AT_ONCE)
        walk(made, plan := made.plan(), failure(kind, 429, retry_after=told))
        step = (plan if same else made.plan()).next(NOW)
        assert not isinstance(step, GiveUp)
        assert (NOW + step.wait if isinstance(step, AttemptStep) else step.until) == NOW + told


def test_where_asking_again_is_switched_off_a_long_retry_after_is_kept_to() -> None:
    made = mesh("p.a", retry=ONCE)
    walk(made, made.plan(), failure(FailureKind.SERVER, 503, retry_after=3600.0))
    step = made.plan().next(NOW + 10)
    assert isinstance(step, Wait)
    assert not step.resting


@pytest.mark.parametrize("kind", [FailureKind.AUTHENTICATION, FailureKind.PERMISSION, FailureKind.RATE_LIMIT])
def test_when_all_keys_rest_one_is_tested_soon(kind: FailureKind) -> None:
    keys = (KeySpec("one"), KeySpec("two"))
    made = mesh("p.a", providers=[ProviderSpec("p", "modelmesh.scripted.v1", keys=keys)])
    for _ in range(2):
        made.ask()
    plan = made.plan()
    walk(made, plan, failure(kind), failure(kind))
    assert waits(plan.next(NOW)).until == NOW + 0.5
    step = tried(plan.next(NOW + 0.5))
    assert step.ticket is not None
    assert step.ticket.key == "one", "that was refused first"
    waits(made.plan().next(NOW + 0.5))
    plan.succeeded(NOW + 1, 0.5, step=step)
    made.now += 1
    assert made.ask() == "p.a"
    assert [rest.id for rest in made.state.rates.resting_keys("p", NOW + 1)] == ["two"]


def test_a_status_that_is_configured_as_final_is_not_asked_again() -> None:
    made = mesh("p.a", retry=RetryPolicy(non_retryable_codes=frozenset({401})))
    made.ask()
    plan = made.plan()
    walk(made, plan, failure(FailureKind.AUTHENTICATION))
    gave_up(plan.next(NOW))


def test_a_retry_after_is_waited_for_by_the_last_one_standing() -> None:
    made = mesh("p.a", deactivation=AT_ONCE)
    walk(made, made.plan(), failure(FailureKind.SERVER, 503, retry_after=7.0))
    assert waits(made.plan().next(NOW + 1)).until == NOW + 7


def test_three_streams_that_one_crash_breaks_are_one_failure() -> None:
    made = mesh("p.a", "q.b")
    plans = [made.plan() for _ in range(3)]
    for plan in plans:
        tried(plan.next(NOW))
    for number, plan in enumerate(plans):
        plan.failed(failure(FailureKind.STREAM_CUT), NOW + 5 + number / 10, 5.0 + number / 10)
    assert made.state.member("chat", "p.a").failures == 1
    assert not made.member("p.a").standby
