"""Events as they happen, for everyone who follows them.

Owns: the daemon's one subscription to telemetry, and the events that each follower has yet to read.
Must never: block the loop for many followers, or let an unread backlog grow.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Hashable

import msgspec

from meshd import messages
from meshd.core.caller import Caller
from meshd.core.events.event_type import EventType
from meshd.core.events.records import Event
from meshd.gateway.access.rights import Reader
from meshd.gateway.actors import Tell

BACKLOG = 1000
"""Events that are kept for a follower."""
_FOLLOWERS_AT_ONCE = 4  # that read before the loop does something else,
_EVENTS_AT_ONCE = 4  # and what each of them reads
_TIME = 0.0005  # s of giving out events before the loop does something else


class _Follower:
    """missed: events since its backlog was full, which are left out."""

    def __init__(self, caller: Caller, types: frozenset[str]) -> None:
        self.caller = caller
        self.types = types
        self.events: deque[msgspec.Raw] = deque()
        self.missed = 0
        self.turn = asyncio.Event()

    def put(self, event: msgspec.Raw) -> None:
        if self.missed or len(self.events) >= BACKLOG:
            self.missed += 1
        else:
            self.events.append(event)

    def next(self) -> msgspec.Raw | None:
        if self.events:
            return self.events.popleft()
        if self.missed:
            missed, self.missed = self.missed, 0
            return _encoded(_events_missed(missed))
        return None


class EventFeed:
    """reader: what a caller may see, by the rules of the moment."""

    def __init__(self, tell: Tell, reader: Callable[[Caller], Reader]) -> None:
        self._tell = tell
        self._reader = reader
        self._loop: asyncio.AbstractEventLoop | None = None
        self._followers: dict[_Follower, None] = {}
        self._come: deque[Event] = deque()  # from telemetry, and not given out yet
        self._scheduled = False
        self._with_events: dict[_Follower, None] = {}  # in the order of their turns
        self._turn: asyncio.Handle | None = None

    async def follow(self, caller: Caller, types: frozenset[str]) -> AsyncGenerator[msgspec.Raw]:
        """types: of the events that it wants; empty for all."""
        self._loop = asyncio.get_running_loop()
        follower = _Follower(caller, types)
        if not self._followers:
            self._tell("telemetry", messages.Subscribe(self._listen))
        self._followers[follower] = None
        try:
            while True:
                await follower.turn.wait()
                follower.turn.clear()
                for _ in range(_EVENTS_AT_ONCE):
                    event = follower.next()
                    if event is None:
                        break
                    yield event
                self._wants_turn(follower)
        finally:
            del self._followers[follower]
            self._with_events.pop(follower, None)
            if not self._followers:
                self._tell("telemetry", messages.Unsubscribe(self._listen))

    def _listen(self, event: Event) -> None:
        """Called in telemetry's thread."""
        self._come.append(event)
        if not self._scheduled and self._loop is not None:
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._give_out)

    def _give_out(self) -> None:
        self._scheduled = False  # before looking at what has arrived: another thread adds to it
        until = time.monotonic() + _TIME
        while self._come and time.monotonic() < until:
            event = self._come.popleft()
            views: dict[Hashable, msgspec.Raw | None] = {}
            for follower in self._followers:
                if not follower.types or event.type in follower.types:
                    shown = self._shown(event, follower.caller, views)
                    if shown is not None:
                        follower.put(shown)
                        self._wants_turn(follower)
        if self._come and not self._scheduled and self._loop is not None:
            self._scheduled = True
            self._loop.call_soon(self._give_out)

    def _shown(self, event: Event, caller: Caller, views: dict[Hashable, msgspec.Raw | None]) -> msgspec.Raw | None:
        """The event as the caller may see it; many callers share the result."""
        reader = self._reader(caller)
        key = None if reader.operator else (caller.uid, reader.identity.account)
        if key not in views:
            found = reader.event(event)
            views[key] = None if found is None else _encoded(found)
        return views[key]

    def _wants_turn(self, follower: _Follower) -> None:
        if (follower.events or follower.missed) and not follower.turn.is_set():
            self._with_events[follower] = None
            if self._turn is None and self._loop is not None:
                self._turn = self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._turn = None
        for follower in list(self._with_events)[:_FOLLOWERS_AT_ONCE]:
            del self._with_events[follower]
            follower.turn.set()
        if self._with_events and self._loop is not None:
            self._turn = self._loop.call_soon(self._next)


def _encoded(found: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(found))


def _events_missed(count: int) -> dict[str, object]:
    found = Event(
        EventType.EVENTS_MISSED,
        time.time_ns(),
        "warning",
        reason=f"{count} events were left out, because this app had not read the earlier ones",
        changed={"missed": count},
    )
    shown: dict[str, object] = msgspec.to_builtins(found)
    del shown["uid"], shown["account"]
    return shown
