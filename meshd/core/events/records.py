"""What happened: attempts, finished requests, and events for operators. Telemetry gets them."""

from __future__ import annotations

from typing import Any

from meshd.core.events.cause import Cause
from meshd.core.events.event_type import EventType
from meshd.core.messaging.message import Message
from meshd.core.tracing import Trace
from meshd.sdk.calls.tracing import HttpCall


class Attempt(Message, frozen=True, array_like=True):
    """One attempt at one model. Times in seconds, money in 10⁻⁹ USD.

    tokens_in, tokens_out, cost, units: of this attempt alone, also if it failed. units: what else was counted, by the
    names of `core/prices.py`. hedge: it was sent in addition to another that was slow."""

    model: str
    provider: str
    ok: bool
    reason: str = ""  # a FailureKind, or "" when ok
    message: str = ""
    status: int = 0
    duration: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: int = 0
    hedge: bool = False
    units: dict[str, int] = {}
    began: float = 0.0  # by `meshd.host.clock`; these two only in a traced request
    calls: tuple[HttpCall, ...] = ()


class Outcome(Message, frozen=True, array_like=True):
    """A finished request → telemetry (log, statistics). Times in seconds, money in 10⁻⁹ USD.

    Tokens, cost and units are sums over all attempts; a remainder that attempts do not account for belongs to the
    answering one. cached: answered without asking a provider. account: the entry of `apps` whose limits apply. project,
    agent, session, label: what it was for, as far as its app or its process says; names that anyone may choose."""

    request_id: str  # hex
    at: float  # UTC, s: when it arrived
    operation: str
    asked: str  # the request's `model` field, as the app wrote it
    status: int  # what the app got: 200, or the error's status; 499: the app disconnected
    pool: str = ""
    model: str = ""
    provider: str = ""
    stream: bool = False
    attempts: tuple[Attempt, ...] = ()
    app: str = ""
    uid: int = -1
    pid: int = 0
    unit: str = ""
    exe: str = ""
    label: str = ""
    project: str = ""
    agent: str = ""
    session: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost: int = 0
    queue_time: float = 0.0
    routing_time: float = 0.0
    first_token_time: float | None = None
    total_time: float = 0.0
    error: str = ""
    rotations: int = 0
    retries: int = 0
    hedges: int = 0
    cached: bool = False
    account: str = ""
    user: str = ""
    units: dict[str, int] = {}
    bytes_in: int = 0  # of a request that was passed on unread, and of its answer
    bytes_out: int = 0
    content: Any = None  # a `Content`, for sinks alone
    arrived: float = 0.0  # by `meshd.host.clock`
    trace: Trace | None = None


class Event(Message, frozen=True):
    """Something that operators may want to know → telemetry and live listeners."""

    type: EventType
    at_ns: int  # UTC
    severity: str = "info"
    ids: dict[str, str] = {}  # pool, model, provider, app, request, actor, secret
    reason: str = ""  # for people
    changed: dict[str, Any] = {}
    cause: Cause | None = None  # of `reason`: why something was set aside, came back or was replaced
    uid: int = -1  # of the caller that it is about
    account: str = ""  # of that caller; "": it is about no caller
