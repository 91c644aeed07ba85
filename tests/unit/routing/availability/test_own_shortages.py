"""Our own lack: nothing is blamed for it, the request waits a while, and then says what is lacking."""

from __future__ import annotations

import pytest

from meshd.routing.attempts.results import LACK_LONGEST, LACK_PATIENCE
from meshd.routing.attempts.waiting import Wait
from meshd.routing.availability import probes
from meshd.routing.availability.state import availabilities
from meshd.routing.table.policies import DeactivationPolicy, RetryPolicy
from meshd.routing.table.specs import ModelSpec, PoolSpec, ProviderSpec, RateSpec
from meshd.sdk.provider import FailureKind
from tests.support.routing.routing_builders import NOW, SERVER, failure, gave_up, mesh, tried

LACK = failure(FailureKind.LOCAL, message="meshd has no file descriptors left; raise LimitNOFILE=", unsent=True)


@pytest.mark.parametrize("models", [("p.a",), ("p.a", "p.b"), ("p.a", "q.b", "q.c")])
@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("timeout", [3.0, 20.0, 1000.0])
def test_a_lack_that_stays_is_told_and_rests_nothing(models: tuple[str, ...], attempts: int, timeout: float) -> None:
    made = mesh(*models, retry=RetryPolicy(max_attempts=attempts), deactivation=DeactivationPolicy(retry_limit=1))
    plan = made.plan(timeout=timeout)
    asked = 0
    while not isinstance(step := plan.next(made.now), type(None)):
        if hasattr(step, "error"):
            break
        assert not isinstance(step, Wait)
        step = tried(step)
        assert step.wait <= LACK_LONGEST
        made.now += step.wait
        assert plan.start(step, made.now)
        plan.failed(LACK, made.now, 0.0, step=step)
        asked += 1
    error = gave_up(step)
    assert (error.status_code, error.code, error.retryable) == (503, "local_lack", True)
    assert "LimitNOFILE=" in error.message
    assert min(timeout, LACK_PATIENCE) - 2 * LACK_LONGEST <= made.now - NOW <= min(timeout, LACK_PATIENCE)
    assert asked > len(models)
    assert not plan.changes
    assert set(made.in_flight()) == {0}
    for id in models:
        assert not any(each.standby for each in availabilities(made.state, made.pool.name, id, id[0]))
        assert made.state.model(id).failures == 0
    assert len(plan.attempts) == 1  # the one lack, once


def test_what_comes_after_a_lack_has_all_its_attempts() -> None:
    made = mesh("p.a", retry=RetryPolicy(max_attempts=3))
    plan = made.plan()
    for failed in (LACK, LACK, LACK, LACK, LACK, SERVER, LACK, SERVER):
        step = tried(plan.next(made.now))
        made.now += step.wait
        assert plan.start(step, made.now)
        plan.failed(failed, made.now, 0.0, step=step)
    step = tried(plan.next(made.now))
    plan.succeeded(made.now, 0.1, step=step)
    assert [attempt.reason for attempt in plan.attempts] == ["local", "server", "local", "server", ""]


def test_another_is_asked_at_once() -> None:
    made = mesh("p.a", "q.b")
    plan = made.plan()
    assert tried(plan.next(NOW)).model.id == "p.a"
    plan.failed(LACK, NOW, 0.0)
    step = tried(plan.next(NOW))
    assert (step.model.id, step.wait) == ("q.b", 0.0)
    plan.succeeded(NOW, 0.1)


def test_what_never_left_uses_up_no_rate() -> None:
    made = mesh("p.a", providers=[ProviderSpec("p", "c", rate=RateSpec(rpm=1))])
    plan = made.plan()
    for _ in range(5):
        step = tried(plan.next(made.now))
        made.now += step.wait
        assert plan.start(step, made.now)
        plan.failed(LACK, made.now, 0.0, step=step)
    tried(plan.next(made.now))


def test_a_probe_that_could_not_be_sent_says_nothing() -> None:
    made = mesh("p.a")
    pool, model, provider = made.pool, made.table.models["p.a"], made.table.providers["p"]
    assert isinstance(pool, PoolSpec)
    assert isinstance(model, ModelSpec)
    for _ in range(5):
        assert not probes.record_probe(made.state, pool, model, provider, LACK, NOW, object())
    probes.record_probe(made.state, pool, model, provider, SERVER, NOW, object())
    known = made.member("p.a")
    assert known.standby
    until = known.until
    tester = object()
    known.tester = tester
    assert not probes.record_probe(made.state, pool, model, provider, LACK, NOW + 1, tester)
    assert (known.standby, known.until) == (True, until)
