"""Events reach everyone who follows them, at the cost of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from meshd import messages
from meshd.core.caller import Peer
from meshd.core.events.event_type import EventType
from meshd.core.events.records import Event
from meshd.gateway.access.rights import Reader
from meshd.gateway.control.watching.event_feed import BACKLOG, EventFeed
from tests.support.gateway.builder import MAIL, ROOT, Gateway

ALL: frozenset[str] = frozenset()
OTHER = Peer(uid=2000, name="other")


class Feed:
    """An EventFeed, and the telemetry actor that it subscribes to."""

    def __init__(self) -> None:
        gateway = Gateway()
        self.told: list[Any] = []
        self.feed = EventFeed(
            lambda _, message: self.told.append(message),
            lambda caller: Reader.of(caller, gateway.runtime.apps, gateway.runtime.table),
        )

    def happens(self, type: EventType = EventType.CLIENT_LOST, uid: int = MAIL.uid, reason: str = "") -> None:
        self.told[0].listener(Event(type, 1, reason=reason, uid=uid, account="default"))


class Follower:
    """Reads until it is stopped."""

    def __init__(self, feed: Feed, caller: Peer = ROOT, types: frozenset[str] = ALL) -> None:
        self.got: list[msgspec.Raw] = []
        self.stream = feed.feed.follow(caller, types)
        self.task = asyncio.get_running_loop().create_task(self._read(self.stream))

    async def _read(self, stream: AsyncGenerator[msgspec.Raw]) -> None:
        async with aclosing(stream):
            async for event in stream:
                self.got.append(event)

    @property
    def reasons(self) -> list[str]:
        return [msgspec.json.decode(event)["reason"] for event in self.got]

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def laps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_all_share_one_subscription_and_one_copy_of_each_event():
    feed = Feed()
    followers = [Follower(feed) for _ in range(50)]
    await laps(3)
    for number in range(10):
        feed.happens(reason=str(number))
    await laps(200)
    for follower in followers:
        assert follower.reasons == [str(number) for number in range(10)]
        assert all(one is other for one, other in zip(follower.got, followers[0].got, strict=True)), "written once"
    for follower in followers:
        await follower.stop()
    assert [type(message) for message in feed.told] == [messages.Subscribe, messages.Unsubscribe]
    assert feed.told[0].listener == feed.told[1].listener


async def test_each_sees_its_own_and_what_it_asked_for():
    feed = Feed()
    lost = frozenset({"client_lost"})
    root, mail, other, typed = (Follower(feed), Follower(feed, MAIL), Follower(feed, OTHER), Follower(feed, ROOT, lost))
    await laps(3)
    feed.happens(reason="of mail")
    feed.happens(EventType.CLIENT_CONNECTED, OTHER.uid, "of other")
    await laps(20)
    assert root.reasons == ["of mail", "of other"]
    assert mail.reasons == typed.reasons == ["of mail"]
    assert other.reasons == ["of other"]
    for follower in (root, mail, other, typed):
        await follower.stop()


@pytest.mark.parametrize("types", [ALL, frozenset({"client_lost"})])
async def test_who_does_not_read_is_told_how_many_it_missed(types: frozenset[str]):
    feed = Feed()
    stream = feed.feed.follow(ROOT, types)
    first = asyncio.ensure_future(anext(stream))
    await laps(3)
    feed.happens(reason="0")
    async with asyncio.timeout(20):
        await first
        for number in range(1, BACKLOG + 51):
            feed.happens(reason=str(number))
            await laps(2)
        await laps(BACKLOG)
        got = [msgspec.json.decode(await anext(stream)) for _ in range(BACKLOG)]
        assert [event["reason"] for event in got] == [str(number) for number in range(1, BACKLOG + 1)]
        missed = msgspec.json.decode(await anext(stream))
        assert (missed["type"], missed["changed"]) == ("events_missed", {"missed": 50})
        assert missed.keys() == got[0].keys()
        feed.happens(reason="later")
        assert msgspec.json.decode(await anext(stream))["reason"] == "later"
    await stream.aclose()


async def test_many_followers_read_few_at_a_time():
    feed = Feed()
    followers = [Follower(feed) for _ in range(200)]
    await laps(3)
    for _ in range(100):
        feed.happens()
    had = most = 0
    async with asyncio.timeout(20):
        while had < 200 * 100:
            await asyncio.sleep(0)
            has = sum(len(follower.got) for follower in followers)
            had, most = has, max(most, has - had)
    assert most <= 32
    for follower in followers:
        await follower.stop()
