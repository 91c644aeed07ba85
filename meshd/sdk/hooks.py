"""The interface of a hook, which sees each request between app and provider and may take part in it.

Owns: what a hook is told, what it may answer, and the base class `Hook`.
Must never: reach into the daemon; what a hook may use is in its arguments.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec


class Power(enum.Enum):
    """What a hook may do besides observing."""

    CHANGE = "change"
    ANSWER = "answer"
    REFUSE = "refuse"


class RequestFacts(msgspec.Struct, frozen=True):
    """request_id: hex. asked: the body's `model`. pool: the one that this name stands for. app: the caller's label.
    fields: the top level of the body, each value as JSON."""

    request_id: str
    operation: str
    asked: str
    pool: str
    app: str
    stream: bool
    fields: Mapping[str, bytes]


class AttemptFacts(msgspec.Struct, frozen=True):
    """An attempt that is about to be sent. number: 1 for the first."""

    model: str
    provider: str
    number: int


class ResponseFacts(msgspec.Struct, frozen=True):
    """An answer that the app is about to get. body: of a unary answer; None for a stream, whose events the app already
    has. usage: of a stream, as the app gets it. cached: it comes from the cache."""

    body: bytes | None
    usage: Mapping[str, Any] | None
    model: str
    provider: str
    cached: bool


class ErrorFacts(msgspec.Struct, frozen=True):
    """The error that the app gets. code: for programs. message: for people."""

    status: int
    code: str
    message: str


class Change(msgspec.Struct, frozen=True):
    """fields: of the body, by name, each value as JSON; None removes the field."""

    fields: Mapping[str, bytes | None]


class Answer(msgspec.Struct, frozen=True):
    """What the app gets, without any model being asked. body: for a unary request. chunks: for a stream, the data of
    its events."""

    body: bytes = b""
    chunks: tuple[bytes, ...] = ()


class Refusal(msgspec.Struct, frozen=True):
    """The error that the app gets instead of an answer. message: says why, and what to do. status: an HTTP status from
    400 to 599."""

    message: str
    status: int = 403
    code: str = "refused_by_hook"


class Hook:
    """One object, kept until the configuration is loaded again; its methods may run for several requests at once.

    may: what its methods may return besides None. A return value that is not in it, or not of the right form, is a
    mistake of the hook, as are an exception and an answer that takes longer than `timeout` (seconds). A hook that made
    a mistake is set aside until the configuration is loaded again, and requests continue without it. A `required` one,
    such as a guardrail, stays: a request for which it fails is refused.

    The methods run on the router's event loop and may not block it. A method that a class does not define costs
    nothing.
    """

    may: ClassVar[frozenset[Power]] = frozenset()
    required: bool = False
    timeout: float = 1.0

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    async def before_request(self, request: RequestFacts) -> Change | Answer | Refusal | None:
        """Before the cache and all models. A change applies to everything that follows: the pool, the cache, the price,
        the next hook."""

    async def before_attempt(self, request: RequestFacts, attempt: AttemptFacts) -> Refusal | None:
        """Before a model is asked. It cannot change the body, because the cost of this body has been reserved."""

    async def after_response(self, request: RequestFacts, response: ResponseFacts) -> bytes | Refusal | None:
        """Before the app gets an answer, even one from the cache. Returned bytes replace the body. The end of a stream
        can only be refused. A refused answer has been paid for."""

    async def on_stream_event(self, request: RequestFacts, data: bytes) -> bytes | Refusal | None:
        """For each event of a stream, in order, before the app gets it. Returned bytes replace its data. A refusal ends
        the stream."""

    async def on_error(self, request: RequestFacts, error: ErrorFacts) -> None:
        """After the app got an error. Not called for a request that the app itself gave up, or that could not be
        read."""
