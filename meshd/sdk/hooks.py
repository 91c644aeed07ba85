"""The interface of a hook, which sees each request between app and provider and may take part in it.

Owns: what a hook is told, what it may answer, and the base class `Hook`.
Must never: reach into the daemon; what a hook may use is in its arguments.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


class Power(enum.Enum):
    """What a hook may do beside observing."""

    CHANGE = "change"
    ANSWER = "answer"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """request_id: hex. asked: the body's `model`. pool: that this name stands for. app: the label of the caller.
    fields: the top level of the body, each value as JSON."""

    request_id: str
    operation: str
    asked: str
    pool: str
    app: str
    stream: bool
    fields: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """An attempt that is about to leave. number: 1 for the first."""

    model: str
    provider: str
    number: int


@dataclass(frozen=True, slots=True)
class ResponseFacts:
    """An answer that the app is about to get. body: of a unary answer; None of a stream, whose events have gone
    already. usage: of a stream, as the app gets it. cached: it is from the cache."""

    body: bytes | None
    usage: Mapping[str, Any] | None
    model: str
    provider: str
    cached: bool


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """The error that the app gets. code: for programs. message: for people."""

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Change:
    """fields: of the body, by name, each value as JSON; None takes the field out."""

    fields: Mapping[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the app gets, and no model is asked. body: of a unary request. chunks: of a stream, the data of its
    events."""

    body: bytes = b""
    chunks: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error that the app gets instead. message: says why, and what to do. status: of HTTP, 400 to 599."""

    message: str
    status: int = 403
    code: str = "refused_by_hook"


class Hook:
    """One object, kept until the configuration is loaded again; its methods may run for several requests at once.

    may: what its methods may return beside None. A return value that is not in it, or not of the right form, is a
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
        """Before the cache and all models. What it changes counts for everything that follows: the pool, the cache, the
        price. The next hook sees the change."""

    async def before_attempt(self, request: RequestFacts, attempt: AttemptFacts) -> Refusal | None:
        """Before a model is asked. It cannot change the body: what was reserved for it is settled by now."""

    async def after_response(self, request: RequestFacts, response: ResponseFacts) -> bytes | Refusal | None:
        """Before the app gets an answer, also one from the cache; bytes: the body instead. The end of a stream can only
        be refused. A refused answer has been paid for."""

    async def on_stream_event(self, request: RequestFacts, data: bytes) -> bytes | Refusal | None:
        """For each event of a stream, in order, before the app has it; bytes: its data instead. A refusal ends the
        stream."""

    async def on_error(self, request: RequestFacts, error: ErrorFacts) -> None:
        """After the app got an error. Not for a request that the app itself gave up, or that could not be read."""
