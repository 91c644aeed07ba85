"""Apps that leave a request that is shared, and requests that fail or end for all who share them."""

from __future__ import annotations

import asyncio
import time

import pytest

from meshd.gateway.cache import shared_request
from meshd.gateway.frontends.exchange import ClientGone, Deadline
from modelmesh import BudgetExceededError, ProviderError
from tests.support.gateway.cache_world import JSON, MESH, App, World, body, end


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
    assert leader.cached == []  # its request is recorded by how it ended
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


def test_a_stream_that_no_app_reads_is_not_followed():
    shared = shared_request.SharedRequest(1, Deadline.after(time.time(), 1))
    with shared.read():
        assert shared.open_to(0)
    assert not shared.open_to(0)


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


# -- failures -----------------------------------------------------------------------------------------


async def test_a_leaders_failure_is_its_own():
    """It may be out of budget or time; the others ask again, once for all of them."""
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


async def test_a_stream_that_breaks_is_an_error_for_those_who_had_of_it():
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


async def test_a_request_that_is_ended_from_outside_leaves_no_other_waiting():
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
