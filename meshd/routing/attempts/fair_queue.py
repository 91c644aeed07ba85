"""Which requests wait at a limit, and which is next: weighted fair between apps, then by priority, then by age.

Programs without an entry in `apps` name themselves, so all programs of one user share one turn and take it one by one.

Owns: the order of waiting requests.
Must never: know what they wait for (each tries by itself), sleep, read a clock or do I/O.

Requests that give way (those of batches) are next only where no other can continue.

Between turns: start-time fair queueing, a request costing 1/weight. One that was idle starts at the queue's present
virtual time, so that idleness earns no credit. Rule: docs/routing.md, Rate limits and waiting.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

MOST_DEBTS = 1024
"""The number of idle apps and users whose last turn is remembered. Programs choose their names, and a debt is at most
one request."""


@dataclass(slots=True, eq=False)
class Waiter:
    """A waiting request. place: what it waits for (its pool's name): of one app's requests for one place, only the
    first is tried. attempt: tries to continue; returns True if it did, and has left the queue. gives_way: to those that
    do not; an app's requests of both kinds are in two lines. user: who has the turn, if not the app itself."""

    app: str
    place: str
    attempt: Callable[[], bool]
    weight: float = 1.0
    priority: int = 0
    gives_way: bool = False
    user: str = ""
    order: int = field(default=0, init=False)  # of arrival

    @property
    def line(self) -> str:
        return line_of(self.app, self.gives_way)

    @property
    def turn(self) -> str:
        return line_of(self.user or self.app, self.gives_way)


def _rank(waiter: Waiter) -> tuple[int, int]:
    """Within an app: by priority, then by age."""
    return -waiter.priority, waiter.order


def line_of(app: str, gives_way: bool) -> str:
    """The name of a line."""
    return f"{app}\0" if gives_way else app


class _Turn:
    """Who takes turns with others: an app, or a user with the lines of its programs, at least one. start: the virtual
    time of its next turn. had: line → when it had its last turn, which is remembered even after the line is gone."""

    __slots__ = ("gives_way", "had", "lines", "name", "start")

    def __init__(self, name: str, start: float, gives_way: bool) -> None:
        self.name = name
        self.start = start
        self.gives_way = gives_way
        self.lines: dict[str, dict[str, list[Waiter]]] = {}  # by place, in order, no empty ones
        self.had: dict[str, int] = {}

    @property
    def key(self) -> tuple[bool, float, tuple[int, int], str]:
        """The least is next: those that give way last, then by virtual time, then by the rank of its first request."""
        return self.gives_way, self.start, min(_first(places) for places in self.lines.values()), self.name

    def firsts(self) -> list[Waiter]:
        """The first of each line at each place, in order: the line that has waited longest for its turn comes first."""
        found: list[Waiter] = []
        for line in sorted(self.lines, key=lambda line: (self.had.get(line, 0), _first(self.lines[line]))):
            found += sorted([waiters[0] for waiters in self.lines[line].values()], key=_rank)
        return found

    def has_had(self, line: str, number: int) -> None:
        self.had.pop(line, None)
        self.had[line] = number
        if len(self.had) > MOST_DEBTS:
            del self.had[next(iter(self.had))]


def _first(places: dict[str, list[Waiter]]) -> tuple[int, int]:
    """The rank of a line's first request."""
    return min(_rank(waiters[0]) for waiters in places.values())


class FairQueue:
    """All waiting requests, at any place. A waiter that raises leaves the queue; the caller of `serve` gets the
    exception."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}
        self._waiters: set[Waiter] = set()
        self.debts: dict[str, float] = {}  # of the idle: the virtual time its last turn ends, while it lies ahead
        self._time = 0.0
        self._arrivals = 0
        self._served = 0
        self._serving = False
        self._again = False

    def __len__(self) -> int:
        return len(self._waiters)

    def add(self, waiter: Waiter) -> None:
        if waiter in self._waiters:
            return
        self._arrivals += 1
        waiter.order = self._arrivals
        turn = self._turns.get(waiter.turn)
        if turn is None:
            start = max(self._time, self.debts.pop(waiter.turn, 0.0))
            turn = self._turns[waiter.turn] = _Turn(waiter.turn, start, waiter.gives_way)
        insort(turn.lines.setdefault(waiter.line, {}).setdefault(waiter.place, []), waiter, key=_rank)
        self._waiters.add(waiter)

    def remove(self, waiter: Waiter) -> None:
        """Remove a waiter that gave up or was cancelled. Idempotent."""
        if waiter not in self._waiters:
            return
        self._waiters.discard(waiter)
        turn = self._turns[waiter.turn]
        places = turn.lines[waiter.line]
        waiters = places[waiter.place]
        del waiters[bisect_left(waiters, _rank(waiter), key=_rank)]
        if waiters:
            return
        del places[waiter.place]
        if places:
            return
        del turn.lines[waiter.line]
        if not turn.lines:
            del self._turns[waiter.turn]
            self._owe(turn)

    def waits(self, app: str, place: str, gives_way: bool = False, user: str = "") -> bool:
        """Whether the app's next request would have to wait behind another at this place: one of its own, or any that
        it gives way to."""
        known = self._turns.get(line_of(user or app, gives_way))
        if known is not None and place in known.lines.get(line_of(app, gives_way), ()):
            return True
        others = [turn.lines.values() for turn in self._turns.values() if not turn.gives_way] if gives_way else []
        return any(place in places for lines in others for places in lines)

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
        for turn in self._turns.values():
            for line, places in turn.lines.items():
                name = line.rstrip("\0")
                found[name] = found.get(name, 0) + sum(map(len, places.values()))
        return found

    def _go_round(self) -> int:
        """Serve until the first waiter of each line and place has failed once."""
        served, failed = 0, set[tuple[str, str, str]]()
        turns = [turn.key for turn in self._turns.values()]
        heapify(turns)
        while turns:
            turn = self._turns.get(heappop(turns)[3])
            if turn is None:
                continue  # its requests have given up
            if self._serve_one(turn, failed):
                served += 1
                if turn.name in self._turns:
                    heappush(turns, self._turns[turn.name].key)
        return served

    def _serve_one(self, turn: _Turn, failed: set[tuple[str, str, str]]) -> bool:
        """Whether one of its requests could continue."""
        for waiter in turn.firsts():
            where = (turn.name, waiter.line, waiter.place)
            if where in failed or waiter not in self._waiters:
                continue
            before = turn.start
            turn.start += 1.0 / _weight(waiter)  # paid in advance: an attempt may remove its last waiter
            try:
                got_on = waiter.attempt()
            except BaseException:
                self.remove(waiter)
                raise
            if got_on:
                if not waiter.gives_way:
                    self._time = max(self._time, before)
                self._served += 1
                turn.has_had(waiter.line, self._served)
                self.remove(waiter)
                return True
            turn.start = before
            failed.add(where)
        return False

    def _owe(self, turn: _Turn) -> None:
        """It no longer waits: what it has had beyond the others is remembered until they have caught up."""
        if not self._turns:
            self.debts.clear()  # nothing waits, so none is behind
            self._time = 0.0
        elif turn.start > self._time:
            if len(self.debts) >= MOST_DEBTS:
                self.debts = {name: until for name, until in self.debts.items() if until > self._time}
            if len(self.debts) >= MOST_DEBTS:
                del self.debts[next(iter(self.debts))]
            self.debts[turn.name] = turn.start


def _weight(waiter: Waiter) -> float:
    """An app with weight 0 is served last, but it is served."""
    return waiter.weight or 0.001
