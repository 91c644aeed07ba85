"""The supervisor: restarts actors that died, and knows whether the mesh is healthy.

Owns: the list of actors, how to make each of them, and their restarts.
Must never: do an actor's work, or restart one so often that this becomes the load.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from meshd import messages
from meshd.actors.base.actor import SUPERVISOR, MeshActor
from meshd.core.events.event_type import EventType
from meshd.core.events.records import Event
from meshd.core.messaging.mailboxes import Directory

logger = logging.getLogger("meshd.supervisor")

_FIRST_DELAY = 0.05  # s; doubles with every restart in a row
LONGEST_DELAY = 5.0
_IN_A_ROW = 60.0  # s without a crash, after which the count starts over
TOO_MANY = 20  # restarts in a row, after which the daemon counts as unhealthy


@dataclass(slots=True)
class Ward:
    """An actor under supervision."""

    make: Callable[[], MeshActor]
    actor: MeshActor
    restarts: int = 0
    in_a_row: int = 0
    last_failure: float = 0.0
    last_error: str = ""
    waiting: bool = field(default=False)


class Supervisor(MeshActor):
    name: ClassVar[str] = SUPERVISOR
    handlers: ClassVar[dict[type, str]] = {
        messages.ActorFailed: "failed",
        messages.Tick: "revive",
        messages.Supervision: "report",
    }

    def __init__(self, directory: Directory) -> None:
        super().__init__(directory)
        self._wards: dict[str, Ward] = {}
        self._closing = False

    # -- called by the mesh, before or after the supervisor's own life ----------------------------------

    def start_ward(self, make: Callable[[], MeshActor]) -> MeshActor:
        """Create an actor, start it and supervise it."""
        actor = make()
        self._wards[actor.name] = Ward(make, actor)
        actor.launch()
        return actor

    def release(self) -> None:
        """Restart nothing from now on: the mesh is shutting down."""
        self._closing = True

    def ward(self, name: str) -> MeshActor | None:
        """The living actor of a name."""
        found = self._wards.get(name)
        return found.actor if found is not None else None

    @property
    def well(self) -> bool:
        """False while an actor dies again and again."""
        return all(ward.in_a_row < TOO_MANY for ward in self._wards.values())

    # -- messages -------------------------------------------------------------------------------------

    def failed(self, message: messages.ActorFailed) -> None:
        ward = self._wards.get(message.name)
        if ward is None or self._closing or ward.waiting:
            return
        now = time.monotonic()
        ward.in_a_row = ward.in_a_row + 1 if now - ward.last_failure < _IN_A_ROW else 1
        ward.last_failure = now
        ward.last_error = message.error
        ward.waiting = True
        delay = 0.0 if ward.in_a_row == 1 else min(_FIRST_DELAY * 2.0 ** (ward.in_a_row - 2), LONGEST_DELAY)
        self.tick(message.name, delay)

    def revive(self, message: messages.Tick) -> None:
        ward = self._wards.get(message.what)
        if ward is None or self._closing:
            return
        ward.waiting = False
        ward.restarts += 1
        try:
            actor = ward.make()
            actor.inherit(ward.actor.legacy())
            ward.actor = actor
            actor.launch()
        except Exception as error:
            logger.exception("the %s actor cannot be started again", message.what)
            self.failed(messages.ActorFailed(message.what, str(error)))
            return
        event = Event(
            EventType.ACTOR_RESTARTED,
            time.time_ns(),
            "warning",
            {"actor": message.what},
            ward.last_error,
            {"restarts": ward.restarts},
        )
        self.tell("telemetry", event)

    def report(self, message: messages.Supervision) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "actors": [
                {
                    "name": name,
                    "alive": not ward.actor.actor_stopped.is_set(),
                    "restarts": ward.restarts,
                    "last_error": ward.last_error,
                }
                for name, ward in self._wards.items()
            ],
        }
