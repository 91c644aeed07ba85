"""What a reload, another scope or a command does to the answers that are kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshd.gateway.cache import shelf as caching
from meshd.routing.request.cache_key import Lookup
from meshd.routing.table.policies import CachePolicy
from meshd.routing.table.specs import ModelSpec, PoolSpec
from modelmesh import ProviderError
from tests.support.gateway.cache_world import MESH, B, World, body


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
    room = 3 * (caching.ENTRY_BYTES + 1000)
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
