"""What a store of answers needs from a format whose apps retrieve or continue an answer by its id.

Owns: the interface between the store (`meshd/gateway/responses`) and such a format. There is one:
`formats/responses/stored.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from modelmesh.errors import InvalidRequestError, MeshError, NotFoundError

Fields = Mapping[str, msgspec.Raw]


class Stored(msgspec.Struct, frozen=True):
    """input: all items that the model read, with those of earlier responses. response: as the app got it, with its
    output. session: the name of its conversation, "" if it has no name besides its id."""

    id: str
    input: bytes
    response: bytes
    session: str = ""


class Assembling(Protocol):
    """Assembles a response from a stream's events."""

    def add(self, data: bytes) -> None: ...

    def answer(self) -> bytes: ...


class Keeping(Protocol):
    """fields: the top level of a request's body, each value still raw JSON. previous: the id of the response that a
    request follows, "" if it follows none."""

    def is_stored(self, fields: Fields) -> bool:
        """Whether the app wants its response to be kept."""

    def previous_id(self, fields: Fields) -> str:
        """Raises InvalidRequestError."""

    def follow_up(self, fields: Fields, stored: Stored) -> Fields:
        """The request with the whole conversation. Raises InvalidRequestError."""

    def follows(self, data: bytes, previous: str) -> bytes:
        """A response, or an event with one, with the name of the response that it follows."""

    def stored(self, fields: Fields, response: bytes, previous: str = "") -> Stored | None:
        """What is to be kept; None if the response has no id. Raises InvalidRequestError."""

    def is_last(self, data: bytes) -> bool:
        """Whether an event ends its stream."""

    def assembling(self) -> Assembling: ...

    def no_previous(self, id: str) -> InvalidRequestError: ...

    def not_found(self, id: str) -> NotFoundError: ...

    def deleted(self, id: str) -> bytes: ...

    def input_items(self, stored: Stored, *, limit: int = 20, after: str = "", order: str = "desc") -> bytes:
        """Raises InvalidRequestError."""

    def in_background(self, fields: Fields) -> bool:
        """Whether the app does not wait for the answer. Raises InvalidRequestError if that is not possible."""

    def is_streamed(self, fields: Fields) -> bool:
        """Whether the app wants the answer's events."""

    def in_foreground(self, fields: Fields) -> bytes:
        """The body of the same request, for an app that waits."""

    def queued(self, fields: Fields, previous: str) -> Stored:
        """A response that has not begun. Raises InvalidRequestError."""

    def is_open(self, response: bytes) -> bool:
        """Whether it has not ended yet."""

    def is_of_background(self, response: bytes) -> bool: ...

    def begun(self, response: bytes) -> bytes:
        """A queued response, now in progress."""

    def finished(self, queued: bytes, answer: bytes) -> bytes:
        """The queued response with its answer."""

    def failed(self, response: bytes, error: MeshError) -> bytes: ...

    def cancelled(self, response: bytes) -> bytes: ...

    def first_events(self, queued: bytes) -> list[bytes]:
        """The events of a response that has not begun, numbered from 0."""

    def event_of(self, queued: bytes, data: bytes, number: int) -> bytes:
        """An event of the answer, converted to an event of the queued response with that number; b"" if the app must
        not get it."""

    def last_event(self, response: bytes, number: int) -> bytes:
        """The last event of a response that has ended in any way."""

    def events_gone(self) -> InvalidRequestError:
        """The error for events that are not kept, or no longer."""

    def not_cancellable(self) -> InvalidRequestError: ...
