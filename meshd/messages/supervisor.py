"""What the supervisor hears."""

from __future__ import annotations

from meshd.core.messaging.message import Message


class ActorFailed(Message, frozen=True):
    """An actor died of an exception → supervisor."""

    name: str
    error: str


class Supervision(Message, frozen=True):
    """→ supervisor; answered with a map: pid, and the state of each actor."""
