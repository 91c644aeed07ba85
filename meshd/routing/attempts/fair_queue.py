"""Which requests wait at a limit, and which is next: weighted fair between apps, then by priority, then by age.

Owns: the order of waiting requests.
Must never: know what they wait for (each tries by itself), sleep, read a clock or do I/O.

Requests that give way (those of batches) are next only where no other can continue.

Between apps: start-time fair queueing, a request costing its app 1/weight. An app that has been idle starts at the
queue's present virtual time, so that idleness earns no credit. Rule: docs/routing.md, Rate limits and waiting.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

MOST_DEBTS = 1024
"""How many idle apps' last turns are remembered. Apps choose their names, and a debt is at most one request."""


@dataclass(slots=True, eq=False)
class Waiter:
    """A waiting request. place: what it waits for (its pool's name): of one app's requests for one place, only the
    first is tried. attempt: tries to continue; returns True if it did, and has left the queue. gives_way: to those that
    do not; an app's requests of both kinds are in two lines."""

    app: str
    place: str
    attempt: Callable[[], bool]
    weight: float = 1.0
    priority: int = 0
    gives_way: bool = False
    order: int = field(default=0, init=False)  # of arrival

    @property
    def line(self) -> str:
        return line_of(self.app, self.gives_way)


def _rank(waiter: Waiter) -> tuple[int, int]:
    """Within an app: by priority, then by age."""
    return -waiter.priority, waiter.order


def line_of(app: str, gives_way: bool) -> str:
    """The name of a line."""
    return f"{app}\0" if gives_way else app


class _App:
    """One line of an app: its waiting requests of one kind, at least one. start: the virtual time of its next turn."""

    __slots__ = ("gives_way", "name", "places", "start")

    def __init__(self, name: str, start: float, gives_way: bool) -> None:
        self.name = name
        self.start = start
        self.gives_way = gives_way
        self.places: dict[str, list[Waiter]] = {}  # by place, in order, no empty ones

    @property
    def turn(self) -> tuple[bool, float, tuple[int, int], str]:
        """The least is next: those that give way last, then by virtual time, then by the rank of its first request."""
        return self.gives_way, self.start, min(_rank(waiters[0]) for waiters in self.places.values()), self.name

    def firsts(self) -> list[Waiter]:
        """The first at each place, in order."""
        return sorted((waiters[0] for waiters in self.places.values()), key=_rank)


class FairQueue:
    """All waiting requests, at any place. A waiter that raises leaves the queue; the caller of `serve` gets the
    exception."""

    def __init__(self) -> None:
        self._apps: dict[str, _App] = {}
        self._waiters: set[Waiter] = set()
        self.debts: dict[str, float] = {}  # idle app → the virtual time its last turn ends, while it lies ahead
        self._time = 0.0
        self._arrivals = 0
        self._serving = False
        self._again = False

    def __len__(self) -> int:
        return len(self._waiters)

    def add(self, waiter: Waiter) -> None:
        if waiter in self._waiters:
            return
        self._arrivals += 1
        waiter.order = self._arrivals
        app = self._apps.get(waiter.line)
        if app is None:
            start = max(self._time, self.debts.pop(waiter.line, 0.0))
            app = self._apps[waiter.line] = _App(waiter.line, start, waiter.gives_way)
        insort(app.places.setdefault(waiter.place, []), waiter, key=_rank)
        self._waiters.add(waiter)

    def remove(self, waiter: Waiter) -> None:
        """Remove a waiter that gave up or was cancelled. Idempotent."""
        if waiter not in self._waiters:
            return
        self._waiters.discard(waiter)
        app = self._apps[waiter.line]
        waiters = app.places[waiter.place]
        del waiters[bisect_left(waiters, _rank(waiter), key=_rank)]
        if waiters:
            return
        del app.places[waiter.place]
        if not app.places:
            del self._apps[waiter.line]
            self._owe(app)

    def waits(self, app: str, place: str, gives_way: bool = False) -> bool:
        """Whether a request waits there behind which the app's next one has to wait: one of its own, or anyone's that
        it gives way to."""
        known = self._apps.get(line_of(app, gives_way))
        if known is not None and place in known.places:
            return True
        return gives_way and any(place in other.places for other in self._apps.values() if not other.gives_way)

    def serve(self) -> int:
        """Let waiters try, in order, until none can continue. Returns how many did. Each attempt may change what the
        next one finds. Reentrant calls (an attempt that frees room) do nothing: the running loop starts another
        round."""
        if self._serving:
            self._again = True
            return 0
        self._serving, served = True, 0
        try:
            barren = 0
            while barren < 2:  # attempts that always call this, without success, must not keep it running
                self._again, waiting = False, len(self._waiters)
                served += self._go_round()
                if not self._again:
                    break
                barren = barren + 1 if len(self._waiters) == waiting else 0
        finally:
            self._serving = False
        return served

    def waiting(self) -> dict[str, int]:
        """app → how many of its requests wait."""
        found: dict[str, int] = {}
        for line, app in self._apps.items():
            name = line.rstrip("\0")
            found[name] = found.get(name, 0) + sum(map(len, app.places.values()))
        return found

    def _go_round(self) -> int:
        """Serve until the first waiter of each app and place has failed once."""
        served, failed = 0, set[tuple[str, str]]()
        turns = [app.turn for app in self._apps.values()]
        heapify(turns)
        while turns:
            turn = heappop(turns)
            app = self._apps.get(turn[3])
            if app is None:
                continue  # its requests have given up
            if self._serve_one(app, failed):
                served += 1
                if app.name in self._apps:
                    heappush(turns, self._apps[app.name].turn)
        return served

    def _serve_one(self, app: _App, failed: set[tuple[str, str]]) -> bool:
        """Whether one of the app's requests could continue."""
        for waiter in app.firsts():
            where = (waiter.line, waiter.place)
            if where in failed or waiter not in self._waiters:
                continue
            before = app.start
            app.start += 1.0 / _weight(waiter)  # paid in advance: an attempt may remove the app's last waiter
            try:
                got_on = waiter.attempt()
            except BaseException:
                self.remove(waiter)
                raise
            if got_on:
                if not waiter.gives_way:
                    self._time = max(self._time, before)
                self.remove(waiter)
                return True
            app.start = before
            failed.add(where)
        return False

    def _owe(self, app: _App) -> None:
        """The app no longer waits: what it has had beyond the others is remembered until they have caught up."""
        if not self._apps:
            self.debts.clear()  # no app waits, so none is behind
            self._time = 0.0
        elif app.start > self._time:
            if len(self.debts) >= MOST_DEBTS:
                self.debts = {name: until for name, until in self.debts.items() if until > self._time}
            if len(self.debts) >= MOST_DEBTS:
                del self.debts[next(iter(self.debts))]
            self.debts[app.name] = app.start


def _weight(waiter: Waiter) -> float:
    """An app with weight 0 is served last, but it is served."""
    return waiter.weight or 0.001
