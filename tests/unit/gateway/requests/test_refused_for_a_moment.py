"""A sole provider that refuses now and then, or for good, in virtual time: no fewer answers than the SDK gets alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from meshd.formats.errors.response_failures import failure_from_response
from meshd.routing.attempts.results import LAST_REFUSALS
from meshd.sdk.provider import FailureKind, ProviderFailure
from tests.support.gateway.virtual_world import Acting, Outcome, World, in_virtual_time, sdk_alone
from tests.support.providers.faulty.flaky_server import REFUSALS

KEYS = [name for name in REFUSALS if not name.startswith(("429", "5"))]
ANYWAY = [name for name in REFUSALS if name not in KEYS]  # asked again whatever it says
PASSING = ("429 in an hour", "503 in an hour", "503 in two minutes")  # waited for


def refused(name: str) -> ProviderFailure:
    status, _, headers = refusal = REFUSALS[name]
    raw = [(key.encode(), value.encode()) for key, value in headers.items()]
    return failure_from_response(status, refusal.body, raw, "http://x/v1/chat/completions")


def flaky(name: str, seed: int, share: float | None) -> Callable[[float, int], Outcome]:
    """Refuses every third of its calls, or a share of them at random."""
    chance = random.Random(seed)

    def acts(at: float, number: int) -> Outcome:
        bad = number % 3 == 0 if share is None else chance.random() < share
        return refused(name) if bad else None

    return acts


def by_the_mesh(acts: Callable[[float, int], Outcome], at_once: int, requests: int, members: int = 1) -> World:
    """Each of `at_once` apps asks one after the other."""

    async def work() -> World:
        random.seed(1)  # pauses are partly random, and which calls fail depends on when they come
        world = World({f"p{number}": Acting(f"p{number}", acts, 0.1) for number in range(members)})
        for spec in world.table.models:
            world.state.model(spec).answered = False
        await asyncio.gather(*(world.one_after_another(requests) for _ in range(at_once)))
        return world

    made: World = in_virtual_time(work)
    return made


def by_the_sdk(acts: Callable[[float, int], Outcome], at_once: int, requests: int) -> int:
    async def work() -> int:
        provider = Acting("p", acts, 0.1)
        done = await asyncio.gather(*(sdk_alone(provider, requests) for _ in range(at_once)))
        return sum(served for one in done for served in one)

    served: int = in_virtual_time(work)
    return served


@pytest.mark.parametrize("name", REFUSALS)
def test_every_third_call_is_refused_and_every_request_answered(name: str) -> None:
    world = by_the_mesh(flaky(name, 1, None), 1, 12)
    assert [asked.served for asked in world.asked] == [True] * 12
    assert max(asked.ended or 0.0 for asked in world.asked) < 3.0


@pytest.mark.parametrize(
    "seeds", [range(3), pytest.param(range(3, 16), marks=pytest.mark.soak)], ids=["few seeds", "many seeds"]
)
@pytest.mark.parametrize("at_once", [1, 4, 32])
@pytest.mark.parametrize("share", [None, 1 / 3, 0.5, 0.7], ids=["third", "0.33", "0.5", "0.7"])
@pytest.mark.parametrize("name", REFUSALS)
def test_no_fewer_are_answered_than_by_the_sdk_alone(
    name: str, share: float | None, at_once: int, seeds: range
) -> None:
    requests = -(-24 // at_once)
    mesh = sum(
        asked.served for seed in seeds for asked in by_the_mesh(flaky(name, seed, share), at_once, requests).asked
    )
    alone = sum(by_the_sdk(flaky(name, seed, share), at_once, requests) for seed in seeds)
    print(f"mesh {mesh}, SDK alone {alone} of {requests * at_once * len(seeds)}")
    assert mesh >= alone


@settings(max_examples=150, deadline=None)
@given(
    name=some.sampled_from(list(REFUSALS)),
    pattern=some.lists(some.booleans(), min_size=2, max_size=7).filter(lambda each: not all(each)),
    requests=some.integers(1, 16),
)
def test_nor_one_after_another_by_any_pattern(name: str, pattern: list[bool], requests: int) -> None:
    """Over whole turns of the pattern, as it meets them at other requests."""

    def acts(shift: int) -> Callable[[float, int], Outcome]:
        return lambda at, number: refused(name) if pattern[(number + shift) % len(pattern)] else None

    turns = range(len(pattern))
    mesh = sum(asked.served for shift in turns for asked in by_the_mesh(acts(shift), 1, requests).asked)
    assert mesh >= sum(by_the_sdk(acts(shift), 1, requests) for shift in turns)


# -- for good ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("at_once", [1, 16])
def test_a_model_that_always_refuses_is_asked_once_a_request(name: str, at_once: int) -> None:
    world = by_the_mesh(lambda at, number: refused(name), at_once, 12)
    provider = world.providers["p0"]
    assert len(provider.asked) <= len(world.asked)
    if REFUSALS[name].status != 403 and name != "404 path":  # these may be about one request
        later = [many for at, many in zip(provider.asked, provider.at_once, strict=True) if at > 0.15]
        assert max(later) == 1
    assert max(asked.ended or 0.0 for asked in world.asked) < 1.5, "it is told at once"
    for asked in world.asked:
        assert REFUSALS[name].error["message"] in asked.failed.message or name == "404 path"
        assert asked.failed.status_code in (400, 401, 403, 404, 429)


@pytest.mark.parametrize("name", KEYS)
def test_a_model_that_begins_to_refuse_is_soon_asked_once_a_request(name: str) -> None:
    world = by_the_mesh(lambda at, number: refused(name) if number > 5 else None, 1, 20)
    assert [asked.served for asked in world.asked] == [True] * 5 + [False] * 15
    assert len(world.providers["p0"].asked) <= 20 + 3


@pytest.mark.parametrize("name", [each for each in ANYWAY if each not in PASSING and each != "501"])
def test_a_quota_that_is_used_up_is_asked_for_a_few_times_and_after_a_minute_once(name: str) -> None:
    world = by_the_mesh(lambda at, number: refused(name), 1, 60)
    at = world.providers["p0"].asked
    minute = [
        sum(asked.at - 0.01 <= when < asked.at - 0.01 + (asked.ended or 0.0) for when in at) for asked in world.asked
    ]
    assert minute[0] == LAST_REFUSALS
    assert minute[-1] == 1
    assert max(minute) == LAST_REFUSALS
    assert max(asked.ended or 0.0 for asked in world.asked) < 6.0
    assert all(REFUSALS[name].error["message"] in asked.failed.message for asked in world.asked)


@pytest.mark.parametrize("name", PASSING)
def test_a_pause_of_hours_is_tested_by_one_request_at_a_time(name: str) -> None:
    world = by_the_mesh(lambda at, number: refused(name) if number > 8 and at < 12.0 else None, 8, 3)
    assert all(asked.served for asked in world.asked)
    assert max(asked.at + (asked.ended or 0.0) for asked in world.asked) < 18.0
    provider = world.providers["p0"]
    tests = [many for at, many in zip(provider.asked, provider.at_once, strict=True) if 0.3 < at < 12.0]
    assert max(tests) == 1
    assert len(tests) <= 10


@pytest.mark.parametrize("name", REFUSALS)
def test_of_two_that_are_out_the_first_that_is_well_answers(name: str) -> None:
    def acts(at: float, number: int) -> Outcome:
        return refused(name) if at < 5.0 else None

    async def work() -> World:
        world = World({"a": Acting("a", acts, 0.1), "b": Acting("b", acts, 0.1)})
        for at in (0.0, 1.0, 6.0, 7.0):
            await world.ask_at(max(at - (asyncio.get_running_loop().time() - 1_000_000.0), 0.0))
        return world

    world: World = in_virtual_time(work)
    assert all(asked.served for asked in world.asked[2:])


@pytest.mark.parametrize("name", [each for each in REFUSALS if each not in ("404 path", "501")])
def test_a_refusing_model_is_not_asked_while_another_answers(name: str) -> None:
    async def work() -> World:
        refusing = Acting("a", lambda at, number: refused(name), 0.1)
        world = World({"a": refusing, "b": Acting("b", lambda at, number: None, 0.1)})
        await world.one_after_another(50)
        return world

    world: World = in_virtual_time(work)
    assert all(asked.served for asked in world.asked)
    assert len(world.providers["a"].asked) <= (3 if refused(name).kind is FailureKind.PERMISSION else 2)
