"""What response headers said is left: less what was sent since, until the reset, in place of the configuration."""

from __future__ import annotations

from meshd.routing.rates.headroom import Headroom, NoRoom
from meshd.routing.rates.records import RateTicket
from meshd.routing.table.policies import RetryPolicy
from meshd.routing.table.specs import RateSpec
from meshd.sdk.provider import RateLimits
from tests.support.routing.rate_builders import Room
from tests.support.routing.routing_builders import NOW


def observe(room: Room, ticket: RateTicket, at: float, **limits: float) -> None:
    room.rates.observe(ticket, RateLimits(**limits), NOW + at)


def test_no_headers_say_nothing():
    room = Room()
    ticket = room.enter()
    room.rates.observe(ticket, None, NOW)
    observe(room, ticket, 0)
    observe(room, ticket, 0, limit_requests=5, reset_requests=3.0)
    assert room.no_room() is None
    assert room.headroom() == Headroom()


def test_nothing_left_holds_until_the_reset():
    room = Room("p.m", "p.n")
    observe(room, room.enter(), 1, remaining_requests=0, limit_requests=30, reset_requests=4.0)
    assert room.no_room(1) == NoRoom("p has 0 of 30 requests left for p.m; room in 4 s", 4.0)
    assert room.no_room(1, model="p.n") is None
    assert room.no_room(4.9) is not None
    assert room.no_room(5) is None


def test_what_was_sent_since_is_taken_off():
    room = Room()
    first = room.enter(0)
    observe(room, first, 1, remaining_requests=2, reset_requests=30.0)
    room.enter(2)
    assert room.headroom(2) == Headroom(1.0, 1.0)
    room.enter(3)
    assert room.no_room(3) == NoRoom("p has 0 requests left for p.m; room in 28 s", 28.0)
    assert room.headroom(3) == Headroom(0.0, 0.0)


def test_a_response_does_not_know_of_what_was_sent_after_its_request():
    room = Room()
    first, second, _ = room.enter(0), room.enter(0), room.enter(0)
    observe(room, first, 1, remaining_requests=9, reset_requests=30.0)
    assert room.headroom(1).requests == 7.0
    observe(room, second, 2, remaining_requests=8, reset_requests=30.0)
    assert room.headroom(2).requests == 7.0


def test_an_answer_that_was_overtaken_may_only_say_that_less_is_left():
    room = Room()
    first, second = room.enter(0), room.enter(0)
    observe(room, second, 1, remaining_requests=8, reset_requests=30.0)
    observe(room, first, 2, remaining_requests=100, reset_requests=30.0)
    assert room.headroom(2).requests == 8.0
    observe(room, first, 3, remaining_requests=3, reset_requests=30.0)
    assert room.headroom(3).requests == 2.0
    observe(room, first, 40, remaining_requests=50, reset_requests=30.0)  # what was known is over
    assert room.headroom(40).requests == 49.0


def test_after_its_reset_a_known_limit_starts_over():
    room = Room()
    observe(room, room.enter(0), 1, remaining_requests=0, limit_requests=2, reset_requests=4.0)
    room.enter(5)
    assert room.no_room(5) is None
    room.enter(5)
    no_room = room.no_room(5)
    assert no_room is not None  # not everybody at once who waited for the reset
    assert no_room.frees_in == 60.0
    assert room.no_room(65) is None


def test_without_a_limit_or_a_reset_a_minute_is_assumed_and_then_nothing():
    room = Room()
    observe(room, room.enter(0), 0, remaining_requests=0)
    assert room.no_room(59) == NoRoom("p has 0 requests left for p.m; room in 1 s", 1.0)
    assert room.no_room(60) is None
    room.enter(60)
    room.enter(60)
    assert room.no_room(60) is None


def test_tokens_left_are_compared_with_those_that_are_needed():
    room = Room()
    observe(room, room.enter(0), 0, remaining_tokens=500, limit_tokens=6000, reset_tokens=10.0)
    assert room.no_room(0, tokens=499, output=1) is None
    assert room.no_room(0, tokens=500, output=1) == NoRoom(
        "p has 500 of 6000 tokens left for p.m, and about 501 are needed; room in 10 s", 10.0
    )
    ticket = room.enter(1, tokens=299, output=1)
    assert room.headroom(1) == Headroom(200 / 6000, None, 200.0)
    room.leave(ticket, tokens=100)
    assert room.headroom(2).tokens == 400.0


def test_the_end_of_a_request_that_was_counted_in_the_header_changes_nothing():
    room = Room()
    ticket = room.enter(0, tokens=299, output=1)
    observe(room, ticket, 1, remaining_tokens=500, limit_tokens=6000, reset_tokens=10.0)
    room.leave(ticket, tokens=10)
    assert room.headroom(2).tokens == 500.0


def test_what_is_larger_than_the_whole_limit_of_tokens_goes_when_all_of_it_is_there():
    room = Room()
    observe(room, room.enter(0), 0, remaining_tokens=5999, limit_tokens=6000, reset_tokens=10.0)
    assert room.no_room(0, tokens=7000, output=1) is not None
    observe(room, room.enter(1), 1, remaining_tokens=6000, limit_tokens=6000, reset_tokens=10.0)
    assert room.no_room(1, tokens=7000, output=1) is None
    room.enter(20, tokens=7000, output=1)  # starts over
    assert room.no_room(20, tokens=1, output=1) is not None


def test_headers_hold_instead_of_the_configuration_and_for_their_model_alone():
    room = Room("p.m", "p.n", rate=RateSpec(rpm=1, tpm=10))
    ticket = room.enter(0, tokens=9, output=1)
    limits = {"remaining_requests": 50, "limit_requests": 100, "reset_requests": 30.0}
    observe(room, ticket, 0, **limits)
    no_room = room.no_room(0, tokens=1, output=1)
    assert no_room is not None
    assert "10 tokens a minute" in no_room.reason
    observe(room, ticket, 0, **limits, remaining_tokens=5000, limit_tokens=6000, reset_tokens=30.0)
    assert room.no_room(0, tokens=1, output=1) is None
    assert room.headroom(0) == Headroom(0.5, 50.0, 5000.0)
    assert room.no_room(0, model="p.n", tokens=1, output=1) is not None
    assert room.no_room(31, tokens=1, output=1) is not None  # the header is over, the minute is not


def test_a_limit_of_longer_than_a_minute_holds_beside_the_configured_one():
    room = Room(rate=RateSpec(rpm=2))
    day = {"limit_requests": 14400, "remaining_requests": 14000}
    observe(room, room.enter(0), 0, **day, reset_requests=2400.0)
    assert room.no_room(0) is None
    observe(room, room.enter(1), 1, **day, reset_requests=6.0)  # the same limit, nearly full again
    assert room.no_room(1) == NoRoom("p is at its limit of 2 requests a minute; room in 59 s", 59.0)
    assert room.headroom(1) == Headroom(0.0, 0.0)
    observe(room, room.enter(2), 2, limit_requests=60, remaining_requests=10, reset_requests=6.0)
    assert room.no_room(2) is None  # another limit, of a minute


def test_a_clock_that_was_set_back_makes_headers_void():
    room = Room()
    observe(room, room.enter(7200), 7200, remaining_requests=0, limit_requests=30, reset_requests=30.0)
    assert room.no_room(7200) is not None
    assert room.no_room(0) is None


def test_an_unknown_limit_is_measured_by_the_configured_one():
    room = Room(rate=RateSpec(rpm=20))
    observe(room, room.enter(0), 0, remaining_requests=5)
    assert room.headroom(0) == Headroom(0.25, 5.0)


def test_a_model_that_is_to_be_left_alone_is_until_then_and_in_pools_that_honour_it():
    room = Room("p.m", "p.n")
    room.rates.leave_alone(room.enter(), NOW, 30.0)
    assert room.no_room(1) == NoRoom("p asked us to pause p.m; room in 29 s", 29.0, told=True)
    assert room.no_room(1, model="p.n") is None
    room.rates.leave_alone(room.enter(), NOW + 2, 1.0)
    assert room.no_room(29) is not None, "the longest that was asked for"
    assert room.no_room(30) is None
    rude = Room(retry=RetryPolicy(honor_retry_after=False))
    rude.rates.leave_alone(rude.enter(), NOW, 30.0)
    assert rude.no_room(1) is None


def test_being_left_alone_outlasts_the_sweep_and_ends_by_an_operator_or_a_clock_that_was_set_back():
    room = Room("p.m", "p.n")
    room.rates.leave_alone(room.enter(), NOW, 10_000.0)
    room.enter(9_000, model="p.n")  # which sweeps
    assert room.no_room(9_000) is not None
    assert room.no_room(-3600) is None
    room.rates.reset(room.mesh.table.models["p.m"])
    assert room.no_room(9_000) is None
