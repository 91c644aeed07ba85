"""From names of actors to their mailboxes: how one actor, or what runs inside it, reaches another.

Owns: `Directory` (name → mailbox) and the error of an actor that cannot be reached.
Must never: know what any actor does.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable
from typing import Any

import pykka
from pykka._envelope import Envelope as Envelope  # noqa: PLC2701 - here alone: pykka has no public name for it

from meshd.core.messaging.message import Message
from modelmesh.errors import MeshError

logger = logging.getLogger("meshd.actors")


class ActorUnavailable(MeshError, RuntimeError):
    """There is no living actor to answer an `ask`, or the answer did not come in time."""

    status_code = 503
    code = "actor_unavailable"
    retryable_by_default = True


class Directory:
    """Names to mailboxes. Safe from every thread; telling never blocks and never fails."""

    def __init__(self) -> None:
        self._mailboxes: dict[str, Any] = {}

    def mailbox(self, name: str, make: Callable[[], Any] = queue.Queue) -> Any:
        """The mailbox of `name`, created by the first call."""
        return self._mailboxes.setdefault(name, make())

    def close(self, name: str) -> None:
        """The actor has ended: a caller that asks it gets an error at once instead of waiting."""
        self._mailboxes.pop(name, None)

    def tell(self, name: str, message: Message) -> None:
        """Put a message into a mailbox. Ignored if no actor ever had this name (an actor that is switched off)."""
        mailbox = self._mailboxes.get(name)
        if mailbox is not None:
            mailbox.put(Envelope(message))

    def ask(self, name: str, message: Message, timeout: float = 10.0) -> Any:
        """Tell and wait for the answer: never from the router's thread, and never during a request.

        Raises ActorUnavailable, or whatever the actor raised.
        """
        mailbox = self._mailboxes.get(name)
        if mailbox is None:
            raise ActorUnavailable(f"there is no {name} actor")
        future = pykka.ThreadingFuture[Any]()
        mailbox.put(Envelope(message, reply_to=future))
        try:
            return future.get(timeout=timeout)
        except pykka.Timeout as error:
            raise ActorUnavailable(f"the {name} actor did not answer within {timeout:g} s") from error
        except pykka.ActorDeadError as error:
            raise ActorUnavailable(f"the {name} actor has stopped") from error

    def send(self, name: str, message: Message, reply_to: Any) -> None:
        """Tell, with an object for the answer: its `set(value)` or `set_exception(exc_info)` is called in the answering
        actor's thread, or at once with ActorUnavailable if there is no such actor."""
        mailbox = self._mailboxes.get(name)
        if mailbox is None:
            error = ActorUnavailable(f"there is no {name} actor")
            reply_to.set_exception((ActorUnavailable, error, None))
        else:
            mailbox.put(Envelope(message, reply_to=reply_to))

    def ask_later(self, name: str, message: Message, then: Callable[[Any], None]) -> None:
        """Tell, and have `then(answer)` called in the answering actor's thread; a failure is only logged."""
        self.send(name, message, _Callback(then))


class _Callback:
    """Hands an answer to a function instead of keeping it."""

    def __init__(self, then: Callable[[Any], None]) -> None:
        self._then = then

    def set(self, value: Any = None) -> None:
        self._then(value)

    def set_exception(self, exc_info: Any = None) -> None:
        logger.debug("an actor failed to answer", exc_info=exc_info or True)
