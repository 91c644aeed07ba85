"""Questions that are answered after the handler returns.

Owns: `Asked`, a message with its reply, and the mailbox that creates it.
Must never: leave a caller waiting. An `Asked` is answered or fails, at the latest when the actor stops.

Pykka answers with what the handler returns. Where the answer needs other actors' answers first, the mailbox takes
the reply out of the envelope before Pykka sees it, and the handler, found under `Asked` of the message's type,
resolves it itself. Callers notice no difference.
"""

from __future__ import annotations

import logging
import queue
import sys
from collections.abc import Callable
from typing import Any

from meshd.core.messaging.mailboxes import Directory, Envelope
from meshd.core.messaging.message import Message

logger = logging.getLogger("meshd.actors")


class Asked:
    """A message answered by `answer` or `fail`, from any thread. After a `tell`, no caller waits for the answer."""

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


class Gathering:
    """A question whose answer combines several answers: rows are collected until all that are named have answered."""

    def __init__(self) -> None:
        self._open: list[tuple[Asked, set[str], list[dict[str, Any]]]] = []

    def __bool__(self) -> bool:
        return bool(self._open)

    def add(self, asked: Asked, names: set[str]) -> None:
        if names:
            self._open.append((asked, set(names), []))
        else:
            asked.answer([])

    def answered(self, name: str, rows: list[dict[str, Any]]) -> None:
        still_open, self._open = self._open, []
        for asked, left, collected in still_open:
            if name in left:
                left.discard(name)
                collected += rows
            if left:
                self._open.append((asked, left, collected))
            else:
                asked.answer(collected)

    def give_up(self, missing: Callable[[str], dict[str, Any]]) -> None:
        """Answer with the rows that came, and one for each answer that did not."""
        questions, self._open = self._open, []
        for asked, left, collected in questions:
            asked.answer(collected + [missing(name) for name in sorted(left)])


class Forward:
    """A `reply_to` that puts the answer into an actor's mailbox, for an actor that must not wait for it.

    make: creates a message from the answer. otherwise: the answer if there is none.
    """

    def __init__(self, directory: Directory, name: str, make: Callable[[Any], Message], otherwise: Any) -> None:
        self._directory = directory
        self._name = name
        self._make = make
        self._otherwise = otherwise

    def set(self, value: Any = None) -> None:
        self._directory.tell(self._name, self._make(value))

    def set_exception(self, exc_info: Any = None) -> None:
        logger.warning("%s continues without an answer: %s", self._name, exc_info[1] if exc_info else "unknown")
        self.set(self._otherwise)
