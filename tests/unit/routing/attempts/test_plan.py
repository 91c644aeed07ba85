"""One request's way: retry, rotation, waiting, the deadline, and the error it ends with."""

from __future__ import annotations

import json
from typing import Any

import pytest

import modelmesh as errors
from meshd.routing.attempts.errors.no_model import Consulted, none_left
from meshd.routing.attempts.outcomes import LAST_REFUSALS
from meshd.routing.attempts.plan import AttemptStep, GiveUp, RequestPlan, Wait
from meshd.routing.attempts.retry import Verdict
from meshd.routing.availability import recovery
from meshd.routing.availability.state import Availability
from meshd.routing.request.needs import RequestNeeds
from meshd.routing.table.specs import DeactivationPolicy, KeySpec, ProviderSpec, RetryPolicy
from meshd.sdk.provider import FailureKind, Operation
from tests.support.routing.routing_builders import (
    CHAT_NEEDS,
    CONNECTION,
    NO_FEATURES,
    NOW,
    PRIORITY,
    ROUND_ROBIN,
    SERVER,
    Mesh,
    failure,
    gave_up,
    mesh,
    model,
    tried,
    waits,
)

ONCE = RetryPolicy(max_attempts=1)
AT_ONCE = DeactivationPolicy(retry_limit=1)
LIMITED = failure(FailureKind.RATE_LIMIT, retry_after=30.0)


def walk(made: Mesh, plan: RequestPlan, *failures: Any) -> list[tuple[str, float]]:
    """Fail once after another, each where `next` says; (model, wait) of every step, time going by with the waits."""
    steps = []
    for failed in failures:
        step = tried(plan.next(made.now))
        steps.append((step.model.id, step.wait))
        made.now += step.wait
        plan.failed(failed, made.now, 0.0)
    return steps


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


def test_where_nobody_else_is_the_others_wait_where_all_wait() -> None:
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


def test_a_retrys_failure_is_no_relapse() -> None:
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


def test_a_model_that_an_operator_takes_out_meanwhile_is_not_tried_again() -> None:
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
        owner.availability = Availability(standby=True, until=NOW, reason="it failed")
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


def test_a_cancelled_request_blames_nobody_and_goes_nowhere_else() -> None:
    made = mesh("p.a", "q.b", deactivation=AT_ONCE)
    plan = made.plan()
    tried(plan.next(NOW))
    plan.cancelled(NOW, 0.5)
    (attempt,) = plan.attempts
    assert (attempt.reason, attempt.status, attempt.duration) == ("cancelled", 499, 0.5)
    assert (plan.changes, made.state.model("p.a").failures, made.in_flight()) == ([], 0, [0, 0])
    assert isinstance(gave_up(plan.next(NOW)), errors.RequestCancelledError)


def test_an_app_in_a_hurry_blames_nobody() -> None:
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


# -- the error at the end ------------------------------------------------------------------------------


def rejected(kind: FailureKind, status: int, body: bytes = b"", *more: str) -> errors.MeshError:
    """What the app gets when every model answers so."""
    made = mesh("p.a", *more)
    plan = made.plan()
    walk(made, plan, *[failure(kind, status, body=body)] * (1 + len(more)))
    return gave_up(plan.next(made.now))


def test_a_wrong_request_gets_its_providers_own_error_and_nobody_else_is_asked() -> None:
    made = mesh("p.a", "q.b", deactivation=AT_ONCE)
    plan = made.plan()
    own = {"message": "temperature is too high", "type": "bad", "code": "out_of_range", "param": "temperature"}
    tried(plan.next(NOW))
    wrong = failure(FailureKind.INVALID_REQUEST, 400, body=json.dumps({"error": own}).encode())
    assert plan.failed(wrong, NOW, 0.1) is Verdict.FATAL
    error = gave_up(plan.next(NOW))
    assert isinstance(error, errors.InvalidRequestError)
    assert error.to_wire()[:2] == (400, own)
    assert error.attempts[0]["model"] == "p.a"
    assert made.ask() == "p.a"


def test_a_wrong_request_is_told_so_even_at_its_deadline() -> None:
    made = mesh("p.a")
    plan = made.plan(timeout=1.0)
    walk(made, plan, failure(FailureKind.INVALID_REQUEST))
    assert isinstance(gave_up(plan.next(NOW + 5)), errors.InvalidRequestError)


@pytest.mark.parametrize(
    ("status", "expected", "cls"),
    [
        (400, 400, errors.InvalidRequestError),
        (404, 404, errors.NotFoundError),
        (409, 409, errors.ConflictError),
        (413, 413, errors.InvalidRequestError),
        (422, 422, errors.UnprocessableEntityError),
        (200, 400, errors.InvalidRequestError),  # an error inside a 200
        (500, 400, errors.InvalidRequestError),
    ],
)
def test_its_status_is_passed_on_with_the_class_that_the_sdk_has_for_it(
    status: int, expected: int, cls: type[errors.MeshError]
) -> None:
    error = rejected(FailureKind.INVALID_REQUEST, status)
    assert (error.status_code, type(error)) == (expected, cls)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"no"}}', "no"),
        (b'{"message":"no"}', "no"),
        (b'{"error":"no"}', "it failed"),
        (b'[{"error":{"message":"no"}}]', "it failed"),
        (b"<html>", "it failed"),
        (b"null", "it failed"),
        (b"\xff", "it failed"),
        (b"", "it failed"),
        (b"[" * 200_000, "it failed"),
    ],
)
def test_an_error_body_of_any_shape_makes_an_error(body: bytes, message: str) -> None:
    error = rejected(FailureKind.INVALID_REQUEST, 400, body)
    assert (error.message, error.code, error.type) == (message, "invalid_request", "invalid_request_error")


def test_what_every_model_refuses_is_the_requests_own_fault() -> None:
    error = rejected(FailureKind.CONTEXT_LENGTH, 400, b'{"error":{"message":"too long"}}', "q.b")
    assert isinstance(error, errors.InvalidRequestError)
    assert (error.message, len(error.attempts)) == ("too long", 2)


def test_what_one_model_refuses_and_another_might_have_done_is_not() -> None:
    made = mesh("p.large", "q.small", retry=ONCE)
    plan = made.plan()
    walk(made, plan, SERVER, failure(FailureKind.CONTEXT_LENGTH))
    error = gave_up(plan.next(made.now))
    assert isinstance(error, errors.AllProvidersExhaustedError)
    assert error.retryable


@pytest.mark.parametrize(
    ("kind", "cls", "status", "retryable"),
    [
        (FailureKind.AUTHENTICATION, errors.AuthenticationError, 401, False),
        (FailureKind.PERMISSION, errors.PermissionDeniedError, 403, False),
        (FailureKind.RATE_LIMIT, errors.RateLimitError, 429, True),
        (FailureKind.QUOTA, errors.RateLimitError, 429, True),
        (FailureKind.TIMEOUT, errors.ProviderTimeoutError, 504, True),
        (FailureKind.CONNECTION, errors.ProviderConnectionError, 502, True),
        (FailureKind.SERVER, errors.ProviderError, 502, True),
        (FailureKind.BAD_ANSWER, errors.ProviderError, 502, True),
        (FailureKind.STREAM_CUT, errors.ProviderError, 502, True),
    ],
)
def test_the_failure_of_the_only_model_is_told_as_what_it_is(
    kind: FailureKind, cls: type[errors.MeshError], status: int, retryable: bool
) -> None:
    made = mesh("p.a", retry=ONCE)
    plan = made.plan()
    walk(made, plan, failure(kind, message="because"))
    error = gave_up(plan.next(made.now))
    assert (type(error), error.status_code, error.retryable) == (cls, status, retryable)
    sentence, said = error.message.split("\n")
    assert said == "  p.a: because"
    assert ("60 s" in sentence) == (kind is FailureKind.QUOTA)


def test_when_the_only_models_quota_is_used_up_it_is_told_when_there_is_some_again() -> None:
    tonight = 1036800.0  # UTC
    made = mesh("p.a", providers=[ProviderSpec("p", "modelmesh.scripted.v1", quota_reset="daily")])
    plan = made.plan()
    walk(made, plan, failure(FailureKind.QUOTA, message="no credit", retry_after=5.0))
    error = gave_up(plan.next(made.now))
    assert error.message == "The quota of provider p is used up; ask again in 10 h 13 min.\n  p.a: no credit"
    assert error.retry_after == tonight - NOW


def test_the_number_of_attempts_is_told() -> None:
    made = mesh("p.a")
    plan = made.plan()
    walk(made, plan, SERVER, SERVER)
    waits(plan.next(made.now))
    assert plan.out_of_patience(made.now).error.message.endswith("\n  p.a: it failed (2 attempts)")


def test_a_request_called_off_by_its_connector_ends_as_cancelled() -> None:
    made = mesh("p.a", "q.b")
    plan = made.plan()
    walk(made, plan, failure(FailureKind.CANCELLED))
    assert isinstance(gave_up(plan.next(made.now)), errors.RequestCancelledError)


def test_when_all_have_failed_each_attempt_is_told_and_when_to_come_back() -> None:
    made = mesh("p.a", "q.b", retry=ONCE, deactivation=AT_ONCE)
    plan = made.plan()
    walk(made, plan, failure(FailureKind.TIMEOUT, message="slow"), LIMITED)
    error = gave_up(plan.next(made.now + 10))
    assert isinstance(error, errors.AllProvidersExhaustedError)
    assert error.message.split("\n")[1:] == ["  p.a: slow", "  q.b: it failed"]
    assert [attempt["reason"] for attempt in error.attempts] == ["timeout", "rate_limit"]
    assert error.retry_after == 1.0, "they may be tested now"


def test_who_asked_to_be_left_alone_is_left_alone_also_by_the_app() -> None:
    made = mesh("p.a", "q.b", retry=ONCE)
    plan = made.plan()
    walk(made, plan, LIMITED, failure(FailureKind.RATE_LIMIT, retry_after=20.0))
    assert gave_up(plan.next(made.now)).retry_after == 20.0


def test_nobody_says_when_to_come_back_where_nobody_knows() -> None:
    made = mesh("p.a", "q.b", retry=ONCE)
    plan = made.plan()
    walk(made, plan, SERVER, SERVER)
    assert gave_up(plan.next(made.now)).retry_after is None
    manual = mesh("p.a", "q.b", retry=ONCE)
    plan = manual.plan()
    walk(manual, plan, SERVER, SERVER)
    for id in ("p.a", "q.b"):
        manual.state.model(id).deactivated = "by hand"
    assert gave_up(plan.next(manual.now)).retry_after is None


def test_what_no_model_can_do_is_a_400_that_says_which_could() -> None:
    made = mesh(model("p.a", features=NO_FEATURES), "q.b")
    alone = Mesh(made.table, made.table.resolve("p.a").pool, made.state)
    error = gave_up(alone.plan(RequestNeeds(Operation.CHAT, tools=True)).next(NOW))
    assert (error.status_code, error.code) == (400, "model_cannot")
    why = "does not do tools (features.tool_calling: false)"
    assert error.message == f"p.a cannot do this; q.b could.\n  p.a: {why}"
    assert error.could == ["q.b"]
    assert error.reasons == {"p.a": why}


def test_what_no_model_of_the_mesh_can_do_names_none() -> None:
    error = gave_up(mesh(model("p.a", context_window=10)).plan(RequestNeeds(Operation.CHAT, tokens=11)).next(NOW))
    assert error.message.endswith("its context window is 10")
    assert error.could == []


def test_when_nobody_is_up_it_is_a_503_with_each_reason_and_the_soonest_recovery() -> None:
    made = mesh("p.a", "q.b", model("r.c", features=NO_FEATURES))
    made.state.model("p.a").deactivated = "too dear"
    made.state.provider("q").availability = Availability(standby=True, until=NOW + 42, reason="it is gone")
    error = gave_up(made.plan(RequestNeeds(Operation.CHAT, tools=True)).next(NOW))
    assert isinstance(error, errors.NoActiveModelError)
    assert (error.status_code, error.retryable, error.retry_after, error.recovers_in) == (503, True, 42.0, 42.0)
    assert error.pool == "chat"
    assert error.reasons == {
        "p.a": "deactivated by hand: too dear",
        "q.b": "provider q: it is gone; tried again in 42 s",
        "r.c": "does not do tools (features.tool_calling: false)",
    }
    assert error.message.startswith("No model of chat can be asked now; ask again in 42 s.\n")


def test_a_model_that_never_could_is_no_hope_of_recovery() -> None:
    made = mesh("p.a", model("p.b", features=NO_FEATURES))
    made.state.model("p.a").deactivated = "too dear"
    error = gave_up(made.plan(RequestNeeds(Operation.CHAT, tools=True)).next(NOW))
    assert (error.retry_after, error.recovers_in) == (None, None)


def test_a_disabled_provider_is_no_hope_of_recovery() -> None:
    error = gave_up(mesh("p.a", providers=[ProviderSpec("p", "x", disabled="no key")]).plan().next(NOW))
    assert (error.status_code, error.recovers_in) == (503, None)
    assert error.message.endswith("p.a: provider p is disabled: no key")


def test_while_the_only_model_is_being_tested_others_come_back_in_a_moment() -> None:
    made = mesh("p.a")
    made.member("p.a").standby = True
    tried(made.plan().next(NOW))
    plan = made.plan()
    waits(plan.next(NOW))
    error = plan.out_of_patience(NOW).error
    assert (error.recovers_in, error.retry_after) == (0.0, 1.0)
    assert error.message.startswith("No model of chat can be asked now; ask again in 1 s.\n")


def test_an_empty_pool_says_so() -> None:
    error = gave_up(mesh().plan().next(NOW))
    assert error.message == "The pool chat has no model; `meshctl doctor` says what to add."
    made = mesh()
    consulted = Consulted(made.question(CHAT_NEEDS), made.pipeline.decide(made.question()))
    assert none_left([consulted], made.pipeline).message == error.message


def test_a_message_lists_a_few_models_and_the_error_all_of_them() -> None:
    made = mesh(*[f"p.m{number}" for number in range(500)])
    made.state.provider("p").availability = Availability(standby=True, until=NOW + 5, reason="gone")
    error = gave_up(made.plan().next(NOW))
    assert len(error.reasons) == 500
    assert "\n  and 490 more" in error.message
    assert len(error.message) < 1000


@pytest.mark.parametrize("strategy", [PRIORITY, ROUND_ROBIN])
def test_every_strategy_goes_through_all_its_models(strategy: str) -> None:
    made = mesh("p.a", "q.b", "r.c", strategy=strategy, retry=ONCE)
    plan = made.plan()
    assert [model for model, _ in walk(made, plan, *[SERVER] * 3)] == ["p.a", "q.b", "r.c"]
    assert plan.rotations == 2
    gave_up(plan.next(made.now))


def test_a_model_that_went_away_during_a_back_off_is_not_asked() -> None:
    made = mesh("p.a", retry=RetryPolicy(max_attempts=3))
    plan = made.plan()
    tried(plan.next(NOW))
    plan.failed(SERVER, NOW, 0.1)
    step = tried(plan.next(NOW))
    assert step.wait > 0
    made.state.provider("p").availability = Availability(standby=True, until=NOW + 60, reason="it is gone")
    assert not plan.start(step, NOW + step.wait)
    assert made.in_flight() == [0, 0]


def test_a_model_that_was_away_when_it_was_chosen_is() -> None:
    made = mesh("p.a", retry=RetryPolicy(max_attempts=3), deactivation=AT_ONCE)
    plan = made.plan()
    tried(plan.next(NOW))
    plan.failed(SERVER, NOW, 0.1)
    step = tried(plan.next(NOW))
    assert (step.wait > 0, step.resting) == (True, True)
    assert plan.start(step, NOW + step.wait)


def test_a_model_that_answers_nobody_by_their_deadlines_is_left() -> None:
    made = mesh("p.a", "q.b")
    asked = []
    for number in range(5):
        plan, then = made.plan(), NOW + 30 * number
        asked.append(tried(plan.next(then)).model.id)
        if asked[-1] == "p.a":
            plan.ran_out(then + 30, 30.0)
            assert isinstance(gave_up(plan.next(then + 30)), errors.RequestTimeoutError)
        else:
            plan.succeeded(NOW, 0.1)
    assert asked == ["p.a", "p.a", "p.a", "q.b", "q.b"]


def test_the_loser_of_a_race_that_rests_by_then_says_nothing_of_when_to_come_back() -> None:
    made = mesh("p.a", "q.b", retry=RetryPolicy(max_attempts=1))
    plan = made.plan()
    first = tried(plan.next(NOW))
    second = plan.hedge(NOW)
    assert second is not None
    plan.lost(NOW, 0.1, step=first)
    made.state.member("chat", "p.a").availability = Availability(standby=True, until=NOW + 60, reason="it fails")
    plan.failed(SERVER, NOW, 0.1, step=second)
    assert isinstance(gave_up(plan.next(NOW)), errors.AllProvidersExhaustedError)


# -- the last one standing -----------------------------------------------------------------------------


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


def test_who_waits_for_the_outcome_of_a_test_hears_of_it_once_it_is_known() -> None:
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
