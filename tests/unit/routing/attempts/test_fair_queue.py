"""Who is next: fair between apps, by weight; then by priority and age; each once, and none is lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.routing.attempts.fair_queue import FairQueue, Waiter


@dataclass
class Counterpart:
    """What is waited for: so many at once, of one place or of all."""

    queue: FairQueue = field(default_factory=FairQueue)
    room: dict[str, int] = field(default_factory=dict)
    served: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)

    def add(self, app: str, place: str = "chat", name: str = "", **given: Any) -> Waiter:
        name = name or app

        def attempt() -> bool:
            self.tried.append(name)
            if self.room.get(place, 0) <= 0:
                return False
            self.room[place] -= 1
            self.served.append(name)
            return True

        waiter = Waiter(app, place, attempt, **given)
        self.queue.add(waiter)
        return waiter

    def serve(self, count: int = 1, place: str = "chat") -> str:
        """Room for so many, and who got it."""
        before = len(self.served)
        self.room[place] = count
        assert self.queue.serve() == len(self.served) - before
        return "".join(self.served[before:])


@pytest.fixture
def it() -> Counterpart:
    return Counterpart()


def test_an_empty_queue_serves_no_request(it):
    assert it.serve() == ""
    assert len(it.queue) == 0
    assert it.queue.waiting() == {}
    assert not it.queue.waits("a", "chat")


def test_in_one_app_by_priority_and_then_by_arrival(it):
    for name, priority in (("1", 0), ("2", 5), ("3", 0), ("4", 5)):
        it.add("a", name=name, priority=priority)
    assert it.serve(4) == "2413"


def test_apps_of_equal_weight_take_turns(it):
    for app in "aaabbbc":
        it.add(app)
    assert it.serve(7) == "abcabab"


def test_of_apps_that_are_even_the_one_with_priority_goes_first_and_then_the_older(it):
    it.add("a")
    it.add("b", priority=1)
    it.add("c")
    assert it.serve(3) == "bac"


def test_one_request_does_not_wait_behind_another_apps_five_hundred(it):
    """Capacity 2, each ends after one time of service."""
    for _ in range(500):
        it.add("a")
    rounds = [it.serve(2) for _ in range(10)]
    assert rounds == ["aa"] * 10
    it.add("b")
    assert "b" in it.serve(2) + it.serve(2)


def test_a_users_programs_have_one_turn_however_many_names_they_take(it):
    for number in range(100):
        it.add(f"flood-{number}", name="f", user="1")
        it.add("f", name="f", user="1")
        it.add("vim", name="v", user="2")
        it.add("mail", name="m")
    counts = Counter(it.serve(30))
    assert counts == {"f": 10, "v": 10, "m": 10}
    for number in range(10):  # a name that is new has no credit
        it.add(f"new-{number}", name="n", user="1", priority=5)
        assert Counter(it.serve(3)) == {"n": 1, "v": 1, "m": 1}


def test_a_users_programs_take_its_turns_one_by_one(it):
    for _ in range(20):
        it.add("a", user="1")
        it.add("b", user="1")
    assert it.serve(6) == "ababab"
    it.add("c", user="1")
    assert it.serve(4) == "caba"
    for _ in range(2):
        it.add("c", user="1")  # it comes back: no newcomer, which would be first each time
        assert it.serve(3) == "cba"


def test_programs_of_one_name_do_not_wait_behind_another_users(it):
    for _ in range(50):
        it.add("vim", name="1", user="1")
    assert not it.queue.waits("vim", "chat", user="2")
    it.add("vim", name="2", user="2")
    assert it.queue.waits("vim", "chat", user="2")
    assert "2" in it.serve(2)
    assert it.queue.waiting() == {"vim": 49}


def test_shares_are_by_weight(it):
    for _ in range(300):
        it.add("a", weight=2.0)
        it.add("b", weight=1.0)
    counts = Counter(it.serve(150))
    assert abs(counts["a"] - 100) <= 1


def test_an_app_of_weight_0_is_served_when_no_other_waits(it):
    it.add("a", weight=0.0)
    it.add("a", weight=0.0)
    for _ in range(50):
        it.add("b")
    assert it.serve(60).count("a") == 2


def test_requests_that_give_way_are_next_only_where_no_other_waits(it):
    for _ in range(3):
        it.add("a", name="A", gives_way=True)
        it.add("b", name="B", gives_way=True)
    for _ in range(2):
        it.add("a", weight=0.5)
        it.add("b")
    assert set(it.serve(4)) == {"a", "b"}
    assert it.queue.waiting() == {"a": 3, "b": 3}
    it.add("b")
    assert it.serve(3)[0] == "b"
    assert sorted(it.serve(4)) == ["A", "A", "B", "B"]


def test_a_request_that_gives_way_waits_behind_anyones(it):
    assert not it.queue.waits("a", "chat", gives_way=True)
    it.add("b", "chat")
    assert it.queue.waits("a", "chat", gives_way=True)
    assert not it.queue.waits("a", "vectors", gives_way=True)
    assert not it.queue.waits("a", "chat")
    it.add("a", "vectors", gives_way=True)
    assert not it.queue.waits("a", "vectors")


def test_idleness_earns_no_credit(it):
    for _ in range(100):
        it.add("a")
    it.serve(50)
    for _ in range(50):
        it.add("late")
    assert abs(it.serve(20).count("late") - 10) <= 1


def test_leaving_and_coming_back_forgives_nothing(it):
    for _ in range(20):
        it.add("a")
    it.add("b", weight=0.25, priority=1)
    assert it.serve(1) == "b"
    assert it.queue.waiting() == {"a": 20}
    it.add("b", weight=0.25, priority=1)
    assert it.serve(5) == "aaaab"


def test_a_debt_is_over_when_the_others_have_caught_up_or_no_app_waits(it):
    it.add("a")
    it.add("b")
    assert it.serve(1) == "a"
    it.add("a")
    assert it.serve(2) == "ba"
    assert it.queue.debts == {}


def test_debts_are_bounded(it, monkeypatch):
    monkeypatch.setattr("meshd.routing.attempts.fair_queue.MOST_DEBTS", 10)
    it.add("patient", place="nowhere")
    for number in range(100):
        it.add(f"a{number}")
        it.serve(1)
    assert len(it.queue.debts) <= 10
    for _ in range(40):
        it.add("b")
    it.serve(40)  # the others' time goes on past all debts
    for number in range(10):
        it.add(f"c{number}")
    it.serve(10)
    assert set(it.queue.debts) <= {f"c{number}" for number in range(10)} | {"b"}


def test_a_waiter_that_cannot_continue_is_tried_once(it):
    for name in "12":
        it.add("a", "full", name=name)
        it.add("a", "open", name=name.replace("1", "3").replace("2", "4"))
    it.add("b", "full", name="5")
    assert it.serve(2, "open") == "34"
    assert Counter(it.tried) == {"1": 1, "3": 1, "4": 1, "5": 1}
    assert len(it.queue) == 3
    assert it.queue.waits("a", "full")
    assert it.queue.waits("b", "full")
    assert not it.queue.waits("a", "open")


def test_a_serve_costs_an_attempt_for_each_app_and_place(it):
    for app in range(10):
        for place in "xyz":
            for _ in range(20):
                it.add(f"a{app}", place)
    assert it.serve(0) == ""
    assert len(it.tried) == 30


def test_a_waiter_may_be_removed_twice(it):
    first, second = it.add("a", name="1"), it.add("a", name="2")
    it.queue.remove(first)
    it.queue.remove(first)
    assert it.queue.waiting() == {"a": 1}
    assert it.serve(2) == "2"
    it.queue.remove(second)
    assert len(it.queue) == 0


def test_a_waiter_that_is_added_twice_waits_once(it):
    waiter = it.add("a")
    it.queue.add(waiter)
    assert len(it.queue) == 1
    assert it.serve(2) == "a"


def test_an_attempt_may_take_itself_and_others_out(it):
    queue = it.queue

    def leave() -> bool:
        for each in (waiter, other, another):
            queue.remove(each)
        return True

    waiter = Waiter("a", "chat", leave)
    queue.add(waiter)
    other, another = it.add("a", "elsewhere"), it.add("b")
    assert queue.serve() == 1
    assert len(queue) == 0
    assert it.tried == []
    it.add("a")
    assert it.serve() == "a"


def test_of_an_app_whose_first_took_the_next_out_the_next_is_not_tried(it):
    queue = it.queue

    def give_up() -> bool:
        queue.remove(other)
        return False

    queue.add(Waiter("a", "chat", give_up))
    other = it.add("a", "elsewhere")
    assert queue.serve() == 0
    assert it.tried == []


def test_room_that_an_attempt_makes_is_given_in_the_same_serve(it):
    queue = it.queue
    it.add("a", "full", name="1")

    def end() -> bool:
        it.room["full"] = 1
        assert queue.serve() == 0  # under way
        return True

    queue.add(Waiter("b", "chat", end))
    assert queue.serve() == 2
    assert it.served == ["1"]


def test_attempts_that_always_ask_for_another_round_and_get_nowhere_come_to_an_end(it):
    tries = []

    def hopeless() -> bool:
        tries.append(it.queue.serve())
        return False

    it.queue.add(Waiter("a", "chat", hopeless))
    assert it.queue.serve() == 0
    assert tries == [0, 0]


def test_a_waiter_that_raises_leaves_and_the_others_continue(it):
    def broken() -> bool:
        raise RuntimeError("broken")

    it.queue.add(Waiter("a", "chat", broken))
    it.add("a")
    it.room["chat"] = 1
    with pytest.raises(RuntimeError, match="broken"):
        it.queue.serve()
    assert it.serve() == "a"


APPS = st.sampled_from("abcd")
PLACES = st.sampled_from("xyz")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), APPS, PLACES, st.integers(-1, 1), st.sampled_from([0.0, 0.5, 1.0, 3.0])),
        st.tuples(st.just("remove"), st.integers(0, 100)),
        st.tuples(st.just("serve"), PLACES, st.integers(0, 3)),
    ),
    max_size=80,
)


@given(STEPS)
def test_no_request_is_lost_or_served_twice(steps):
    it = Counterpart()
    waiting: dict[str, Waiter] = {}
    for number, step in enumerate(steps):
        if step[0] == "add":
            _, app, place, priority, weight = step
            name = str(number)
            waiting[name] = it.add(app, place, name, priority=priority, weight=weight)
        elif step[0] == "remove" and waiting:
            name = list(waiting)[step[1] % len(waiting)]
            it.queue.remove(waiting.pop(name))
        elif step[0] == "serve":
            _, place, room = step
            it.room.clear()
            there = [name for name, waiter in waiting.items() if waiter.place == place]
            before = len(it.served)
            it.serve(room, place)
            now = it.served[before:]
            assert len(now) == min(room, len(there))  # no room is left while somebody waits for it
            for name in now:
                del waiting[name]
        assert len(it.queue) == len(waiting)
        assert it.queue.waiting() == Counter(waiter.app for waiter in waiting.values())
        wait_at = {(waiter.app, waiter.place) for waiter in waiting.values()}
        for app in {waiter.app for waiter in waiting.values()} | {"nobody"}:
            for place in "xyz":
                assert it.queue.waits(app, place) == ((app, place) in wait_at)


@given(st.lists(st.sampled_from([0.5, 1.0, 2.0, 4.0]), min_size=2, max_size=5), st.integers(20, 60))
def test_backlogged_apps_get_their_weights_share_within_a_request_each(weights, turns):
    it = Counterpart()
    for app, weight in enumerate(weights):
        for _ in range(turns):
            it.add(str(app), weight=weight)
    counts = Counter(it.serve(turns))
    for app, weight in enumerate(weights):
        for other, others in enumerate(weights):
            # What start-time fair queueing guarantees of any two that both wait.
            difference = counts[str(app)] / weight - counts[str(other)] / others
            assert abs(difference) <= 1 / weight + 1 / others + 1e-9
