"""Which requests are admitted: the limits of all front ends, and requests that must not be begun twice.

Owns: the requests in flight, answers that may have been lost with their connection, and the ids of requests that were
cut off at a provider.
Must never: know a transport, or what an operation does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from meshd.core.caller import Caller
from meshd.core.fair_eviction import Shares
from meshd.core.text.durations import ASK_AGAIN_IN
from meshd.gateway.frontends.exchange import Answer, Reply, Request
from modelmesh.errors import (
    InvalidRequestError,
    MeshError,
    QueueFullError,
    RoutingError,
    StreamInterrupted,
)
from modelmesh.wording import told

REMEMBERED_ANSWERS = 512
REMEMBERED_BYTES = 65536  # of one answer
REMEMBERED_SIZE = 8 * 1024**2  # bytes of all answers; each counts for at least its share
REMEMBERED_INTERRUPTIONS = 65536
OWN_OPERATIONS = 256  # listeners and commands (/mesh/…) at a time, in addition to max_inflight


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the running configuration. request_timeout: seconds; max_message_size: bytes; max_inflight:
    requests."""

    request_timeout: float
    max_message_size: int
    max_inflight: int


class NotYours(Exception):
    """This request id is in use by another caller."""


class Admission:
    """begin: starts an admitted request. inference: the paths of requests to models. draining: only questions about the
    daemon are admitted."""

    def __init__(self, begin: Callable[[Request], None], inference: Collection[str], limits: Limits) -> None:
        self.limits = limits
        self.draining = False
        self.in_flight: dict[bytes, Request] = {}
        self._begin = begin
        self._inference = inference
        self._interrupted: Shares[bytes] = Shares()  # begun, then cut off by a restart or a lost connection
        self.remembered: dict[bytes, tuple[Caller, Answer]] = {}  # id → who asked, and the answer
        self._shares: Shares[bytes] = Shares()  # owners of the remembered answers

    def inherit(self, before: Admission) -> None:
        """Take over the requests that a crashed life had answered or begun."""
        self.remembered, self._shares = before.remembered, before._shares
        self._interrupted = before._interrupted

    # -- in -------------------------------------------------------------------------------------------

    def admit(self, request: Request, size: int, largest: int) -> None:
        """Begin a request, or refuse it. size: bytes that were sent; largest: the most that its front end accepts."""
        refusal = self._refusal(request, size, largest)
        self.in_flight[request.request_id] = request
        if refusal is not None:
            request.reply.error(refusal)
        else:
            self._begin(request)

    def known(self, request_id: bytes, caller: Caller, resend: bool) -> Request | Answer | None:
        """The request of this id in flight, or the answer that it has had; None if it is new. Raises NotYours."""
        request = self.in_flight.get(request_id)
        if request is not None:
            if request.caller != caller:
                raise NotYours
            return request
        owner, answer = self.remembered.get(request_id, (None, None))
        return answer if resend and owner == caller else None

    def _refusal(self, request: Request, size: int, largest: int) -> MeshError | None:
        if size > largest:
            return InvalidRequestError(
                f"The message has {size} bytes, and daemon.max_message_size is {largest}; send less, or raise it.",
                status_code=413,
                code="message_too_large",
            )
        if self.draining and request.method != "GET" and not request.own:
            return draining()
        full = self._full(request)
        if full:
            return QueueFullError(full, retry_after=ASK_AGAIN_IN)
        if self.was_interrupted(request.request_id):
            return RoutingError(
                told(
                    "This request was cut off while it was at its provider; ask again if the answer is still wanted.",
                    "the connection broke, or the daemon was restarted; it is not sent again by itself, "
                    "so that nothing is billed twice",
                ),
                status_code=502,
                code="request_interrupted",
            )
        return None

    def _full(self, request: Request) -> str:
        """Why no more of these are accepted now, or "". A listener to events does not take a request's place."""
        most, in_flight = self.limits.max_inflight, len(self.in_flight)
        if in_flight < most and (in_flight < OWN_OPERATIONS or not request.own):
            return ""
        own = sum(each.own for each in self.in_flight.values())
        if request.own:
            return (
                f"{own} event listeners and commands are in progress already; ask again in a moment."
                if own >= OWN_OPERATIONS
                else ""
            )
        others = in_flight - own
        return (
            f"{others} requests are in flight, as daemon.max_inflight allows; ask again in a moment."
            if others >= most
            else ""
        )

    # -- out ------------------------------------------------------------------------------------------

    def ended(self, request_id: bytes, reply: Reply, answer: Answer | None) -> None:
        """A request was answered. answer: remembered in case it gets lost with its connection; None for a stream."""
        request = self.in_flight.get(request_id)
        if request is None or request.reply is not reply:  # its app has disconnected
            return
        del self.in_flight[request_id]
        # An error after which a retry may succeed is not remembered: the request is begun again.
        if answer is None or request.stream or (answer.error is not None and answer.error.retryable):
            return
        size = answer.size
        if size <= REMEMBERED_BYTES:
            self.remembered[request_id] = (request.caller, answer)
            share = REMEMBERED_SIZE // REMEMBERED_ANSWERS
            self._shares.put(request_id, request.caller.uid, max(size, share))
            while self._shares.size > REMEMBERED_SIZE:
                del self.remembered[self._shares.pop()]

    def lost(self, request_id: bytes) -> Request | None:
        """The app of a request has disconnected: cancel it, and never begin it again if it was at a provider."""
        request = self.in_flight.get(request_id)
        if request is None:
            return None
        if request.begun:
            self.interrupt((request_id,))
        del self.in_flight[request_id]
        request.cancel()
        return request

    def interrupt(self, request_ids: Iterable[bytes]) -> None:
        """Never begin these again, since they were sent to a provider and their outcome is unknown."""
        for request_id in request_ids:
            request = self.in_flight.get(request_id)
            self._interrupted.put(request_id, -1 if request is None else request.caller.uid)
        while len(self._interrupted) > REMEMBERED_INTERRUPTIONS:
            self._interrupted.pop()

    def was_interrupted(self, request_id: bytes) -> bool:
        return request_id in self._interrupted

    # -- the end --------------------------------------------------------------------------------------

    @property
    def inferences(self) -> int:
        """The number of requests to models in flight."""
        return sum(map(self.asks_a_model, self.in_flight))

    def asks_a_model(self, request_id: bytes) -> bool:
        """Whether a request in flight is one to a model."""
        request = self.in_flight.get(request_id)
        return request is not None and request.path in self._inference

    async def drain(self, seconds: float) -> int:
        """Wait for requests in flight. Returns how many did not end in time."""
        until = time.monotonic() + seconds
        while self.inferences and (left := until - time.monotonic()) > 0:
            tasks = (request.task for request in self.in_flight.values() if request.path in self._inference)
            running = {task for task in tasks if task is not None and not task.done()}
            if not running:
                break
            await asyncio.wait(running, timeout=left)
        return self.inferences

    def cut_off(self, crashed: bool) -> None:
        """Tell apps that their open requests will not be completed. After a crash, those not sent to a provider and
        without any part of an answer are not told: their clients send them again, to the next life, which counts
        them."""
        for request in list(self.in_flight.values()):
            reply = request.reply
            if crashed and not request.begun and not reply.sent:
                request.cancel()
                reply.done = request.handed_on = True
                continue
            if request.begun:
                self.interrupt((request.request_id,))
            error = _cut_off(request)
            request.cancel(error)
            reply.error(error)


def draining() -> MeshError:
    return RoutingError(
        "The daemon is shutting down; ask again in a moment.",
        code="draining",
        retryable=True,
        retry_after=ASK_AGAIN_IN,
    )


def _cut_off(request: Request) -> MeshError:
    """The error for a request that did not end before the daemon did."""
    if request.reply.sent:
        return StreamInterrupted("The daemon ended before the stream did; ask again.")
    if request.begun:
        return RoutingError(
            "The daemon ended while this request was at its provider; ask again if the answer is still wanted.",
            status_code=502,
            code="request_interrupted",
        )
    return draining()
