"""Several keys of one provider: by weight, without those set aside, each with its own headers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from meshd.core.events.cause import Why, cause_of
from meshd.routing.rates.headroom import Headroom, NoRoom
from meshd.routing.rates.key_ring import RestingKey
from meshd.routing.rates.records import RateTicket
from meshd.routing.table.specs import NO_RATES, KeySpec, ProviderSpec, RateSpec
from meshd.sdk.provider import FailureKind, RateLimits
from tests.support.routing.rate_builders import Room
from tests.support.routing.routing_builders import NOW, mesh

FOR_EVER = float("inf")


class Keys(Room):
    def __init__(self, keys: dict[str, float], rate: RateSpec = NO_RATES) -> None:
        super().__init__()
        self.use(keys, rate)

    def use(self, keys: dict[str, float], rate: RateSpec = NO_RATES) -> None:
        """As after a reload."""
        specs = tuple(KeySpec(id, weight) for id, weight in keys.items())
        state = self.mesh.state
        self.mesh = mesh("p.m", providers=[ProviderSpec("p", "modelmesh.scripted.v1", rate=rate, keys=specs)])
        self.mesh.state = state

    def used(self, count: int, at: float = 0.0) -> Counter[str]:
        return Counter(self.enter(at).key for _ in range(count))

    def ticket(self, key: str, at: float = 0.0) -> RateTicket:
        while (ticket := self.enter(at)).key != key:
            pass
        return ticket

    def refuse(self, key: str, cause: FailureKind, seconds: float, at: float = 0.0) -> bool:
        return self.rates.key_refused(self.ticket(key, at), f"{cause}!", cause, NOW + at, seconds)


def test_one_key_is_not_a_choice():
    room = Room()
    ticket = room.enter()
    assert ticket.key == ""
    assert not room.rates.key_refused(ticket, "429", FailureKind.RATE_LIMIT, NOW, 10.0)
    assert room.no_room() is None
    assert room.rates.resting_keys("p", NOW) == []
    assert room.rates.resting_keys("nobody", NOW) == []
    assert not room.rates.reset_keys("p")
    assert room.rates.dump_keys(NOW) == {}


def test_keys_take_turns_by_weight():
    assert Keys({"a": 2.0, "b": 1.0, "c": 1.0}).used(400) == {"a": 200, "b": 100, "c": 100}


def test_a_key_without_weight_is_used_when_no_other_is_left():
    room = Keys({"a": 1.0, "b": 0.0})
    assert room.used(10) == {"a": 10}
    room.refuse("a", FailureKind.RATE_LIMIT, 10.0)
    assert room.used(10) == {"b": 10}


@pytest.mark.parametrize("cause", [FailureKind.RATE_LIMIT, FailureKind.AUTHENTICATION])
def test_a_refused_key_rests_alone_and_does_not_catch_up_afterwards(cause):
    room = Keys({"a": 1.0, "b": 1.0})
    assert room.refuse("a", cause, 10.0)
    assert room.used(100, at=5) == {"b": 100}
    assert room.rates.resting_keys("p", NOW + 5) == [
        RestingKey("a", Why(cause_of(cause), cause, f"{cause}!"), NOW + 10.0)
    ]
    assert room.no_room(5) is None
    assert abs(room.used(100, at=10)["a"] - 50) <= 1
    assert room.rates.resting_keys("p", NOW + 10) == []


def test_when_all_rest_for_their_rate_the_first_that_is_back_says_when():
    room = Keys({"a": 1.0, "b": 1.0})
    assert room.refuse("a", FailureKind.RATE_LIMIT, 30.0)
    assert not room.refuse("b", FailureKind.RATE_LIMIT, 10.0)
    assert room.no_room(2) == NoRoom("no key of p can be used now: b is set aside (rate_limit!)", 8.0)
    assert room.headroom(2) == Headroom(0.0, 0.0)
    assert room.enter(2).key == "b"  # asked regardless: the one that is back first
    assert room.no_room(10) is None


def test_a_later_refusal_lengthens_a_rest_and_never_shortens_it():
    room = Keys({"a": 1.0, "b": 1.0})
    first, second = room.ticket("a"), room.ticket("a")
    room.rates.key_refused(first, "401", FailureKind.AUTHENTICATION, NOW, FOR_EVER)
    room.rates.key_refused(second, "429", FailureKind.RATE_LIMIT, NOW, 5.0)
    assert [(rest.id, rest.until) for rest in room.rates.resting_keys("p", NOW + 9)] == [("a", FOR_EVER)]


def test_the_last_key_is_not_the_providers_fault_while_others_only_rest_for_their_rate():
    room = Keys({"a": 1.0, "b": 1.0})
    room.refuse("a", FailureKind.RATE_LIMIT, 30.0)
    assert room.refuse("b", FailureKind.AUTHENTICATION, FOR_EVER)
    no_room = room.no_room(1)
    assert no_room is not None
    assert no_room.frees_in == 29.0


def test_when_every_key_is_refused_for_good_nothing_but_a_reset_helps():
    room = Keys({"a": 1.0, "b": 1.0})
    assert room.refuse("a", FailureKind.AUTHENTICATION, FOR_EVER)
    assert not room.refuse("b", FailureKind.AUTHENTICATION, FOR_EVER)
    assert room.no_room(10**6) == NoRoom("no key of p can be used now: a is set aside (authentication!)", None)
    assert room.rates.reset_keys("p")
    assert not room.rates.reset_keys("p")
    assert room.no_room() is None


def test_headers_are_of_one_key_and_another_with_room_is_taken():
    room = Keys({"a": 1.0, "b": 1.0})
    a, b = room.ticket("a"), room.ticket("b")
    room.rates.observe(a, RateLimits(limit_requests=10, remaining_requests=0, reset_requests=30.0), NOW)
    assert room.used(5) == {"b": 5}
    assert room.headroom().requests is None  # no limit of b is known
    room.rates.observe(b, RateLimits(limit_requests=10, remaining_requests=5, reset_requests=20.0), NOW)
    assert room.no_room() == NoRoom("p has 0 of 10 requests left for p.m; room in 20 s", 20.0)
    assert room.headroom() == Headroom(0.0, 0.0)
    room.rates.observe(room.enter(), RateLimits(limit_requests=10, remaining_requests=4, reset_requests=20.0), NOW)
    assert room.headroom() == Headroom(0.2, 4.0)


def test_the_configured_limit_is_of_all_keys_together():
    room = Keys({"a": 1.0, "b": 1.0}, RateSpec(rpm=2))
    room.used(2)
    assert room.no_room(1) == NoRoom("p is at its limit of 2 requests a minute; room in 59 s", 59.0)
    assert room.enter(1).key == "a"  # asked regardless


def test_keys_that_are_configured_no_more_are_forgotten():
    room = Keys({"a": 1.0, "b": 1.0})
    room.refuse("a", FailureKind.AUTHENTICATION, FOR_EVER)
    room.use({"b": 1.0, "c": 1.0})
    assert set(room.used(10)) == {"b", "c"}
    assert room.rates.resting_keys("p", NOW) == []


def test_rests_outlive_a_restart():
    room = Keys({"a": 1.0, "b": 1.0, "c": 1.0})
    room.refuse("a", FailureKind.AUTHENTICATION, FOR_EVER)
    room.refuse("b", FailureKind.RATE_LIMIT, 30.0)
    room.refuse("c", FailureKind.RATE_LIMIT, 1.0)
    saved = room.rates.dump_keys(NOW + 2)
    assert {rest["id"]: rest["until"] for rest in saved["p"]} == {"a": None, "b": NOW + 30.0}
    again = Keys({"a": 1.0, "b": 1.0, "c": 1.0})
    again.rates.load_keys(saved, NOW + 2)
    assert again.rates.resting_keys("p", NOW + 2) == room.rates.resting_keys("p", NOW + 2)
    assert again.used(4, at=3) == {"c": 4}


def test_what_was_saved_by_another_clock_or_badly_ends():
    room = Keys({"a": 1.0, "b": 1.0})
    saved: dict[str, list[dict[str, Any]]] = {"p": [{"id": "a", "until": NOW + 10**9}, {}], "gone": []}
    room.rates.load_keys(saved, NOW)
    assert room.no_room() is None
    assert [rest.id for rest in room.rates.resting_keys("p", NOW + 86400)] == [""]
    assert set(room.used(4)) == {"b"}
