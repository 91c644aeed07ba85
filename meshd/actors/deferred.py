"""Questions that are answered later than the handler returns.

Owns: `Asked`, a message together with who waits for the answer, and the mailbox that makes it.
Must never: leave somebody waiting: an `Asked` is answered, fails, or is answered when the actor stops.

Pykka answers with what the handler returns. Where the answer needs other actors' answers first, the mailbox takes
the reply out of the envelope before Pykka sees it, and the handler, found under `Asked` of the message's type,
resolves it itself. For those who ask nothing changes.
"""

from __future__ import annotations

import queue
import sys
from typing import Any

from pykka._envelope import Envelope

from meshd.messages import Message


class Asked:
    """A message whose answer is given by `answer` or `fail`, from any thread. Told without asking: nobody waits."""

    __slots__ = ("_reply_to", "message")

    def __init__(self, message: Message, reply_to: Any) -> None:
        self.message = message
        self._reply_to = reply_to

    def answer(self, value: Any) -> None:
        reply_to, self._reply_to = self._reply_to, None
        if reply_to is not None:
            reply_to.set(value)

    def fail(self) -> None:
        """Answer with the exception being handled."""
        reply_to, self._reply_to = self._reply_to, None
        if reply_to is not None:
            reply_to.set_exception(sys.exc_info())


class DeferringMailbox(queue.SimpleQueue[Any]):
    """A mailbox that hands out messages of these types as `Asked`."""

    def __init__(self, *types: type[Message]) -> None:
        super().__init__()
        self._types = types

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        envelope = super().get(block, timeout)
        if type(envelope.message) in self._types:
            return Envelope(Asked(envelope.message, envelope.reply_to))
        return envelope
