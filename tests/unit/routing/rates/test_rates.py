"""Configured limits: exact windows, concurrency, pacing, apps; what counts, and what is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.routing.rates.headroom import Headroom, NoRoom
from meshd.routing.rates.records import EXPECTED_OUTPUT
from meshd.routing.request.estimate import Estimate
from meshd.routing.table.policies import PacingPolicy
from meshd.routing.table.specs import RateSpec
from meshd.sdk.provider import RateLimits
from tests.support.routing.rate_builders import Room
from tests.support.routing.routing_builders import NOW

LATE = 1e-6  # what the arithmetic of floats may be off by


def test_without_limits_there_is_always_room():
    room = Room()
    for _ in range(1000):
        assert room.no_room() is None
        room.enter()
    assert room.headroom() == Headroom()


def test_requests_a_minute_of_all_the_providers_models_together():
    room = Room("p.m", "p.n", rate=RateSpec(rpm=2))
    room.leave(room.enter(0))
    room.leave(room.enter(10, model="p.n"))
    assert room.no_room(20) == NoRoom("p is at its limit of 2 requests a minute; room in 40 s", 40.0)
    assert room.no_room(20, model="p.n") is not None
    assert room.no_room(59.9) == NoRoom("p is at its limit of 2 requests a minute; room in 1 s", pytest.approx(0.1))
    assert room.no_room(60) is None
    room.enter(60)
    assert room.no_room(60) == NoRoom("p is at its limit of 2 requests a minute; room in 10 s", 10.0)


def test_a_request_that_asks_regardless_is_counted_too():
    room = Room(rate=RateSpec(rpm=2))
    for at in range(4):
        room.enter(at)
    no_room = room.no_room(4)
    assert no_room is not None
    assert no_room.frees_in == 58.0  # when three of the four are a minute old


def test_concurrency_frees_up_when_a_request_ends_and_only_once():
    room = Room(rate=RateSpec(concurrency=2))
    first, _ = room.enter(), room.enter()
    assert room.no_room(1000) == NoRoom("p is at its concurrency limit of 2", None)
    room.leave(first)
    room.leave(first)
    assert room.no_room(1000) is None
    room.enter(1000)
    assert room.no_room(1000) is not None


def test_requests_that_were_lost_with_the_router_are_not_in_flight_and_cannot_leave_twice():
    room = Room(rate=RateSpec(concurrency=1), app=RateSpec(concurrency=1))
    lost = room.enter()
    room.rates.nothing_in_flight()
    assert room.no_room() is None
    room.enter()
    room.leave(lost)
    assert room.no_room() is not None


def test_tokens_a_minute_count_the_estimate_and_then_what_was_used():
    room = Room(rate=RateSpec(tpm=1000))
    ticket = room.enter(0, tokens=400, output=400)
    assert ticket.tokens == 800
    assert room.no_room(1, tokens=100, output=101) == NoRoom(
        "p is at its limit of 1000 tokens a minute; room in 59 s", 59.0
    )
    assert room.no_room(1, tokens=100, output=100) is None
    room.leave(ticket, tokens=500)
    assert room.no_room(2, tokens=400, output=100) is None
    assert room.no_room(2, tokens=401, output=100) is not None


def test_an_end_of_unknown_use_leaves_the_estimate_and_one_after_the_window_changes_nothing():
    room = Room(rate=RateSpec(tpm=1000))
    room.leave(room.enter(0, tokens=1000, output=1))
    assert room.no_room(1, tokens=1, output=1) is not None
    long = room.enter(60, tokens=500, output=1)
    room.enter(100, tokens=400, output=1)
    assert room.no_room(121, tokens=598, output=1) is None  # of the long one, 60 s are over
    room.leave(long, tokens=10_000)
    assert room.no_room(121, tokens=598, output=1) is None


def test_what_is_larger_than_the_whole_limit_waits_for_an_empty_window_and_no_longer():
    room = Room(rate=RateSpec(tpm=100))
    room.enter(0, tokens=10, output=1)
    room.enter(30, tokens=10, output=1)
    no_room = room.no_room(40, tokens=5000, output=1)
    assert no_room is not None
    assert no_room.frees_in == 50.0
    assert room.no_room(90, tokens=5000, output=1) is None


def test_room_for_tokens_comes_when_enough_of_them_are_a_minute_old():
    room = Room(rate=RateSpec(tpm=100))
    for at in range(5):
        room.enter(at * 10, tokens=19, output=1)
    no_room = room.no_room(45, tokens=39, output=1)
    assert no_room is not None
    assert no_room.frees_in == 25.0


def test_the_output_counts_as_models_answers_are_and_not_as_they_may_be():
    room = Room(rate=RateSpec(tpm=10**6))
    unknown = room.enter(tokens=100, output=100_000)
    assert unknown.tokens == 100 + EXPECTED_OUTPUT
    room.leave(unknown, tokens=300)
    assert room.enter(tokens=100, output=100_000).tokens == 100 + 200
    assert room.enter(tokens=100, output=50).tokens == 150
    room.leave(room.enter(tokens=100, output=100_000), tokens=0)  # a failure is not an answer
    room.leave(room.enter(tokens=100, output=100_000), tokens=50)  # fewer than its input was thought to be
    assert room.enter(tokens=100, output=100_000).tokens == 100 + 160


def test_pacing_holds_for_each_member_of_the_pool_by_itself():
    room = Room("p.m", "p.n", pacing=PacingPolicy(min_delta=2.0, max_rpm=2))
    room.leave(room.enter(0))
    assert room.no_room(0.5) == NoRoom("pool chat sends p.m a request every 2 s; room in 2 s", 1.5)
    assert room.no_room(0.5, model="p.n") is None
    assert room.no_room(2) is None
    room.enter(2)
    assert room.no_room(10) == NoRoom("pool chat at p.m is at its limit of 2 requests a minute; room in 50 s", 50.0)
    assert room.no_room(60) is None


def test_an_apps_limits_hold_for_each_account():
    room = Room(app=RateSpec(rpm=2, tpm=100, concurrency=1))
    ticket = room.enter(0, tokens=49, output=1, account="a")
    assert room.no_room(1, account="a") == NoRoom("app a is at its concurrency limit of 1", None)
    assert room.no_room(1, account="b") is None
    room.leave(ticket)
    assert room.no_room(1, tokens=50, output=1, account="a") == NoRoom(
        "app a is at its limit of 100 tokens a minute; room in 59 s", 59.0
    )
    room.leave(room.enter(2, tokens=1, output=1, account="a"))
    assert room.no_room(5, account="a") == NoRoom("app a is at its limit of 2 requests a minute; room in 55 s", 55.0)


def test_records_of_what_is_idle_are_dropped():
    room = Room(app=RateSpec(rpm=10))
    for number in range(100):
        room.leave(room.enter(number / 100, account=f"a{number}"))
    busy = room.enter(1, account="busy")
    room.enter(100, account="late")
    room.enter(4000, account="last")
    assert set(room.rates.apps) == {"busy", "late", "last"}  # one is in flight, one was idle for less than a sweep
    room.leave(busy)
    room.enter(4061, account="last")
    assert set(room.rates.apps) == {"late", "last"}


def test_models_and_paces_without_requests_are_dropped():
    room = Room("p.m", "p.n", pacing=PacingPolicy(min_delta=1.0))
    room.enter(0, model="p.n")
    room.enter(100)
    assert len(room.rates.models) == 2
    assert len(room.rates.paces) == 1
    room.enter(3700)
    assert list(room.rates.models) == ["p.m"]


def test_a_clock_that_was_set_back_costs_a_minute_at_most():
    room = Room(rate=RateSpec(rpm=1), pacing=PacingPolicy(min_delta=5.0))
    room.enter(7200)
    no_room = room.no_room(0)
    assert no_room is not None
    assert no_room.frees_in == 60.0
    assert room.no_room(60) is None
    room.enter(60)  # sweeps again, from then on
    assert room.no_room(61) is not None


def test_of_two_requests_that_looked_at_the_clock_in_the_other_order_neither_is_lost():
    room = Room(rate=RateSpec(rpm=2))
    room.enter(0.5)
    room.enter(0.2)
    no_room = room.no_room(0.5)
    assert no_room is not None
    assert no_room.frees_in == 60.0


def test_headroom_is_of_the_tightest_limit():
    room = Room(rate=RateSpec(rpm=10, tpm=1000, concurrency=4), pacing=PacingPolicy(max_rpm=20))
    assert room.headroom() == Headroom(1.0, 10.0, 1000.0)
    ticket = room.enter(tokens=99, output=1)
    assert room.headroom() == Headroom(0.75, 9.0, 900.0)  # of concurrency
    room.leave(ticket, tokens=600)
    assert room.headroom() == Headroom(0.4, 9.0, 400.0)
    for _ in range(11):
        room.leave(room.enter(tokens=0, output=1))
    assert room.headroom() == Headroom(0.0, 0.0, 389.0)
    assert room.headroom(61) == Headroom(1.0, 10.0, 1000.0)


def test_an_estimate_is_taken_as_it_is_given():
    room = Room(rate=RateSpec(tpm=100))
    ticket = room.rates.enter(room.question(), room.mesh.table.models["p.m"], Estimate(7, 3, 0))
    assert (ticket.tokens, ticket.app, ticket.pool, ticket.key) == (10, "app", "chat", "")


STEPS = st.lists(st.tuples(st.floats(0, 20), st.integers(0, 60), st.integers(0, 80), st.booleans()), max_size=60)


@given(STEPS, st.integers(1, 5), st.integers(20, 100))
def test_no_60_seconds_ever_see_more_than_the_limits(steps, rpm, tpm):
    """Of those that asked first, except for what is larger than the whole limit, which goes alone."""
    room = Room(rate=RateSpec(rpm=rpm, tpm=tpm))
    at, sent = 0.0, list[tuple[float, int]]()
    for delta, tokens, used, ends in steps:
        at += delta
        wanted = {"tokens": tokens, "output": 1}
        no_room = room.no_room(at, **wanted)
        if no_room is not None:
            assert no_room.frees_in is not None
            assert 0.0 < no_room.frees_in <= 60.0
            assert no_room == room.no_room(at, **wanted)  # asking changes nothing
            continue
        ticket = room.enter(at, **wanted)
        if ends:
            used = min(used, ticket.tokens)
            room.leave(ticket, tokens=used)
        sent.append((at, used if ends else ticket.tokens))
        recent = [each for each in sent if each[0] > at - 60.0 + LATE]
        assert len(recent) <= rpm
        assert sum(each[1] for each in recent) <= tpm or sum(each[1] for each in recent[:-1]) == 0


@given(STEPS, st.integers(1, 5), st.integers(20, 100))
def test_there_is_room_when_it_was_promised(steps, rpm, tpm):
    room = Room(rate=RateSpec(rpm=rpm))
    at = 0.0
    for delta, *_ in steps:
        at += delta
        no_room = room.no_room(at)
        if no_room is not None:
            assert no_room.frees_in is not None
            at += no_room.frees_in + LATE
            assert room.no_room(at) is None
        room.enter(at)


@given(
    rpm=st.none() | st.integers(0, 5),
    tpm=st.none() | st.just(100),
    concurrency=st.none() | st.just(3),
    max_rpm=st.none() | st.just(4),
    sent=st.lists(st.tuples(st.sampled_from(["p.m", "p.n"]), st.none() | st.integers(0, 9)), max_size=6),
)
def test_the_headroom_of_all_members_is_that_of_each(rpm, tpm, concurrency, max_rpm, sent):
    room = Room("p.m", "p.n", rate=RateSpec(rpm, tpm, concurrency), pacing=PacingPolicy(max_rpm=max_rpm))
    members = [room.mesh.table.models[id] for id in room.mesh.pool.members]
    for at, (model, told) in enumerate(sent):
        ticket = room.enter(at, model)
        if told is not None:
            room.rates.observe(ticket, RateLimits(limit_requests=10, remaining_requests=told), NOW + at)
        room.leave(ticket, tokens=7)
        each = [room.headroom(at, model.id) for model in members]
        assert room.rates.headrooms(room.question(at), members) == each
        of_providers = room.rates.headrooms_of_providers(room.question(at), {"p.m", "p.n"}, members[:1])
        assert of_providers is None or of_providers * 2 == each
    assert len(room.rates.headrooms(room.question(0), members)) == 2
