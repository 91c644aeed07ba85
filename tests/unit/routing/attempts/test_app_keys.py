"""Providers that take the apps' own keys: who may ask them, and that one app's key costs no other app anything."""

from __future__ import annotations

import pytest
from msgspec import structs

import modelmesh as errors
from meshd.routing.attempts.plan import RequestPlan
from meshd.routing.availability import consequences
from meshd.routing.request.question import Requester
from meshd.routing.table.policies import DeactivationPolicy
from meshd.routing.table.specs import ProviderSpec
from meshd.sdk.provider import FailureKind, RateLimits
from tests.support.routing.routing_builders import NOW, SERVER, Mesh, failure, gave_up, mesh, tried

TAKES = ProviderSpec("k", "c", app_keys=True)


def plan(made: Mesh, *, key: bool = True) -> RequestPlan:
    requester = Requester(operator=True, has_key=key)
    question = structs.replace(made.question(), requester=requester)
    return RequestPlan(made.pipeline, made.counters, question, NOW + 1000)


def test_without_a_key_it_is_left_out() -> None:
    made = mesh("k.a", "p.b", providers=[TAKES])
    assert tried(plan(made, key=False).next(NOW)).model.id == "p.b"
    assert tried(plan(made).next(NOW)).model.id == "k.a"
    error = gave_up(plan(mesh("k.a", "k.b", providers=[TAKES]), key=False).next(NOW))
    assert isinstance(error, errors.AuthenticationError)
    assert (error.status_code, error.code) == (401, "missing_api_key")
    assert "Provider k takes the app's own key" in error.message


@pytest.mark.parametrize("kind", sorted(consequences.OF_THE_APP))
def test_what_concerns_the_key_sets_nothing_aside(kind: FailureKind) -> None:
    made = mesh("k.a", "k.b", "p.c", providers=[TAKES])
    for _ in range(20):
        asking = plan(made)
        assert tried(asking.next(NOW)).model.id == "k.a"
        asking.failed(failure(kind, retry_after=3600.0, limits=RateLimits(remaining_requests=0)), NOW, 0.1)
        assert asking.changes == []
        following = tried(asking.next(NOW)).model.id
        whole = kind in (FailureKind.AUTHENTICATION, FailureKind.RATE_LIMIT)
        assert following == ("p.c" if whole else "k.b")
        asking.succeeded(NOW, 0.1)
    assert tried(plan(made).next(NOW)).model.id == "k.a"
    assert not made.member("k.a").standby


def test_its_limits_are_those_of_one_key() -> None:
    made = mesh("k.a", providers=[TAKES])
    asking = plan(made)
    asking.next(NOW)
    asking.succeeded(NOW, 0.1, limits=RateLimits(limit_requests=1, remaining_requests=0, reset_requests=3600.0))
    assert tried(plan(made).next(NOW)).wait == 0.0


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (FailureKind.AUTHENTICATION, "Provider k refuses the key that the app sent; send another."),
        (FailureKind.RATE_LIMIT, "Provider k is getting too many requests with the app's key; ask again in 1 h."),
    ],
)
def test_the_app_is_told_that_its_key_is_meant(kind: FailureKind, said: str) -> None:
    asking = plan(mesh("k.a", "k.b", providers=[TAKES]))
    asking.next(NOW)
    asking.failed(failure(kind, retry_after=3600.0), NOW, 0.1)
    assert gave_up(asking.next(NOW)).message.startswith(said)


def test_a_short_limit_is_waited_for() -> None:
    made = mesh("k.a", providers=[TAKES])
    asking = plan(made)
    asking.next(NOW)
    asking.failed(failure(FailureKind.RATE_LIMIT, retry_after=2.0), NOW, 0.1)
    again = tried(asking.next(NOW))
    assert (again.model.id, again.wait) == ("k.a", 2.0)


def test_a_broken_server_is_everyones() -> None:
    made = mesh("k.a", providers=[TAKES], deactivation=DeactivationPolicy(retry_limit=1))
    asking = plan(made)
    asking.next(NOW)
    asking.failed(SERVER, NOW, 0.1)
    assert made.member("k.a").standby
