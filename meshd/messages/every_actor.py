"""What every actor hears: heartbeats, timers, and the second phase of a reload."""

from __future__ import annotations

from meshd.core.messaging.message import Message


class Beat(Message, frozen=True):
    """Are you alive? Every actor answers True (an `ask`); the router's answer feeds the watchdog."""


class Tick(Message, frozen=True):
    """A timer of the actor's own came due. `what` names it."""

    what: str


class Commit(Message, frozen=True):
    """Run the generation prepared."""

    number: int


class Discard(Message, frozen=True):
    """Forget the generation prepared."""

    number: int
