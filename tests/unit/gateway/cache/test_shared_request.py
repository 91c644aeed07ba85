"""The same request is asked once at a time: those who follow get what the leader gets."""

from __future__ import annotations

import asyncio

import pytest

from meshd.gateway.cache import cache as caching
from meshd.gateway.cache import shared_request
from meshd.gateway.cache.shelf import ENTRY_BYTES
from meshd.gateway.frontends.exchange import Reply
from meshd.gateway.requests.outcome import Served
from modelmesh import ProviderError
from tests.support.gateway.cache_world import MESH, USAGE, App, B, World, body, end


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
    assert world.provider.replies[0].sent == 3 + shared_request.AHEAD
    slower.reply.add_credit(10)
    await world.settle()
    assert world.provider.replies[0].sent == 11 + shared_request.AHEAD
    slow.reply.add_credit(1000)
    slower.reply.add_credit(1000)
    await world.settle()
    assert (slow.how, slower.how) == ("end", "end")


async def test_what_waits_for_a_slow_follower_is_bounded(monkeypatch):
    monkeypatch.setattr(caching, "HELD_BYTES", 100)
    world = World(max_size=4 * (ENTRY_BYTES + 1000))
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
    monkeypatch.setattr(caching, "HELD_BYTES", 100)
    world = World(max_size=40)
    leader = world.ask()
    await world.settle()
    most = 0
    shared = world.provider.replies[0].shared
    for _ in range(50):
        await world.tell(0, b"0123456789")
        most = max(most, shared.size)
    await world.tell(0, end())
    assert len(leader.text) == 500
    assert most <= 110
    assert shared.dropped


async def test_the_end_of_a_stream_too_long_to_be_kept_is_not_kept_for_the_whole(monkeypatch):
    monkeypatch.setattr(caching, "HELD_BYTES", 100)
    world = World(max_size=4 * (ENTRY_BYTES + 1000))
    leader = world.ask()
    await world.settle()
    for _ in range(25):
        await world.tell(0, bytes(100))
    assert 0 < world.provider.replies[0].shared.size < 1000
    await world.tell(0, end())
    assert (len(leader.text), leader.how) == (2500, "end")
    assert await world.hit() is None


async def test_a_slow_follower_that_leaves_delays_no_other(monkeypatch):
    monkeypatch.setattr(caching, "HELD_BYTES", 100)
    world = World(max_size=40)
    leader, follower = world.ask(), world.ask(app=App(credit=0))
    await world.settle()
    await world.tell(0, *[bytes(100)] * 10, end())
    assert not leader.done
    follower.cancel()
    await world.settle()
    assert (len(leader.text), leader.how) == (1000, "end")


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
        (shared_request.PLENTY + 1, 3600, True),
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


async def test_a_request_without_a_taker_ends_at_its_deadline():
    world = World()
    leader = world.ask(app=App(timeout=0.05, credit=0))
    await world.settle()
    for _ in range(shared_request.AHEAD + 1):
        world.provider.steps[0].put_nowait(b"1")
    await asyncio.wait_for(asyncio.wait([leader.task]), 5)
    assert leader.told == [("error", "timeout", 504)]
    assert isinstance(world.provider.replies[0].shared.bug, TimeoutError)
