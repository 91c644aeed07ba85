"""The error that a request ends with."""

from __future__ import annotations

import json

import pytest

import modelmesh as errors
from meshd.core.needs import RequestNeeds
from meshd.operations.chat import CHAT
from meshd.routing.attempts.errors.no_model import Consulted, none_left
from meshd.routing.attempts.plan import RequestPlan
from meshd.routing.attempts.retry import Verdict
from meshd.routing.request.question import Requester
from meshd.routing.standing import Availability
from meshd.routing.table.policies import DeactivationPolicy, RetryPolicy
from meshd.routing.table.specs import AppSpec, ProviderSpec
from meshd.sdk.provider import FailureKind
from tests.support.routing.causes import resting
from tests.support.routing.routing_builders import (
    CHAT_NEEDS,
    EMBEDDINGS,
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
    walk,
)

ONCE = RetryPolicy(max_attempts=1)
AT_ONCE = DeactivationPolicy(retry_limit=1)
LIMITED = failure(FailureKind.RATE_LIMIT, retry_after=30.0)


def rejected(kind: FailureKind, status: int, body: bytes = b"", *more: str) -> errors.MeshError:
    """What the app gets when every model answers so."""
    made = mesh("p.a", *more)
    plan = made.plan()
    walk(made, plan, *[failure(kind, status, body=body)] * (1 + len(more)))
    return gave_up(plan.next(made.now))


def test_a_wrong_request_gets_its_providers_own_error_and_no_other_model_is_asked() -> None:
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


def test_the_number_of_attempts_is_reported() -> None:
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


def test_the_error_tells_the_app_the_pause_that_was_asked_for() -> None:
    made = mesh("p.a", "q.b", retry=ONCE)
    plan = made.plan()
    walk(made, plan, LIMITED, failure(FailureKind.RATE_LIMIT, retry_after=20.0))
    assert gave_up(plan.next(made.now)).retry_after == 20.0


def test_no_retry_after_where_the_time_is_unknown() -> None:
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
    error = gave_up(alone.plan(RequestNeeds(CHAT, tools=True)).next(NOW))
    assert (error.status_code, error.code) == (400, "model_cannot")
    why = "does not do tools (features.tool_calling: false)"
    assert error.message == f"p.a cannot do this; q.b could.\n  p.a: {why}"
    assert error.could == ["q.b"]
    assert error.reasons == {"p.a": why}


def test_what_no_model_of_the_mesh_can_do_names_none() -> None:
    error = gave_up(mesh(model("p.a", context_window=10)).plan(RequestNeeds(CHAT, tokens=11)).next(NOW))
    assert error.message.endswith("its context window is 10")
    assert error.could == []


def test_when_no_model_is_up_it_is_a_503_with_each_reason_and_the_soonest_recovery() -> None:
    made = mesh("p.a", "q.b", model("r.c", features=NO_FEATURES))
    made.state.model("p.a").deactivated = "too dear"
    made.state.provider("q").availability = Availability(standby=True, until=NOW + 42, why=resting("it is gone"))
    error = gave_up(made.plan(RequestNeeds(CHAT, tools=True)).next(NOW))
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
    error = gave_up(made.plan(RequestNeeds(CHAT, tools=True)).next(NOW))
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
    made.state.provider("p").availability = Availability(standby=True, until=NOW + 5, why=resting("gone"))
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
    made.state.provider("p").availability = Availability(standby=True, until=NOW + 60, why=resting("it is gone"))
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


def test_a_model_that_answers_no_request_by_its_deadline_is_set_aside() -> None:
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
    made.state.member("chat", "p.a").availability = Availability(standby=True, until=NOW + 60, why=resting("it fails"))
    plan.failed(SERVER, NOW, 0.1, step=second)
    assert isinstance(gave_up(plan.next(NOW)), errors.AllProvidersExhaustedError)


def test_an_app_that_may_use_none_of_the_models_is_told_what_it_may_use() -> None:
    made = mesh("p.a", "p.b")
    question = made.question()
    question.requester = Requester(AppSpec("mail", models=frozenset({"q.other"})))
    error = gave_up(RequestPlan(made.pipeline, made.counters, question, NOW + 100.0).next(NOW))
    assert isinstance(error, errors.AccessDeniedError)
    assert error.message.startswith("mail may not use chat; ask for what it may use, or change `apps`.")
    assert error.allowed == ["q.other"]


OWN = {
    "away": {},
    "cannot": {"features": NO_FEATURES},
    "small": {"context_window": 1},
    "silent": {"streaming": False},
    "embeds": {"capabilities": (EMBEDDINGS,)},
}
"""Ways in which a model may be unable to answer."""


@pytest.mark.parametrize("operator", [False, True])
@pytest.mark.parametrize("own", OWN)
def test_an_app_is_told_only_of_models_that_it_may_use(own: str, operator: bool) -> None:
    hidden = [model(f"x.{way}", **declared) for way, declared in OWN.items()]
    made = mesh(model("p.own", **OWN[own]), *hidden, model("x.able"))
    made.state.model("p.own").deactivated = made.state.model("x.away").deactivated = "by hand"
    question = made.question(RequestNeeds(CHAT, tools=True, tokens=9, stream=True))
    question.requester = Requester(AppSpec("mail", models=frozenset({"p.own"})), operator=operator)
    error = gave_up(RequestPlan(made.pipeline, made.counters, question, NOW + 100.0).next(NOW))
    told = f"{error.message} {vars(error)}"
    assert "p.own: " in error.message
    assert error.code == ("no_active_model" if own == "away" else "model_cannot")
    assert ("x." in told) is operator


def test_which_models_could_names_those_that_the_app_may_use() -> None:
    made = mesh(model("p.own", features=NO_FEATURES))
    beside = {id: model(id, features={"tool_calling": True}) for id in ("x.able", "q.able", "q.also")}
    made.table.models.update(beside)
    question = made.question(RequestNeeds(CHAT, tools=True))
    question.requester = Requester(AppSpec("mail", models=frozenset({"p.own", "q.able", "q.also"})))
    error = gave_up(RequestPlan(made.pipeline, made.counters, question, NOW + 100.0).next(NOW))
    assert error.could == ["q.able", "q.also"]
    assert "these could: q.able, q.also" in error.message
    assert "x.able" not in error.message
