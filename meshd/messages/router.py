"""What the router hears."""

from __future__ import annotations

from typing import Any

from meshd.core.messaging.message import Message
from meshd.messages.state import RestoredState
from meshd.sdk.storage import Grant


class Drain(Message, frozen=True):
    """Stop taking new requests; answered when none is in flight or after `timeout` seconds."""

    timeout: float


class Listen(Message, frozen=True):
    """Serve this address too (`ipc://…`, `inproc://…`). fd: a socket that listens there already, which the sender
    continues to own. mode, gid: of the socket's file, set at every bind; None: as the umask makes them."""

    address: str
    fd: int | None = None
    mode: int | None = None
    gid: int | None = None


class ListenHttp(Message, frozen=True):
    """Listen for HTTP, as the configuration says. by_default: whether, if it does not say. socket: the path of the UNIX
    socket, if it names none; "" for none. mode, gid: of that file."""

    by_default: bool = False
    socket: str = ""
    mode: int | None = None
    gid: int | None = None


class Probe(Message, frozen=True):
    """Ask this provider whether it answers (health → router, which owns the connections). quota: if it does, also ask
    what is left of its quota."""

    provider: str
    method: str  # auto, models, completion
    timeout: float
    token: int = 0  # given back in Probed
    quota: bool = False


class ProbeModels(Message, frozen=True):
    """Ask each of these members of the pool for one token (health → router, which knows their state and the budgets,
    and acts on the answers itself). models: None: all. resting: only those that are set aside because they failed."""

    pool: str
    timeout: float
    models: tuple[str, ...] | None = None
    resting: bool = False


class HealthReport(Message, frozen=True):
    """What health knows about a provider (health → router). score: 0 to 1. kind: the FailureKind of `error`, if any.

    probed: sent because a probe ended, not because a request failed. answered: the probe was answered; only this says
    that the provider works. refused: a server answers, but refuses its list of models.
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
    """What does this provider offer? (discovery → router, answered by ModelsListed). details: also ask about each model
    separately."""

    provider: str
    timeout: float
    details: bool = False


class Expecting(Message, frozen=True):
    """Whether first lists of models are still awaited, so that an unknown model may yet be found (discovery →
    router)."""

    more: bool


class RestoreState(Message, frozen=True):
    """Continue where an earlier run ended (at the start, and after an import). journal: the segment to append to."""

    restored: RestoredState
    journal: str = ""


class RotateJournal(Message, frozen=True):
    """Append to this new segment from now on (state → router). The router tells JournalRotated, and this is sent again
    until it does. A router that already writes to `path` tells it again."""

    path: str


class BudgetGrants(Message, frozen=True):
    """state → router: by a claim's key, what is granted. connected: by the storage; otherwise what was kept before."""

    number: int
    grants: dict[str, Grant]
    connected: bool


class SpentElsewhere(Message, frozen=True):
    """state → router: what other daemons have spent in this one's budgets, which it did not know. rows: as in the
    restored table "usage"."""

    rows: dict[str, dict[str, Any]]


class SaveCounters(Message, frozen=True):
    """→ router: tell the state actor everything that changed; answered when that is done."""


class RouterCommand(Message, frozen=True):
    """The facade calls an operation of the dispatch table → router. Answered with its JSON-like value."""

    method: str
    path: str
    body: dict[str, Any] = {}
    query: dict[str, str] = {}


class ReadGauges(Message, frozen=True):
    """→ router; answered with the metrics that show its state now, a tuple of `sdk.metrics.Family`."""
