"""How long answers are kept, and which go first when the room is used up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshd.gateway.cache import shelf as caching
from meshd.routing.request.cache_key import Lookup
from meshd.routing.table.policies import CachePolicy
from tests.support.gateway.cache_world import MESH, B, World, body, end


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
    size = caching.ENTRY_BYTES + 1000
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
    size = caching.ENTRY_BYTES + 100
    world = World(max_size=4 * size)
    await world.answered(body(bytes(101)))
    assert await world.hit() is None
    await world.answered(b"x" * (101 - caching.CHUNK_BYTES), end())  # a chunk's own weight counts
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
