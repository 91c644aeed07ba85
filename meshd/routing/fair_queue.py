"""Who waits at a limit, and who is next: weighted fair between apps, then by priority, then by age.

Owns: the order of waiting requests, and the bound on their number.
Must never: know what they wait for (each tries for itself), sleep, read a clock or do I/O.

Between apps: start-time fair queueing, a request costing its app 1/weight. An app that has been idle starts at the
queue's present virtual time, so that idleness earns no credit. Rule: spec/routing.md, Queueing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Waiter:
    """A request that waits. place: what it waits at (its pool's name): of one app's requests for one place only
    the first is tried. attempt: tries to get on; True when it did (it has left the queue then)."""

    app: str
    place: str
    attempt: Callable[[], bool]
    weight: float = 1.0
    priority: int = 0
    order: int = field(default=0, init=False)  # of arrival


class FairQueue:
    def __len__(self) -> int:
        raise NotImplementedError

    def add(self, waiter: Waiter) -> None:
        raise NotImplementedError

    def remove(self, waiter: Waiter) -> None:
        """It gave up or was cancelled. Idempotent."""
        raise NotImplementedError

    def waits(self, place: str) -> bool:
        """Whether somebody waits there: who comes now goes behind them."""
        raise NotImplementedError

    def serve(self) -> int:
        """Let them try, in order, until nobody gets on; how many did. Each attempt may change what the next finds.
        Reentrant calls (an attempt that frees room) do nothing: the loop that is under way goes round again."""
        raise NotImplementedError

    def position(self, waiter: Waiter) -> int:
        """How many are served before it, about."""
        raise NotImplementedError

    def waiting(self) -> dict[str, int]:
        """app → how many of its requests wait."""
        raise NotImplementedError
