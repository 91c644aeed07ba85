"""The response cache: what is kept and given again."""

from __future__ import annotations

import asyncio

import pytest

from meshd.gateway.frontends.exchange import ClientGone, Reply
from meshd.gateway.requests.outcome import Served
from meshd.routing.table.specs import PoolSpec
from modelmesh import ProviderError
from tests.support.gateway.cache_world import JSON, MESH, RENEWED, USAGE, A, App, World, body, end


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


async def test_asked_again_the_new_answer_takes_the_place_of_the_old():
    world = World()
    await world.answered(body(b"old"))
    await world.answered(body(b"new"), lookup=RENEWED)
    assert (await world.hit()).told[0][1] == b"new"
    assert world.cache.statistics()["chat"]["entries"] == 1


async def test_an_answer_that_began_before_it_was_asked_again_does_not_replace_the_newer():
    world = World()
    old, new = world.ask(), world.ask(RENEWED)
    await world.settle()
    await world.tell(1, body(b"new"))
    await world.tell(0, body(b"old"))
    assert (old.told[0][1], new.told[0][1]) == (b"old", b"new")
    assert (await world.hit()).told[0][1] == b"new"


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


async def test_an_app_that_is_gone_when_a_kept_stream_is_given():
    world = World()
    await world.answered(b"1", end())
    app = App()
    app.gone = True
    world.ask(app=app)
    await world.settle()
    assert isinstance(app.task.exception(), ClientGone)
    assert app.cached == [Served(499, "chat", "p.m", "p", False, "the app disconnected")]
