"""The response cache: what is kept and given again, and that the same request is asked once at a time.

No I/O, and no clock but the deadlines of exchanges: the loop is turned by hand until nothing moves any more.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.gateway.cache import cache as caching
from meshd.gateway.cache import shared_request as flying
from meshd.gateway.cache.cache import ResponseCache, Served
from meshd.gateway.frontends.exchange import ClientGone, Deadline, Reply
from meshd.routing.request.cache_key import Lookup
from meshd.routing.table.capabilities import CapabilityTree
from meshd.routing.table.policies import CachePolicy
from meshd.routing.table.specs import ModelSpec, PoolSpec, RoutingTable
from modelmesh import BudgetExceededError, MeshError, ProviderError
from tests.support.gateway.asked import Asked

MESH = {"pool": "chat", "model": "p.m", "provider": "p", "cost": 0.5, "routing_time": 0.1, "attempts": [{}]}
JSON = {"content-type": "application/json"}
USAGE = {"total_tokens": 3}
A, B = Lookup(b"a"), Lookup(b"b")
ANEW = replace(A, read=False)


class App(Asked):
    """An app's end: what it was told, in order. `gone`: what is sent to it finds nobody."""

    def __init__(self, *, timeout: float = 100.0, credit: int = 1000) -> None:
        super().__init__(timeout=timeout, credit=credit)
        self.told: list[Any] = []
        self.cached: list[Served] = []
        self.gone = False

    def on_respond(self, body, mesh, headers):
        self.told.append(("respond", body, mesh, headers))

    def on_error(self, error):
        self.told.append(("error", error.code, error.status_code))

    def on_end(self, usage, mesh):
        self.told.append(("end", usage, mesh))

    def on_chunk(self, data):
        if self.gone:
            raise ClientGone
        self.told.append(data)

    @property
    def text(self) -> bytes:
        return b"".join(each for each in self.told if isinstance(each, bytes))

    @property
    def done(self) -> bool:
        return self.reply.done

    @property
    def how(self) -> str | None:
        return self.told[-1][0] if self.done else None

    @property
    def mesh(self) -> dict[str, Any]:
        return self.told[-1][2]


@dataclass
class Provider:
    """What requests run into: each waits to be told what happens to it, by its number."""

    replies: list[Reply] = field(default_factory=list)
    steps: list[asyncio.Queue[Any]] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)

    async def run(self, reply: Reply) -> bool:
        number, steps = len(self.replies), asyncio.Queue()
        self.replies.append(reply)
        self.steps.append(steps)
        try:
            while True:
                step = await steps.get()
                if isinstance(step, bytes):
                    await reply.chunk(step)
                elif isinstance(step, MeshError):
                    reply.error(step)
                    return False
                elif isinstance(step, Exception):
                    raise step
                else:
                    return step(reply)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            reply.error(MeshError("cancelled", status_code=499, code="cancelled"))
            raise


def body(text: bytes, keep: bool = True, mesh: dict[str, Any] = MESH) -> Any:
    def step(reply: Reply) -> bool:
        reply.respond(text, mesh, JSON)
        return keep

    return step


def end(keep: bool = True, mesh: dict[str, Any] = MESH) -> Any:
    def step(reply: Reply) -> bool:
        reply.end(USAGE, mesh)
        return keep

    return step


class World:
    """A cache of the pool `chat`, its clock, and the provider behind it."""

    def __init__(self, **policy: Any) -> None:
        self.now = 1000.0
        self.provider = Provider()
        self.tasks: list[asyncio.Task[None]] = []
        self.cache = ResponseCache(clock=lambda: self.now)
        self.configure(**policy)

    def configure(self, models: tuple[ModelSpec, ...] = (), pools: tuple[PoolSpec, ...] = (), **policy: Any) -> None:
        specs = models or (ModelSpec("p.m", "p", "m", ("x",)),)
        chat = PoolSpec("chat", "", tuple(spec.id for spec in specs), cache=CachePolicy(**policy))
        self.pool = next((pool for pool in pools if pool.name == "chat"), chat)
        self.cache.configure(RoutingTable(CapabilityTree.default(), specs, (), pools or (chat,)))

    def ask(self, lookup: Lookup | None = A, app: App | None = None, pool: PoolSpec | None = None) -> App:
        app = app or App()
        work = self.cache.answer(app, pool or self.pool, lookup, self.provider.run, app.cached.append)
        app.task = asyncio.create_task(work)
        self.tasks.append(app.task)
        return app

    async def settle(self, turns: int = 30) -> None:
        """Until nothing moves any more: a turn for each wake-up of a chain, and a good many to spare."""
        for _ in range(turns):
            await asyncio.sleep(0)

    async def tell(self, number: int, *steps: Any) -> None:
        for step in steps:
            self.provider.steps[number].put_nowait(step)
        await self.settle(30 + len(steps))

    async def answered(self, *steps: Any, lookup: Lookup = A, pool: PoolSpec | None = None) -> App:
        """A request that is asked, and gets this."""
        asked = len(self.provider.replies)
        app = self.ask(lookup, pool=pool)
        await self.settle()
        assert len(self.provider.replies) == asked + 1, "it was answered without being asked"
        await self.tell(asked, *steps)
        assert app.done
        return app

    async def hit(self, lookup: Lookup = A, pool: PoolSpec | None = None) -> App | None:
        """A request's app where it is answered without being asked, else None (and it is taken back)."""
        asked = len(self.provider.replies)
        app = self.ask(lookup, pool=pool)
        await self.settle()
        if len(self.provider.replies) == asked:
            return app
        app.cancel()
        await self.settle()
        return None

    @property
    def asked(self) -> int:
        return len(self.provider.replies)

    @property
    def counts(self) -> tuple[int, int, int]:
        of = self.cache.statistics()["chat"]
        return of["hits"], of["coalesced"], of["misses"]


# -- what is kept -------------------------------------------------------------------------------------


async def test_an_answer_is_given_again_free_and_says_so():
    world = World()
    first = await world.answered(body(b"one"))
    assert first.told == [("respond", b"one", MESH, JSON)]
    assert first.cached == []
    world.now += 7
    second = await world.hit()
    mesh = {"pool": "chat", "model": "p.m", "provider": "p", "routing_time": 0.0, "queue_time": 0.0, "cost": 0.0}
    assert second.told == [("respond", b"one", {**mesh, "cached": True, "age": 7.0}, JSON)]
    assert second.cached == [Served(200, "chat", "p.m", "p", False)]
    assert not second.begun
    assert world.counts == (1, 0, 1)


async def test_a_stream_is_given_again_as_a_stream():
    world = World()
    chunks = [b"%d " % number for number in range(200)]
    await world.answered(*chunks, end())
    again = await world.hit()
    assert again.told[:-1] == chunks
    assert again.told[-1][:2] == ("end", USAGE)
    assert again.mesh["cached"]
    assert "coalesced" not in again.mesh


async def test_a_stream_given_again_keeps_to_the_apps_credit():
    world = World()
    await world.answered(b"1", b"2", b"3", end())
    app = world.ask(app=App(credit=2))
    await world.settle()
    assert app.told == [b"1", b"2"]
    app.reply.add_credit(1)
    await world.settle()
    assert (app.text, app.how) == (b"123", "end")


async def test_a_long_stream_given_again_lets_others_have_their_turn():
    world = World()
    await world.answered(*[b"x"] * 500, end())
    app, seen = world.ask(), set()
    for _ in range(20):
        await asyncio.sleep(0)
        seen.add(len(app.text))
    assert len(seen) > 5
    assert app.done


@pytest.mark.parametrize("wrong", [body(b"x", keep=False), ProviderError("no"), end(keep=False)])
async def test_neither_errors_are_kept_nor_what_must_not_be(wrong):
    world = World()
    await world.answered(wrong)
    assert await world.hit() is None


async def test_what_has_no_key_is_asked_with_its_own_reply_and_not_counted():
    world = World()
    app = world.ask(None)
    await world.settle()
    assert world.provider.replies == [app.reply]
    await world.tell(0, body(b"one"))
    assert app.told[0][1] == b"one"
    assert world.counts == (0, 0, 0)


async def test_so_is_what_is_asked_of_a_pool_without_a_cache():
    world = World()
    app = world.ask(A, pool=PoolSpec("other", "", ()))
    await world.settle()
    assert world.provider.replies == [app.reply]
    app.cancel()


async def test_asked_anew_the_new_answer_takes_the_place_of_the_old():
    world = World()
    await world.answered(body(b"old"))
    await world.answered(body(b"new"), lookup=ANEW)
    assert (await world.hit()).told[0][1] == b"new"
    assert world.cache.statistics()["chat"]["entries"] == 1


async def test_an_answer_that_began_before_it_was_asked_anew_does_not_replace_the_newer():
    world = World()
    old, new = world.ask(), world.ask(ANEW)
    await world.settle()
    await world.tell(1, body(b"new"))
    await world.tell(0, body(b"old"))
    assert (old.told[0][1], new.told[0][1]) == (b"old", b"new")
    assert (await world.hit()).told[0][1] == b"new"


# -- how long, and how much ---------------------------------------------------------------------------


async def test_an_answer_is_kept_for_its_time():
    world = World(ttl=10)
    await world.answered(body(b"one"))
    world.now += 9.9
    assert await world.hit()
    world.now += 0.1
    assert await world.hit() is None
    assert world.cache.statistics()["chat"]["bytes"] == 0


async def test_what_has_expired_is_swept_out():
    world = World(ttl=10)
    await world.answered(body(b"one"))
    world.now += 5
    await world.answered(body(b"two"), lookup=B)
    world.now += 5
    world.cache.sweep()
    assert world.cache.statistics()["chat"]["entries"] == 1
    assert await world.hit(B)


async def test_the_longest_unused_goes_first():
    size = caching._PER_ENTRY + 1000
    world = World(max_size=4 * size)
    lookups = [Lookup(b"%d" % number) for number in range(5)]
    for lookup in lookups[:4]:
        await world.answered(body(bytes(1000)), lookup=lookup)
    assert world.cache.statistics()["chat"] == {
        "entries": 4,
        "bytes": 4 * size,
        "max_size": 4 * size,
        "hits": 0,
        "coalesced": 0,
        "misses": 4,
    }
    assert await world.hit(lookups[0])
    await world.answered(body(bytes(1000)), lookup=lookups[4])
    assert world.cache.statistics()["chat"]["bytes"] == 4 * size
    assert [await world.hit(lookup) is not None for lookup in lookups] == [True, False, True, True, True]


async def test_no_answer_takes_more_than_a_quarter():
    size = caching._PER_ENTRY + 100
    world = World(max_size=4 * size)
    await world.answered(body(bytes(101)))
    assert await world.hit() is None
    await world.answered(b"x" * (101 - caching._PER_CHUNK), end())  # a chunk's own weight counts
    assert await world.hit() is None
    await world.answered(body(bytes(100)))
    assert await world.hit()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3000), st.integers(0, 20)), max_size=40))
def test_sizes_add_up_and_never_exceed_the_most(steps):
    shelf, now = caching.Shelf(CachePolicy(ttl=30, max_size=10_000)), 0.0
    for key, size, passed in steps:
        now += passed
        shelf.put(b"%d" % key, caching.Entry(bytes(size), None, (), None, MESH, now))
        shelf.find(b"%d" % (key // 2), now)
        if passed == 7:
            shelf.sweep(now)
        assert shelf.size == sum(entry.size for entry in shelf.entries.values()) <= 10_000


def test_a_users_answers_are_not_pushed_out_by_anothers():
    shelf = caching.Shelf(CachePolicy(ttl=30, max_size=20_000))
    entry = caching.Entry(bytes(100), None, (), None, MESH, 0.0)
    for number in range(3):
        shelf.put(b"ann%d" % number, entry, 1000)
    for number in range(200):
        shelf.put(b"ben%d" % number, entry, 1001)
    assert all(shelf.find(b"ann%d" % number, 1.0) for number in range(3))
    assert shelf.find(b"ben199", 1.0)
    assert shelf.size <= 20_000


# -- reload -------------------------------------------------------------------------------------------


async def test_a_reload_changes_the_time_of_what_is_kept_already():
    world = World(ttl=10)
    await world.answered(body(b"one"))
    world.now += 20
    world.configure(ttl=30)
    assert await world.hit()
    world.configure(ttl=15)
    assert await world.hit() is None


async def test_a_reload_with_less_room_lets_go_at_once():
    world = World()
    for number in range(8):
        await world.answered(body(bytes(1000)), lookup=Lookup(b"%d" % number))
    room = 3 * (caching._PER_ENTRY + 1000)
    world.configure(max_size=room)
    assert world.cache.statistics()["chat"]["entries"] == 3
    assert world.cache.statistics()["chat"]["bytes"] == room
    assert world.counts == (0, 0, 8)


async def test_another_scope_begins_with_nothing():
    world = World()
    await world.answered(body(b"one"))
    world.configure(scope="shared")
    assert world.cache.statistics()["chat"]["entries"] == 0


async def test_a_pool_that_keeps_nothing_any_more_has_nothing():
    world = World()
    await world.answered(body(b"one"))
    world.configure(pools=(PoolSpec("chat", "", ("p.m",)),))
    assert world.cache.statistics() == {}
    world.configure()
    assert await world.hit() is None


OLD = ModelSpec("p.m", "p", "m", ("x",))


@pytest.mark.parametrize(
    ("after", "stands"),
    [
        (OLD, True),
        (replace(OLD, weight=3.0), True),
        (replace(OLD, id="p.n"), False),
        (replace(OLD, upstream="m2"), False),
        (replace(OLD, provider="q"), False),
        (replace(OLD, defaults={"top_p": 1}), False),
        (replace(OLD, overrides={"top_p": 1}), False),
    ],
)
async def test_answers_go_whose_model_would_not_give_them_any_more(after, stands):
    world = World()
    world.configure(models=(OLD,))
    await world.answered(body(b"one"))
    world.configure(models=(after,))
    assert (await world.hit() is not None) is stands


async def test_a_model_may_be_in_the_pool_or_where_it_falls_back_on():
    policy = CachePolicy()
    models = (OLD, ModelSpec("p.n", "p", "n", ("x",)))
    chat = PoolSpec("chat", "", ("p.n",), cache=policy, fallback_pools=("more", "nowhere"))
    more = PoolSpec("more", "", ("p.m",), fallback_pools=("chat",))
    world = World()
    world.configure(models, (chat, more))
    await world.answered(body(b"one"))
    world.configure(models, (chat, more))
    assert await world.hit()
    world.configure(models, (replace(chat, fallback_pools=()), more))
    assert await world.hit() is None


async def test_what_is_under_way_at_a_reload_is_neither_followed_nor_kept():
    world = World()
    old = world.ask()
    await world.settle()
    world.configure()
    new = world.ask()
    await world.settle()
    assert world.asked == 2
    await world.tell(1, body(b"new"))
    await world.tell(0, body(b"old"))
    assert (old.told[0][1], new.told[0][1]) == (b"old", b"new")
    assert (await world.hit()).told[0][1] == b"new"


async def test_an_answer_that_comes_after_its_pools_cache_went_is_an_answer():
    world = World()
    first, second = world.ask(), world.ask()
    await world.settle()
    world.configure(pools=(PoolSpec("chat", "", ("p.m",)),))
    await world.tell(0, body(b"one"))
    assert (first.how, second.how) == ("respond", "respond")


async def test_a_follower_whose_cache_went_asks_by_itself():
    world = World()
    world.ask()
    second = world.ask()
    await world.settle()
    world.configure(pools=(PoolSpec("chat", "", ("p.m",)),))
    await world.tell(0, ProviderError("no"))
    await world.tell(1, body(b"one"))
    assert second.told[0][1] == b"one"


async def test_a_model_asked_by_its_name_counts_in_the_pool_that_it_is_in():
    world = World()
    by_name = replace(world.pool, name="p.m")
    await world.answered(body(b"one"), pool=by_name)
    assert world.cache.statistics()["chat"]["entries"] == 1
    assert await world.hit(pool=by_name)
    assert list(world.cache.statistics()) == ["chat"]


async def test_answers_of_a_provider_can_be_forgotten_and_all_of_them():
    world = World()
    await world.answered(body(b"one"))
    await world.answered(body(b"two", mesh={**MESH, "provider": "q"}), lookup=B)
    world.cache.clear("p")
    assert await world.hit() is None
    assert await world.hit(B)
    world.cache.clear()
    assert world.cache.statistics()["chat"]["bytes"] == 0


# -- the same request under way -----------------------------------------------------------------------


async def test_the_same_request_is_asked_once_at_a_time():
    world = World()
    apps = [world.ask() for _ in range(5)]
    other = world.ask(B)
    await world.settle()
    assert world.asked == 2
    await world.tell(0, body(b"one"))
    assert [app.told[0][:2] for app in apps] == [("respond", b"one")] * 5
    assert not other.done
    assert apps[0].mesh == MESH
    for app in apps[1:]:
        assert (app.mesh["cost"], app.mesh["cached"], app.mesh["coalesced"]) == (0.0, True, True)
        assert "age" not in app.mesh
        assert app.cached == [Served(200, "chat", "p.m", "p", True)]
    assert world.counts == (0, 4, 2)
    other.cancel()


async def test_a_follower_gets_a_streams_chunks_as_they_come_and_those_before_it():
    world = World()
    leader = world.ask()
    await world.settle()
    await world.tell(0, b"1", b"2")
    follower = world.ask()
    await world.settle()
    assert (leader.text, follower.text) == (b"12", b"12")
    await world.tell(0, b"3")
    assert (leader.text, follower.text) == (b"123", b"123")
    await world.tell(0, end())
    assert leader.told[-1] == ("end", USAGE, MESH)
    assert follower.told[-1][:2] == ("end", USAGE)
    assert follower.mesh["coalesced"]
    assert (await world.hit()).text == b"123"


async def test_a_slow_follower_does_not_slow_the_leader_nor_the_other_way_round():
    world = World()
    leader, follower = world.ask(app=App(credit=1)), world.ask()
    await world.settle()
    await world.tell(0, *[b"x"] * 20, end())
    assert (leader.text, follower.text, follower.how) == (b"x", b"x" * 20, "end")
    leader.reply.add_credit(100)
    await world.settle()
    assert (leader.text, leader.how) == (b"x" * 20, "end")


async def test_a_provider_is_not_read_faster_than_the_fastest_takes():
    world = World()
    slow, slower = world.ask(app=App(credit=3)), world.ask(app=App(credit=1))
    await world.settle()
    await world.tell(0, *[b"x"] * 100, end())
    assert world.provider.replies[0].sent == 3 + flying.AHEAD
    slower.reply.add_credit(10)
    await world.settle()
    assert world.provider.replies[0].sent == 11 + flying.AHEAD
    slow.reply.add_credit(1000)
    slower.reply.add_credit(1000)
    await world.settle()
    assert (slow.how, slower.how) == ("end", "end")


async def test_what_waits_for_a_slow_follower_is_bounded(monkeypatch):
    monkeypatch.setattr(caching, "_HELD", 100)
    world = World(max_size=4 * (caching._PER_ENTRY + 1000))
    world.configure(max_size=40)
    leader, follower = world.ask(), world.ask(app=App(credit=1))
    await world.settle()
    await world.tell(0, *[b"%010d" % number for number in range(50)], end())
    assert leader.text.count(b"0" * 8) < 20  # the follower has a hundred bytes or so to catch up with
    late = world.ask()
    await world.settle()
    assert (late.told, world.asked) == ([], 2)  # the beginning is there no more: it is not followed
    late.cancel()
    follower.reply.add_credit(1000)
    await world.settle()
    expected = b"".join(b"%010d" % number for number in range(50))
    assert (leader.text, follower.text) == (expected, expected)
    assert (leader.how, follower.how) == ("end", "end")
    assert world.cache.statistics()["chat"]["entries"] == 0


async def test_a_stream_too_long_to_be_kept_is_let_go_of_as_it_passes(monkeypatch):
    monkeypatch.setattr(caching, "_HELD", 100)
    world = World(max_size=40)
    leader = world.ask()
    await world.settle()
    most = 0
    flight = world.provider.replies[0].shared
    for _ in range(50):
        await world.tell(0, b"0123456789")
        most = max(most, flight.size)
    await world.tell(0, end())
    assert len(leader.text) == 500
    assert most <= 110
    assert flight.dropped


async def test_an_answer_can_be_had_before_its_request_has_quite_ended():
    world, answered, ending = World(), asyncio.Event(), asyncio.Event()

    async def run(reply: Reply) -> bool:
        reply.respond(b"one", MESH, JSON)
        answered.set()
        await ending.wait()
        return True

    first = App()
    task = asyncio.create_task(world.cache.answer(first, world.pool, A, run, first.cached.append))
    await answered.wait()
    second = await world.hit()
    assert (first.told[0][1], second.told[0][1]) == (b"one", b"one")
    assert second.mesh["coalesced"]
    ending.set()
    await task
    await world.settle()
    assert "age" in (await world.hit()).mesh


async def test_the_end_of_a_stream_too_long_to_be_kept_is_not_kept_for_the_whole(monkeypatch):
    monkeypatch.setattr(caching, "_HELD", 100)
    world = World(max_size=4 * (caching._PER_ENTRY + 1000))
    leader = world.ask()
    await world.settle()
    for _ in range(25):
        await world.tell(0, bytes(100))
    assert 0 < world.provider.replies[0].shared.size < 1000
    await world.tell(0, end())
    assert (len(leader.text), leader.how) == (2500, "end")
    assert await world.hit() is None


async def test_a_slow_follower_that_leaves_holds_nobody_up_any_more(monkeypatch):
    monkeypatch.setattr(caching, "_HELD", 100)
    world = World(max_size=40)
    leader, follower = world.ask(), world.ask(app=App(credit=0))
    await world.settle()
    await world.tell(0, *[bytes(100)] * 10, end())
    assert not leader.done
    follower.cancel()
    await world.settle()
    assert (len(leader.text), leader.how) == (1000, "end")


# -- who leaves ---------------------------------------------------------------------------------------


async def test_a_leader_that_leaves_takes_nothing_from_those_who_follow():
    world = World()
    leader, follower = world.ask(), world.ask()
    await world.settle()
    await world.tell(0, b"1")
    leader.cancel()
    await world.settle()
    assert leader.told == [b"1", ("error", "cancelled", 499)]
    assert world.provider.cancelled == []
    await world.tell(0, b"2", end())
    assert (follower.text, follower.how, world.asked) == (b"12", "end", 1)
    assert leader.cached == []  # its request is recorded by what became of it
    assert await world.hit()


async def test_the_last_to_leave_cancels_what_is_under_way():
    world = World()
    leader, follower = world.ask(), world.ask()
    await world.settle()
    leader.cancel()
    await world.settle()
    follower.cancel()
    newcomer = world.ask()  # comes just when what is under way is being cancelled
    await world.settle()
    assert world.provider.cancelled == [0]
    assert follower.told == [("error", "cancelled", 499)]
    assert [each.status for each in follower.cached] == [499]
    assert world.asked == 2
    await world.tell(1, body(b"one"))
    assert newcomer.told[0][1] == b"one"


def test_what_nobody_takes_is_not_followed():
    flight = flying.SharedRequest(1, Deadline.after(time.time(), 1))
    with flight.read():
        assert flight.open_to(0)
    assert not flight.open_to(0)


async def test_a_leader_alone_that_leaves_is_cancelled_upstream():
    world = World()
    leader = world.ask()
    await world.settle()
    leader.cancel()
    await world.settle()
    assert world.provider.cancelled == [0]
    assert leader.task.cancelled()


@pytest.mark.parametrize("turns", range(5))
async def test_cancelled_as_soon_as_it_came(turns):
    world = World()
    leader, follower = world.ask(), world.ask()
    for _ in range(turns):
        await asyncio.sleep(0)
    leader.cancel()
    follower.cancel()
    await world.settle()
    assert (leader.task.cancelled(), follower.task.cancelled()) == (True, True)
    assert world.provider.cancelled == list(range(world.asked))
    assert (await world.answered(body(b"one"))).how == "respond"


async def test_apps_that_are_gone_when_a_chunk_comes():
    world = World()
    leader, follower, third = world.ask(), world.ask(), world.ask()
    await world.settle()
    leader.gone = follower.gone = True
    await world.tell(0, b"1", end())
    assert (leader.told, follower.told, third.text) == ([], [], b"1")
    assert [type(app.task.exception()) for app in (leader, follower)] == [ClientGone, ClientGone]
    assert [each.status for each in follower.cached] == [499]


async def test_an_app_that_is_gone_when_a_kept_stream_is_given():
    world = World()
    await world.answered(b"1", end())
    app = App()
    app.gone = True
    world.ask(app=app)
    await world.settle()
    assert isinstance(app.task.exception(), ClientGone)
    assert app.cached == [Served(499, "chat", "p.m", "p", False, "the app went away")]


# -- deadlines ----------------------------------------------------------------------------------------


async def test_a_follower_has_its_own_deadline():
    world = World()
    leader, follower = world.ask(), world.ask(app=App(timeout=0.05))
    await asyncio.wait_for(follower.task, 5)
    assert follower.told == [("error", "timeout", 504)]
    assert [each.status for each in follower.cached] == [504]
    await world.tell(0, body(b"one"))
    assert leader.how == "respond"


@pytest.mark.parametrize(
    ("leaders", "own", "follows"),
    [
        (5, 4, True),
        (5, 9, True),
        (5, 11, False),
        (5, 3600, False),
        (flying.PLENTY + 1, 3600, True),
        (0.01, 3600, False),
    ],
)
async def test_it_follows_only_what_has_time_enough(leaders, own, follows):
    world = World()
    leader, other = world.ask(app=App(timeout=leaders)), world.ask(app=App(timeout=own))
    await world.settle()
    assert world.asked == (1 if follows else 2)
    leader.cancel()
    other.cancel()


async def test_a_leader_that_takes_nothing_until_its_deadline_is_told_what_its_request_says():
    world = World()
    leader = world.ask(app=App(timeout=0.05, credit=0))
    await world.settle()

    def late(reply: Reply) -> bool:
        reply.error(ProviderError("too late", code="late"))
        return False

    world.provider.steps[0].put_nowait(b"1")
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.1, world.provider.steps[0].put_nowait, late)
    await asyncio.wait_for(leader.task, 5)
    assert leader.told == [("error", "late", 502)]


async def test_or_that_it_took_nothing():
    world = World()
    leader = world.ask(app=App(timeout=0.05, credit=0))
    await world.settle()
    await world.tell(0, b"1", end())
    await asyncio.wait_for(leader.task, 5)
    assert leader.told == [("error", "timeout", 504)]


async def test_a_request_that_nobody_takes_hears_of_its_deadline():
    world = World()
    leader = world.ask(app=App(timeout=0.05, credit=0))
    await world.settle()
    for _ in range(flying.AHEAD + 1):
        world.provider.steps[0].put_nowait(b"1")
    await asyncio.wait_for(asyncio.wait([leader.task]), 5)
    assert leader.told == [("error", "timeout", 504)]
    assert isinstance(world.provider.replies[0].shared.bug, TimeoutError)


# -- failures -----------------------------------------------------------------------------------------


async def test_a_leaders_failure_is_its_own():
    """It may be out of budget, or in a hurry; the others ask again, once for all of them."""
    world = World()
    apps = [world.ask() for _ in range(4)]
    await world.settle()
    await world.tell(0, BudgetExceededError("no money"))
    assert [app.how for app in apps] == ["error", None, None, None]
    assert world.asked == 2
    await world.tell(1, body(b"one"))
    assert [app.how for app in apps] == ["error", "respond", "respond", "respond"]
    assert [app.mesh.get("cost") for app in apps[1:]] == [0.5, 0.0, 0.0]


async def test_after_two_failures_everybody_asks_for_himself():
    world = World()
    apps = [world.ask() for _ in range(5)]
    await world.settle()
    await world.tell(0, ProviderError("no"))
    await world.tell(1, ProviderError("no"))
    assert world.asked == 5
    for number in (2, 3, 4):
        await world.tell(number, body(b"%d" % number))
    assert [app.how for app in apps] == ["error", "error", "respond", "respond", "respond"]
    assert await world.hit()


async def test_a_stream_that_breaks_off_is_an_error_for_those_who_had_of_it():
    world = World()
    leader, follower, starved = world.ask(), world.ask(), world.ask(app=App(credit=0))
    await world.settle()
    await world.tell(0, b"1", ProviderError("cut", code="cut"))
    assert leader.told == [b"1", ("error", "cut", 502)]
    assert follower.told == [b"1", ("error", "stream_interrupted", 502)]
    assert [each.status for each in follower.cached] == [502]
    # One that waits for room for its first chunk still has it to come.
    starved.reply.add_credit(100)
    await world.settle()
    assert starved.told == [b"1", ("error", "stream_interrupted", 502)]


async def test_a_bug_is_the_leaders_and_the_others_ask_again():
    world = World()
    leader, follower = world.ask(), world.ask()
    await world.settle()
    await world.tell(0, KeyError("bug"))
    assert isinstance(leader.task.exception(), KeyError)
    await world.tell(1, body(b"one"))
    assert follower.how == "respond"


async def test_a_bug_after_its_app_left_is_in_the_log(caplog):
    world = World()
    leader, follower = world.ask(), world.ask()
    await world.settle()
    leader.cancel()
    await world.settle()
    await world.tell(0, KeyError("bug"))
    assert "failed after its app had left" in caplog.text
    follower.cancel()


async def test_a_request_that_is_ended_from_outside_leaves_nobody_waiting():
    world = World()
    leader, follower = world.ask(), world.ask()
    await world.settle()
    world.provider.replies[0].shared.task.cancel()
    await world.settle()
    assert leader.told == [("error", "cancelled", 499)]
    await world.tell(1, body(b"one"))
    assert follower.how == "respond"


async def test_nor_one_that_ends_without_an_answer():
    world = World()
    leader, follower = world.ask(), world.ask()
    await world.settle()
    await world.tell(0, lambda reply: True)
    assert leader.told == [("error", "cancelled", 499)]
    await world.tell(1, body(b"one"))
    assert follower.how == "respond"
    assert world.cache.statistics()["chat"]["entries"] == 1


async def test_an_answer_ends_once():
    world = World()
    leader = world.ask()
    await world.settle()
    shared = world.provider.replies[0]
    await world.tell(0, body(b"one"))
    shared.error(ProviderError("too late"))
    shared.respond(b"two", {}, None)
    assert leader.told == [("respond", b"one", MESH, JSON)]
    assert (await world.hit()).told[0][1] == b"one"
