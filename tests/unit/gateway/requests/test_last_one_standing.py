"""A request is served whenever a model could have served it in its time: flaky and broken providers in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as some

from meshd.host import clock
from meshd.routing.attempts.course import LAST_ATTEMPTS
from meshd.routing.availability import probes
from meshd.routing.table.policies import RetryPolicy
from meshd.routing.table.specs import RateSpec
from meshd.sdk.provider import FailureKind, ProviderFailure
from tests.support.gateway.virtual_world import (
    QUEUE_TIMEOUT,
    START,
    Acting,
    Asked,
    Outcome,
    World,
    in_virtual_time,
    sdk_alone,
)

STEPS = 3.0
"""Seconds that the documented steps may take in all: up to 2 s between two tests, and the request's own back-off."""
HANGS = 2.5  # s that a provider may take in these worlds, before an attempt is given up
_STATUS = {FailureKind.SERVER: 503, FailureKind.RATE_LIMIT: 429, FailureKind.AUTHENTICATION: 401}
_FREE = (FailureKind.SERVER, FailureKind.CONNECTION, FailureKind.RATE_LIMIT)
_COSTLY = (FailureKind.BAD_ANSWER, FailureKind.TIMEOUT)
_LASTING = (FailureKind.AUTHENTICATION, FailureKind.MODEL_NOT_FOUND, FailureKind.QUOTA, FailureKind.UNSUPPORTED)
_STATUS |= {FailureKind.MODEL_NOT_FOUND: 404, FailureKind.QUOTA: 429, FailureKind.UNSUPPORTED: 400}


def broken(kind: FailureKind, retry_after: float | None = None) -> ProviderFailure:
    unsent, status = kind is FailureKind.CONNECTION, _STATUS.get(kind, 0)
    return ProviderFailure(kind, "it failed", status=status, unsent=unsent, retry_after=retry_after)


@dataclass(frozen=True)
class Outage:
    begins: float
    lasts: float
    kind: FailureKind
    retry_after: float | None = None

    @property
    def over(self) -> float:
        """It may be asked again: an error at its end may have said when."""
        return self.begins + self.lasts + (self.retry_after or 0.0)


@dataclass(frozen=True)
class Member:
    takes: float
    outages: tuple[Outage, ...]

    def acts(self, at: float, number: int) -> Outcome:
        for each in self.outages:
            if each.begins <= at < each.begins + each.lasts:
                return broken(each.kind, each.retry_after)
        return None

    @property
    def wastes(self) -> float:
        """Seconds that a request may lose at it: two attempts, before another model is asked."""
        kinds = {each.kind for each in self.outages}
        return 2 * (HANGS if FailureKind.TIMEOUT in kinds else self.takes) if kinds else 0.0

    def could_serve(self, asked: Asked, timeout: float, wasted: float) -> bool:
        """Whether it was well for long enough while the request was there."""
        end = asked.at + min(timeout, QUEUE_TIMEOUT)
        if any(each.kind in _LASTING and each.begins <= end for each in self.outages):
            return False
        needs = STEPS + self.takes + wasted
        free = asked.at
        for each in sorted(self.outages, key=lambda outage: outage.begins):
            if min(each.begins, end) - free >= needs:
                return True
            free = max(free, each.over)
        return end - free >= needs


OUTAGES = some.one_of(
    some.builds(
        Outage,
        some.floats(0, 30),
        some.floats(0.1, 25),
        some.sampled_from(_FREE),
        some.sampled_from([None, None, None, 0.5, 4.0]),
    ),
    some.builds(Outage, some.floats(0, 30), some.floats(0.1, 3), some.sampled_from(_COSTLY)),
    some.builds(Outage, some.floats(0, 30), some.floats(0.1, 3), some.sampled_from(_LASTING)),
)
MEMBERS = some.builds(Member, some.sampled_from([0.02, 0.3, 1.5]), some.lists(OUTAGES, max_size=3).map(tuple))
REQUESTS = some.tuples(some.floats(0, 40), some.sampled_from([4.0, 10.0, 30.0, 60.0]))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    members=some.lists(MEMBERS, min_size=1, max_size=4),
    requests=some.lists(REQUESTS, min_size=1, max_size=20),
    strategy=some.sampled_from(["stick-until-failure", "priority-selection", "round-robin"]),
)
def test_a_request_is_served_whenever_a_member_could(
    members: list[Member], requests: list[tuple[float, float]], strategy: str
) -> None:
    async def all_of_it() -> list[tuple[Asked, float]]:
        providers = {f"p{number}": Acting(f"p{number}", each.acts, each.takes) for number, each in enumerate(members)}
        world = World(providers, {"strategy": f"modelmesh.{strategy}.v1"}, timeout=HANGS)
        asked = await asyncio.gather(*(world.ask_at(at, timeout) for at, timeout in requests))
        return list(zip(asked, (timeout for _, timeout in requests), strict=True))

    wasted = sum(each.wastes for each in members)
    for asked, timeout in in_virtual_time(all_of_it):
        assert asked.ended is not None
        assert asked.ended <= timeout + 1.1, "a connector has a second to notice"
        if not asked.served and any(each.could_serve(asked, timeout, wasted) for each in members):
            raise AssertionError(f"at {asked.at:g} s, after {asked.ended:g} s: {asked.failed}")
        event("served" if asked.served else "not served")


# -- outages of a sole provider ------------------------------------------------------------------------


@pytest.mark.parametrize("apps", [1, 4, 64])
@pytest.mark.parametrize("kind", _FREE)
@pytest.mark.parametrize("lasts", [0.3, 1.0, 3.0, 7.0, 15.0, 25.0])
def test_no_request_waits_longer_than_the_outage_and_the_steps(kind: FailureKind, lasts: float, apps: int) -> None:
    member = Member(0.1, (Outage(1.0, lasts, kind),))

    async def load() -> World:
        world = World({"p": Acting("p", member.acts, member.takes)})

        async def app() -> None:
            while clock.now() - clock.at(START) < lasts + 4.0:
                await world.ask()

        await asyncio.gather(*(app() for _ in range(apps)))
        return world

    world = in_virtual_time(load)
    assert [asked.failed for asked in world.asked if not asked.served] == []
    assert max(asked.ended or 0.0 for asked in world.asked) <= lasts + STEPS


@pytest.mark.parametrize("rate", [RateSpec(concurrency=1), RateSpec(concurrency=2), RateSpec(rpm=6000)])
@pytest.mark.parametrize("kind", [*_FREE, FailureKind.BAD_ANSWER])
@pytest.mark.parametrize("lasts", [0.3, 2.0])
@pytest.mark.parametrize("takes", [0.02, 0.5])
def test_where_a_limit_leaves_no_room_for_a_test_the_others_wait_for_it(
    kind: FailureKind, lasts: float, takes: float, rate: RateSpec
) -> None:
    member = Member(takes, (Outage(1.0, lasts, kind),))
    apps = 6

    async def load() -> World:
        world = World({"p": Acting("p", member.acts, member.takes)}, rate=rate)

        async def app() -> None:
            while clock.now() - clock.at(START) < lasts + 4.0:
                await world.ask()
                await asyncio.sleep(0.1)

        await asyncio.gather(*(app() for _ in range(apps)))
        return world

    world = in_virtual_time(load)
    assert [asked.failed for asked in world.asked if not asked.served] == []
    assert max(asked.ended or 0.0 for asked in world.asked) <= lasts + STEPS + apps * takes


def test_a_request_behind_others_learns_what_all_of_them_waited_for() -> None:
    async def load() -> World:
        world = World({"p": Acting("p", Member(0.1, ()).acts, 0.1)}, rate=RateSpec(rpm=2))
        await asyncio.gather(*(world.ask() for _ in range(6)))
        return world

    refused = [asked.failed for asked in in_virtual_time(load).asked if not asked.served]
    assert len(refused) == 4
    for error in refused:
        assert "its limit of 2 requests a minute" in error.message
        assert 29 < error.retry_after <= 31


def test_another_requests_success_wakes_a_waiting_request() -> None:
    member = Member(0.1, (Outage(0.0, 6.0, FailureKind.BAD_ANSWER),))

    async def load() -> World:
        world = World({"p": Acting("p", member.acts, member.takes)})
        await asyncio.gather(world.ask(), *(world.ask_at(at / 2) for at in range(14)))
        return world

    world = in_virtual_time(load)
    assert all(asked.served for asked in world.asked)
    assert max(asked.at + (asked.ended or 0.0) for asked in world.asked) <= 6.0 + STEPS + 1.0


def test_an_answered_probe_wakes_a_waiting_request() -> None:
    member = Member(0.1, (Outage(0.0, 6.3, FailureKind.SERVER),))

    async def load() -> tuple[World, bool]:
        world = World({"p": Acting("p", member.acts, member.takes)})
        waiting = [asyncio.ensure_future(world.ask()) for _ in range(5)]
        await asyncio.sleep(6.35)
        helped = probes.probe_answered(world.state, world.table, "p", clock.now())
        world.room.freed()
        await asyncio.gather(*waiting)
        return world, helped

    world, helped = in_virtual_time(load)
    assert helped
    # Five answers of 0.1 s, one behind the other at worst: without the probe they would wait for seconds. One may have
    # been asking when the probe was, and fails a moment later: it backs off once more.
    assert all(asked.served and (asked.ended or 0.0) > 6.35 for asked in world.asked)
    ended = sorted(asked.ended or 0.0 for asked in world.asked)
    assert ended[-2] < 7.3
    assert ended[-1] < 8.5


def test_a_test_that_takes_long_does_not_hold_up_those_behind_it() -> None:
    """The first request after the outage hangs, others would be answered."""
    outage = Member(0.1, (Outage(0.0, 2.0, FailureKind.SERVER),))

    def acts(at: float, number: int) -> Outcome:
        if at < 2.0:
            return outage.acts(at, number)
        acts.hung += 1
        return broken(FailureKind.TIMEOUT) if acts.hung == 1 else None

    acts.hung = 0

    async def load() -> World:
        world = World({"p": Acting("p", acts, 0.1)})
        await asyncio.gather(*(world.ask_at(at / 4, 100.0) for at in range(12)))
        return world

    world = in_virtual_time(load)
    assert sum(asked.served for asked in world.asked) >= 11
    assert sorted(asked.ended or 0.0 for asked in world.asked)[-2] < 12.0


def test_a_request_that_always_fails_is_given_up_while_others_are_answered() -> None:
    """The request is at fault, not the model, so no other request has to wait for it either."""
    failures = 0

    async def load() -> tuple[World, Asked]:
        world = World({"p": Acting("p", acts, 0.1)})

        async def others() -> None:
            while clock.now() - clock.at(START) < 40.0:
                await world.ask()
                await asyncio.sleep(0.4)

        async def poison() -> Asked:
            await asyncio.sleep(1.0)
            return await world.ask(59.0)

        _, poisoned = await asyncio.gather(others(), poison())
        return world, poisoned

    def acts(at: float, number: int) -> Outcome:
        nonlocal failures
        task = asyncio.current_task()
        if task is None or "poison" not in repr(task.get_coro()):
            return None
        failures += 1
        return broken(FailureKind.SERVER)

    world, poisoned = in_virtual_time(load)
    assert not poisoned.served
    assert LAST_ATTEMPTS <= failures <= LAST_ATTEMPTS + 2
    assert all(asked.served for asked in world.asked if asked is not poisoned)


# -- a flaky sole provider -----------------------------------------------------------------------------

_KINDS = (FailureKind.SERVER, FailureKind.CONNECTION, FailureKind.BAD_ANSWER)
SEEDS = pytest.mark.parametrize(
    "seeds", [range(3), pytest.param(range(3, 10), marks=pytest.mark.soak)], ids=["few seeds", "many seeds"]
)


def flaky(seed: int, share: float | None) -> Callable[[float, int], Outcome]:
    """Fails a share of its calls at random, or every third."""
    chance = random.Random(seed)

    def acts(at: float, number: int) -> Outcome:
        bad = number % 3 == 0 if share is None else chance.random() < share
        return broken(chance.choice(_KINDS)) if bad else None

    return acts


@SEEDS
@pytest.mark.parametrize("at_once", [1, 10, 64])
@pytest.mark.parametrize(
    ("share", "least"), [(None, 0.99), (1 / 3, 0.99), (0.5, 0.97), (0.7, 0.85)], ids=["third", "0.33", "0.5", "0.7"]
)
def test_a_flaky_sole_provider_is_served_through(
    share: float | None, least: float, at_once: int, seeds: range, record_property: Any
) -> None:
    """And never less than by the OpenAI SDK alone."""
    each = -(-100 // at_once)

    async def by_the_mesh(seed: int) -> list[bool]:
        world = World({"p": Acting("p", flaky(seed, share), 0.1)})
        await asyncio.gather(*(world.one_after_another(each) for _ in range(at_once)))
        return [asked.served for asked in world.asked]

    async def by_the_sdk(seed: int) -> list[bool]:
        provider = Acting("p", flaky(seed, share), 0.1)
        done = await asyncio.gather(*(sdk_alone(provider, each) for _ in range(at_once)))
        return [served for one in done for served in one]

    mesh = [served for seed in seeds for served in in_virtual_time(lambda seed=seed: by_the_mesh(seed))]
    sdk = [served for seed in seeds for served in in_virtual_time(lambda seed=seed: by_the_sdk(seed))]
    record_property("mesh, sdk, of", (sum(mesh), sum(sdk), len(mesh)))
    print(f"mesh {sum(mesh)}, SDK alone {sum(sdk)} of {len(mesh)}")
    assert sum(mesh) >= least * len(mesh)
    assert sum(mesh) >= sum(sdk)


def test_switched_off_retries_stay_switched_off() -> None:
    async def one() -> World:
        world = World({"p": Acting("p", lambda at, number: broken(FailureKind.SERVER), 0.1)}, {"retry": RetryPolicy(1)})
        await world.ask()
        return world

    world = in_virtual_time(one)
    assert len(world.providers["p"].asked) == 1
