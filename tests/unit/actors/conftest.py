"""An actor with its neighbours played by mailboxes."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from meshd import messages
from meshd.actors.base.actor import MeshActor
from meshd.core.messaging.mailboxes import Directory


class Neighbours:
    """The directory, and what was told to the actors that are not there."""

    def __init__(self, *names: str) -> None:
        self.directory = Directory()
        self._boxes = {name: self.directory.mailbox(name) for name in names}

    def next(self, name: str, kind: type, timeout: float = 5.0) -> Any:
        """The next message of this kind to `name`; others are passed over."""
        while True:
            message = self._boxes[name].get(timeout=timeout).message
            if isinstance(message, kind):
                return message

    def envelope(self, name: str) -> Any:
        return self._boxes[name].get(timeout=5.0)

    def waiting(self, name: str) -> list[Any]:
        found = []
        while True:
            try:
                found.append(self._boxes[name].get_nowait().message)
            except queue.Empty:
                return found


Start = Callable[[MeshActor], MeshActor]


@pytest.fixture
def neighbours() -> Neighbours:
    return Neighbours("router", "config", "telemetry", "supervisor", "state")


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[MeshActor] = []

    def begin(actor: MeshActor) -> MeshActor:
        started.append(actor)
        actor.launch()
        return actor

    yield begin
    for actor in started:
        if not actor.actor_stopped.is_set():
            actor.actor_ref.stop(timeout=5)


def crash(neighbours: Neighbours, actor: Any, make: Callable[[], MeshActor], start: Start) -> MeshActor:
    """Kill the actor by a message, and start its next life as the supervisor does."""

    def explode(message: Any) -> None:
        raise RuntimeError("bomb")

    actor.handlers = {**actor.handlers, Bomb: "explode"}
    actor.explode = explode
    neighbours.directory.tell(actor.name, Bomb())
    neighbours.next("supervisor", messages.ActorFailed)
    following = make()
    following.inherit(actor.legacy())
    return start(following)


class Bomb(messages.Message, frozen=True):
    """Kills who receives it."""
