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
from typing import Final

from meshd.core.caller import Caller, Peer
from meshd.core.fair_eviction import Shares
from meshd.core.text.durations import ASK_AGAIN_IN
from meshd.gateway.frontends.exchange import Reply, Request
from meshd.gateway.frontends.sent_answer import Answer
from meshd.gateway.frontends.shares.connection_places import ConnectionPlaces
from meshd.gateway.frontends.shares.fair_share import FairShare
from meshd.gateway.frontends.shares.room import Room
from meshd.gateway.frontends.shares.turns import Turns
from meshd.gateway.frontends.workplaces import Workplaces
from modelmesh.errors import (
    InvalidRequestError,
    MeshError,
    QueueFullError,
    RoutingError,
    StreamInterrupted,
)
from modelmesh.wording import told

REMEMBERED_ANSWERS: Final = 512
REMEMBERED_BYTES: Final = 65536  # of one answer
REMEMBERED_SIZE = 8 * 1024**2  # bytes of all answers; each counts for at least its share
REMEMBERED_INTERRUPTIONS = 65536
OWN_OPERATIONS = 256  # listeners and commands (/mesh/…) at a time, in addition to max_inflight
MOST_FIELDS: Final = 100  # headers of a request, or fields of its query: as objects, they take ten times the bytes
_GENEROSITY = 3  # a single user gets three quarters of the places that are not the operators'
_OWN_GENEROSITY = 1 / 13  # and 16 places for listeners and commands, since each of its events goes to all its listeners
STRANGERS_MESSAGE = 1024**2  # bytes of a message of another user, unless its app is known to need more


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the running configuration. request_timeout: seconds; max_message_size: bytes; max_inflight:
    requests."""

    request_timeout: float
    max_message_size: int
    max_inflight: int


@dataclass(frozen=True, slots=True)
class Rights:
    """What a caller may do. operator: root, the daemon's own user, or an administrator; some places are theirs alone.
    max_message_size: bytes. setting: the key that would allow more."""

    operator: bool = False
    max_message_size: int = STRANGERS_MESSAGE
    setting: str = "daemon.max_message_size"


class NotYours(Exception):
    """This request id is in use by another caller."""


class Admission:
    """begin: starts an admitted request. inference: the paths of requests to models. rights: of a caller, by the
    running configuration. draining: only questions about the daemon are admitted. room: counts the bytes that are held
    for each user. connections: the places for connections, at all front ends."""

    def __init__(
        self,
        begin: Callable[[Request], None],
        inference: Collection[str],
        limits: Limits,
        rights: Callable[[Caller], Rights],
        room: Room | None = None,
        connections: ConnectionPlaces | None = None,
    ) -> None:
        self.rights = rights
        self.room = Room() if room is None else room
        self.connections = ConnectionPlaces() if connections is None else connections
        self.workplaces = Workplaces()
        self._turns: Turns | None = None
        self._places = FairShare(limits.max_inflight, _GENEROSITY)
        self._own_places = FairShare(OWN_OPERATIONS, _OWN_GENEROSITY)
        self.use(limits)
        self.draining = False
        self.in_flight: dict[bytes, Request] = {}
        self._begin = begin
        self._inference = inference
        self._interrupted: Shares[bytes] = Shares()  # begun, then cut off by a restart or a lost connection
        self.remembered: dict[bytes, tuple[Caller, Answer]] = {}  # id → who asked, and the answer
        self._shares: Shares[bytes] = Shares()  # owners of the remembered answers

    @property
    def turns(self) -> Turns:
        """Of users, at all front ends together."""
        assert self._turns is not None, "it is open"
        return self._turns

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turns = Turns(loop)

    def close(self) -> None:
        if self._turns is not None:
            self._turns.close()

    def inherit(self, before: Admission) -> None:
        """Take over the requests that a crashed run had answered or begun."""
        self.remembered, self._shares = before.remembered, before._shares
        self._interrupted = before._interrupted

    def use(self, limits: Limits) -> None:
        """Use another configuration from now on."""
        self.limits = limits
        self._places.capacity = limits.max_inflight
        self.room.resize(limits.max_message_size)

    # -- in -------------------------------------------------------------------------------------------

    def has_room(self, caller: Caller, rights: Rights, size: int) -> bool:
        """Whether the daemon may hold that many more bytes for this user."""
        return self.room.fits(caller.shares_as, size, operator=rights.operator, least=2 * rights.max_message_size)

    def admit(
        self, request: Request, size: int, rights: Rights, *, crowded: bool = False, peer: Peer | None = None
    ) -> None:
        """Begin a request, or refuse it. size: bytes that were sent. crowded: there was no room to read all of it.
        peer: the process at the other end, if the caller has a token."""
        refusal = self._refusal(request, size, rights, crowded)
        user = request.caller.shares_as
        self.in_flight[request.request_id] = request
        self._places_for(request).take(user)
        request.held = request.size
        self.room.take(user, request.held)
        if refusal is not None:
            request.reply.error(refusal)
            return
        peer = peer or (request.caller if isinstance(request.caller, Peer) else None)
        if peer is not None and not request.own:
            request.work = self.workplaces.of(peer)
        self._begin(request)

    def replace_body(self, request: Request, body: bytes) -> None:
        """Give a request a longer body, as if it had come with it. Raises InvalidRequestError if its caller may not
        send as much, QueueFullError if there is no room for it now."""
        more, rights = max(len(body) - len(request.body), 0), self.rights(request.caller)
        if len(body) > rights.max_message_size:
            raise _too_large(len(body), rights)
        if not self.has_room(request.caller, rights, more):
            raise holds_much(request.caller)
        self.room.take(request.caller.shares_as, more)
        request.held += more
        request.body = body

    def known(self, request_id: bytes, caller: Caller, resend: bool) -> Request | Answer | None:
        """The request of this id in flight, or the answer that it has had; None if it is new. Raises NotYours."""
        request = self.in_flight.get(request_id)
        if request is not None:
            if request.caller.owner != caller.owner:
                raise NotYours
            return request
        asked, answer = self.remembered.get(request_id, (None, None))
        return answer if resend and asked is not None and asked.owner == caller.owner else None

    def _refusal(self, request: Request, size: int, rights: Rights, crowded: bool) -> MeshError | None:
        if size > rights.max_message_size:
            return _too_large(size, rights)
        if (headers := len(request.headers)) > MOST_FIELDS:
            request.headers = {}
            return too_many("headers", headers)
        if crowded:
            return holds_much(request.caller)
        if self.draining and request.method != "GET" and not request.own:
            return draining()
        full = self._full(request, rights)
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

    def _places_for(self, request: Request) -> FairShare:
        """A listener to events does not take a request's place."""
        return self._own_places if request.own else self._places

    def _full(self, request: Request, rights: Rights) -> str:
        """Why no more of these are accepted now, or ""."""
        places, user = self._places_for(request), request.caller.shares_as
        if places.fits(user, operator=rights.operator):
            return ""
        has, total = places.of(user), places.total
        if request.own:
            return f"{total} event listeners and commands are in progress, {has} of them yours; ask again in a moment."
        return (
            f"{total} requests are in flight, {has} of them yours, and daemon.max_inflight is {places.capacity}; "
            "ask again in a moment."
        )

    # -- out ------------------------------------------------------------------------------------------

    def ended(self, request_id: bytes, reply: Reply, answer: Answer | None) -> None:
        """A request was answered. answer: remembered in case it is lost with its connection; None for a stream."""
        request = self.in_flight.get(request_id)
        if request is None or request.reply is not reply:  # its app has disconnected
            return
        self._leave(request)
        # An error after which a retry may succeed is not remembered: the request is begun again.
        if answer is None or request.stream or (answer.error is not None and answer.error.retryable):
            return
        size = answer.size
        if size <= REMEMBERED_BYTES:
            if answer.error is not None:  # the frames of its traceback hold the request
                answer.error.__traceback__ = answer.error.__context__ = answer.error.__cause__ = None
            self.remembered[request_id] = (request.caller, answer)
            share = REMEMBERED_SIZE // REMEMBERED_ANSWERS
            self._shares.put(request_id, request.caller.shares_as, max(size, share))
            while self._shares.size > REMEMBERED_SIZE:
                del self.remembered[self._shares.pop()]

    def lost(self, request_id: bytes) -> Request | None:
        """The app of a request has disconnected: cancel it, and never begin it again if it was at a provider."""
        request = self.in_flight.get(request_id)
        if request is None:
            return None
        if request.begun:
            self.interrupt((request_id,))
        self._leave(request)
        request.cancel()
        return request

    def _leave(self, request: Request) -> None:
        user = request.caller.shares_as
        del self.in_flight[request.request_id]
        self._places_for(request).give(user)
        self.room.give(user, request.held)

    def interrupt(self, request_ids: Iterable[bytes]) -> None:
        """Never begin these again, since they were sent to a provider and their outcome is unknown."""
        for request_id in request_ids:
            request = self.in_flight.get(request_id)
            self._interrupted.put(request_id, -1 if request is None else request.caller.shares_as)
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
        for request in list(self.in_flight.values()):
            if request.gives_way and not request.begun:  # the next run asks again
                self._cut_off(request)
        while self.inferences and (left := until - time.monotonic()) > 0:
            tasks = (request.task for request in self.in_flight.values() if request.path in self._inference)
            running = {task for task in tasks if task is not None and not task.done()}
            if not running:
                break
            await asyncio.wait(running, timeout=left)
        return self.inferences

    def cut_off(self, crashed: bool) -> None:
        """Tell apps that their open requests will not be completed. After a crash, those not sent to a provider and
        without any part of an answer are not told: their clients send them again, to the next run, which counts
        them."""
        for request in list(self.in_flight.values()):
            reply = request.reply
            if crashed and not request.begun and not reply.sent:
                request.cancel()
                reply.done = request.handed_on = True
                continue
            if request.begun:
                self.interrupt((request.request_id,))
            self._cut_off(request)

    @staticmethod
    def _cut_off(request: Request) -> None:
        error = _cut_off(request)
        request.cancel(error)
        request.reply.error(error)


def too_many(what: str, count: int) -> MeshError:
    """what: fields of a request."""
    return InvalidRequestError(
        f"The request has {count} {what}, and {MOST_FIELDS} are allowed; send fewer.",
        status_code=431,
        code="too_many_fields",
    )


def _too_large(size: int, rights: Rights) -> MeshError:
    return InvalidRequestError(
        f"The message has {size} bytes, and {rights.setting} is {rights.max_message_size}; send less, or raise it.",
        status_code=413,
        code="message_too_large",
    )


def holds_much(caller: Caller) -> MeshError:
    """For a body that there is no room to read."""
    return QueueFullError(
        f"The daemon already holds much data for user {caller.user}; ask again in a moment.", retry_after=ASK_AGAIN_IN
    )


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
