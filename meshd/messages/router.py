"""What the router hears."""

from __future__ import annotations

from typing import Any

from meshd.core.message import Message
from meshd.messages.state import RestoredState


class Drain(Message, frozen=True):
    """Stop taking new requests; answered when none is in flight or after `timeout` seconds."""

    timeout: float


class Listen(Message, frozen=True):
    """Serve at this address too (`ipc://…`, `inproc://…`). fd: a socket that listens there already, which stays
    the sender's. mode, gid: what the socket's file gets at every bind; None: what the umask leaves."""

    address: str
    fd: int | None = None
    mode: int | None = None
    gid: int | None = None


class Probe(Message, frozen=True):
    """Ask this provider whether it is there (health → router, which owns the connections). quota: if it is, also what
    is left of its quota."""

    provider: str
    method: str  # auto, models, completion
    timeout: float
    token: int = 0  # given back in Probed
    quota: bool = False


class ProbeModels(Message, frozen=True):
    """Ask each of these members of the pool for one token (health → router, which knows which of them rest, has the
    budgets, and acts on the answers itself). models: None: all. resting: only those that rest because they failed."""

    pool: str
    timeout: float
    models: tuple[str, ...] | None = None
    resting: bool = False


class HealthReport(Message, frozen=True):
    """What health thinks of a provider (health → router). score 0…1. kind: the FailureKind of `error`, if any.

    probed: a probe ended, rather than a request failed. answered: it was answered; nothing else says that the
    provider works. refused: something is there, and refuses its list of models.
    """

    provider: str
    available: bool
    score: float
    latency: float
    error: str = ""
    at: float = 0.0
    kind: str = ""
    probed: bool = False
    answered: bool = False
    refused: bool = False


class ListModels(Message, frozen=True):
    """What does this provider offer? (discovery → router, answered by ModelsListed). details: ask about each model
    by itself, too."""

    provider: str
    timeout: float
    details: bool = False


class Expecting(Message, frozen=True):
    """Whether models that are not known yet may still be found, as first lists are awaited (discovery → router)."""

    more: bool


class RestoreState(Message, frozen=True):
    """Take up where an earlier life ended (at boot, and after an import). journal: the segment to append to."""

    restored: RestoredState
    journal: str = ""


class RotateJournal(Message, frozen=True):
    """Append to this fresh segment from now on (state → router), answered by telling JournalRotated. Sent again
    until then; a router that writes to `path` already says so again."""

    path: str


class SaveCounters(Message, frozen=True):
    """→ router: tell state of everything that changed; answered when it is told."""


class RouterCommand(Message, frozen=True):
    """A facade's call on the router: an operation of the dispatch table, answered with its JSON-like value."""

    method: str
    path: str
    body: dict[str, Any] = {}
    query: dict[str, str] = {}
