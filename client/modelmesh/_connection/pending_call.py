"""One request in flight: what is needed to send it (again), and what has come back.

Must never: touch a socket. A waiter sets `wake` to be woken.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from modelmesh.errors import MeshError
from modelmesh.protocol import DEFAULT_CREDIT, REQUEST, Message, RequestHead, encode, new_request_id

if TYPE_CHECKING:
    from modelmesh._connection.links.link import Link


GRACE_SECONDS: Final = 0.1
"""Seconds that a waiter waits beyond the deadline: the daemon's own timeout error says more than ours."""
OVERSLEPT_SECONDS: Final = 0.3
"""Seconds: if a timeout comes later than that, the process or the machine was asleep."""
LONGEST_GRACE_SECONDS: Final = 5.0
"""Seconds to wait for an answer after such a sleep, at most."""


def _wake_none(call: PendingCall) -> None:
    return None


class PendingCall:
    """A request id on the client's side.

    `inbox` holds the daemon's messages in order, followed by a MeshError if the call failed here. `deadline` is a time
    of `time.monotonic()`, None for a call without one. A stream's is that of its next chunk, for each of which the call
    waits its whole timeout, `patience`. `retries` says how often the request was refused and sent again under a new id,
    `started` when it was first sent.
    """

    __slots__ = (
        "begun",
        "body",
        "deadline",
        "finished",
        "head",
        "inbox",
        "link",
        "patience",
        "request_id",
        "resend",
        "retries",
        "started",
        "wake",
    )

    def __init__(self, head: RequestHead, body: bytes, timeout: float | None) -> None:
        self.request_id = new_request_id()
        self.head = head
        self.body = body
        self.started = time.monotonic()
        self.deadline = None if timeout is None else self.started + timeout
        self.patience = timeout if head.stream else None
        self.inbox: deque[Message | MeshError] = deque()
        self.link: Link | None = None
        self.begun = False
        """Whether a chunk has come, so that sending the request again would repeat it."""
        self.finished = False
        self.resend = False
        self.retries = 0
        self.wake: Callable[[PendingCall], None] = _wake_none
        if head.stream and not head.credit:
            head.credit = DEFAULT_CREDIT

    @property
    def name(self) -> str:
        """The request id for people and logs."""
        return self.request_id.hex()

    def frames(self) -> list[bytes]:
        """The REQUEST to send now, with the remaining time."""
        head = self.head
        if self.deadline is not None:
            left = max(1, int((self.deadline - time.monotonic()) * 1000))
            if self.patience is None:
                head.deadline_ms = left
            else:
                head.first_chunk_ms = left
        head.resend = self.resend
        return encode(REQUEST, self.request_id, head, self.body)

    def put(self, item: Message | MeshError) -> None:
        self.inbox.append(item)
        self.wake(self)

    def again(self) -> PendingCall:
        """The same request under a new id, for another try before the same deadline."""
        call = PendingCall(self.head, self.body, self.patience)
        call.started, call.deadline, call.retries = self.started, self.deadline, self.retries + 1
        return call


def client_closed() -> MeshError:
    """The error of a call that is in flight when its client is closed, or made later."""
    return MeshError("the client was closed", code="client_closed")
