"""What all actors share: a mailbox that survives a crash, timers.

Owns: `MeshActor`.
Must never: know what any actor does.

A mailbox belongs to the *name*, an actor to a *life*: when an actor dies of an exception, its messages wait for the
next life, so a crash loses only the message that caused it.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, ClassVar

import pykka

from meshd import messages
from meshd.actors.prepare import Prepare
from meshd.core.messaging.mailboxes import Directory

logger = logging.getLogger("meshd.actors")

SUPERVISOR = "supervisor"
SHORTEST_TICK = 0.05  # s


class MeshActor(pykka.ThreadingActor):
    """An actor of the mesh: `name` is its place in the directory.

    Subclasses handle messages in `on_receive` through `handlers` (message class → method name), keep their
    state in plain objects, and give those to their next life with `legacy`/`inherit`.
    """

    name: ClassVar[str] = ""
    handlers: ClassVar[dict[type, str]] = {}
    use_daemon_thread = True
    thread: threading.Thread | None = None

    def __init__(self, directory: Directory) -> None:
        super().__init__()
        self.directory = directory
        # Pykka made a mailbox for this life; the name's own replaces it before the loop starts.
        self.actor_inbox = directory.mailbox(self.name, self._create_actor_inbox)
        self._actor_ref = pykka.ActorRef(self)
        self._timers: dict[str, Any] = {}  # pending ones, which can be cancelled
        self._failure: tuple[Any, Any, Any] | None = None  # what this life died of

    # -- life ---------------------------------------------------------------------------------------

    def launch(self) -> None:
        """Start the thread. `pykka.Actor.start` does the same, but leaves no moment in which to call `inherit`."""
        pykka.ActorRegistry.register(self.actor_ref)
        self._start_actor_loop()

    def legacy(self) -> Any:
        """What the next life needs to continue after a crash (ownership moves with it)."""
        return None

    def inherit(self, legacy: Any) -> None:
        """Take over from a crashed life, before the first message."""

    def _actor_loop_setup(self) -> None:
        self.thread = threading.current_thread()
        self.thread.name = f"meshd-{self.name}"
        super()._actor_loop_setup()

    def _actor_loop_teardown(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
            if isinstance(timer, threading.Timer):
                timer.join(1.0)  # a timer is a thread, and no thread may be left after a shutdown
        # After a crash the mailbox is left for the next life; after a stop there is none.
        if getattr(self, "_stopped_for_good", False):
            self.directory.close(self.name)
            super()._actor_loop_teardown()
        if self._failure is not None:
            error = f"{self._failure[0].__name__}: {self._failure[1]}"
            self.directory.tell(SUPERVISOR, messages.ActorFailed(self.name, error))

    def _stop(self) -> None:
        self._stopped_for_good = True
        super()._stop()

    def _handle_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        """End this life. The supervisor is told last, so that the next life does not begin before this one has
        ended."""
        pykka.ActorRegistry.unregister(self.actor_ref)
        self.actor_stopped.set()
        if self._failure is not None:
            return
        self._failure = (exception_type, exception_value, traceback)
        logger.error(
            "the %s actor failed and is started again",
            self.name,
            exc_info=(exception_type, exception_value, traceback),
        )

    # -- messages -----------------------------------------------------------------------------------

    def on_receive(self, message: Any) -> Any:
        method = self.handlers.get(type(message))
        if method is not None:
            return getattr(self, method)(message)
        if isinstance(message, messages.Beat):
            return True
        if isinstance(message, Prepare):
            return ()
        if isinstance(message, messages.Commit | messages.Discard):
            return None
        logger.warning("the %s actor does not know the message %s", self.name, type(message).__name__)
        return None

    def tell(self, name: str, message: messages.Message) -> None:
        """Shorthand for `directory.tell`."""
        self.directory.tell(name, message)

    def tick(self, what: str, after: float) -> None:
        """Send this actor `Tick(what)` in `after` seconds, replacing a pending one of the same name."""
        self.cancel_tick(what)
        timer = threading.Timer(after, self.directory.tell, (self.name, messages.Tick(what)))
        timer.daemon = True
        self._timers[what] = timer
        timer.start()

    def next_tick(self, what: str, after: float | None) -> None:
        """As `tick`, but not at once, as several come due together; None: no more of them."""
        if after is None:
            self.cancel_tick(what)
        else:
            self.tick(what, max(after, SHORTEST_TICK))

    def cancel_tick(self, what: str) -> None:
        timer = self._timers.pop(what, None)
        if timer is not None:
            timer.cancel()
