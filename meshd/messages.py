"""Every message that one actor sends another. Immutable; nothing here has behaviour.

Owns: the vocabulary of the system's inside. A message named in the imperative asks for something (`Probe`),
one in the past tense reports it (`Probed`). Each says which actor receives it (`→`).
Must never: carry a mutable object that two actors would share, or a secret outside `SecretsResolved` and
`Generation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from meshd.compilation.running_config import Generation


class Message(msgspec.Struct, frozen=True, gc=False):
    """The root of all messages."""


# -- supervision --------------------------------------------------------------------------------------


class ActorFailed(Message, frozen=True):
    """An actor died of an exception → supervisor."""

    name: str
    error: str


class Beat(Message, frozen=True):
    """Are you alive? Every actor answers True (an `ask`); the router's answer feeds the watchdog."""


class Tick(Message, frozen=True):
    """A timer of the actor's own came due. `what` names it."""

    what: str


class Supervision(Message, frozen=True):
    """→ supervisor; answered with a map: pid, and the actors with what became of them."""


class Drain(Message, frozen=True):
    """Stop taking new requests; answered when none is in flight or after `timeout` seconds."""

    timeout: float


# -- configuration: two-phase reload ------------------------------------------------------------------


class Reload(Message, frozen=True):
    """Read the file again → config. Answered with a ReloadReport. `config`: this MeshConfig instead.
    `digest`: of the content that was seen; if it has changed since, another Reload follows. `secrets_only`: the file is
    not read, only its secrets have new values."""

    dry_run: bool = False
    config: Any = None
    digest: bytes | None = None
    secrets_only: bool = False
    reason: str = "asked"


class ReloadReport(Message, frozen=True):
    """What a reload changed, or why it was refused. problems: maps with path, file, line, message, suggestion."""

    ok: bool
    changes: tuple[str, ...] = ()
    problems: tuple[dict[str, Any], ...] = ()
    generation: int = 0
    dry_run: bool = False
    duration: float = 0.0  # s
    at: float = 0.0  # UTC, s


class LastReload(Message, frozen=True):
    """→ config; answered with the last ReloadReport, None before the first reload."""


class GetConfig(Message, frozen=True):
    """→ config; answered with the MeshConfig in use, references unresolved."""


class Prepare(Message, frozen=True):
    """Can you run this? → every actor; answered with a tuple of objections, empty to agree."""

    generation: Generation


class Commit(Message, frozen=True):
    """Run the generation prepared."""

    number: int


class Discard(Message, frozen=True):
    """Forget the generation prepared."""

    number: int


class CatalogueChanged(Message, frozen=True):
    """A provider's offer, as discovery found it → config, which makes the next generation from it.

    models: the whole list the provider offers now, None when it went away. settings: for a local server that
    no configuration names, the provider section to add.
    """

    provider: str
    models: tuple[dict[str, Any], ...] | None
    settings: dict[str, Any] | None = None


# -- secrets ------------------------------------------------------------------------------------------


class ResolveSecrets(Message, frozen=True):
    """→ secret; answered with SecretsResolved. `stores`: the `secrets` section, for a generation not yet
    committed; None: the committed one. `folder`: the base of relative paths in it (the configuration file's folder).
    `fresh`: ask the stores again, ignoring the cache."""

    names: tuple[str, ...]
    section: dict[str, Any] | None = None
    folder: str = ""
    fresh: bool = False


class SecretsResolved(Message, frozen=True):
    values: dict[str, str]
    missing: dict[str, str]  # name → why

    def __repr__(self) -> str:  # a value never reaches a log
        return f"SecretsResolved({sorted(self.values)}, missing={sorted(self.missing)})"


class RefreshSecret(Message, frozen=True):
    """A provider refused the key made from these secrets: read them again → secret. Answered with SecretsLookedAt; if
    one has changed, config has got `Reload(secrets_only=True)` before."""

    names: tuple[str, ...]
    provider: str
    reason: str = "the provider refused the old value"


class SecretFilesTouched(Message, frozen=True):
    """The watch → secret."""


class SecretsLookedAt(Message, frozen=True):
    """unsettled: they are being written; ask again in a moment."""

    changed: tuple[str, ...] = ()
    unsettled: bool = False


# -- what became of requests --------------------------------------------------------------------------


class Attempt(Message, frozen=True):
    """One attempt at one model. Times in seconds, money in 10⁻⁹ USD.

    tokens_in, tokens_out, cost: of this attempt alone, also of one that failed. hedge: it was sent beside another
    that was slow."""

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


class Outcome(Message, frozen=True):
    """A finished request → telemetry (log, statistics). Times in seconds, money in 10⁻⁹ USD.

    Tokens and cost are sums over all attempts; a remainder that attempts do not account for belongs to the answering
    one. cached: answered without asking a provider. account: the name the app's use is limited under."""

    request_id: str  # hex
    at: float  # UTC, s: when it arrived
    operation: str
    asked: str  # the `model` field as the app wrote it
    status: int  # what the app got: 200, or the error's status; 499: it went away
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


class Event(Message, frozen=True):
    """Something operators want to know (listed in `spec/telemetry.md`) → telemetry, and live listeners."""

    type: str
    at_ns: int  # UTC
    severity: str = "info"
    ids: dict[str, str] = {}  # pool, model, provider, app, request, actor, secret
    reason: str = ""
    changed: dict[str, Any] = {}


class QueryStatistics(Message, frozen=True):
    """→ telemetry; answered with a list of maps, one a group. since, until: seconds back from now.

    scope: one or several, comma separated, of `telemetry.dimensions`. name: only this one of the first of them.
    where: only what has these values, dimension → value."""

    scope: str
    name: str | None = None
    since: float | None = None
    until: float | None = None
    where: dict[str, str] = {}


class LogWritten(Message, frozen=True):
    """A record of the daemon's own `logging` → telemetry, which writes it to the sinks."""

    at_ns: int
    severity: str
    logger: str
    text: str
    traceback: str = ""


class RecentEvents(Message, frozen=True):
    """→ telemetry; answered with a list of the last Events, oldest first (200 are kept)."""

    types: frozenset[str] = frozenset()
    limit: int = 200


class TelemetryStatus(Message, frozen=True):
    """→ telemetry; answered with a list of maps, one a sink: sink, written, waiting, dropped, error."""


class FlushTelemetry(Message, frozen=True):
    """Write out everything buffered; answered when it is done."""


# -- state --------------------------------------------------------------------------------------------


class StateChanged(Message, frozen=True):
    """A part of the router's state that outlives a restart → state. `key` is (table, id), value None: gone.

    Tables: member (pool\\x00model), model, provider, pool, keys (of a provider, that rest).
    durable: somebody decided it, so that it is written at once (unless nothing is: the policy `in-memory`).
    """

    table: str
    key: str
    value: dict[str, Any] | None
    durable: bool = False


class LoadState(Message, frozen=True):
    """→ state at boot; answered with RestoredState."""


class RestoredState(Message, frozen=True):
    """tables: table → key → value. begun: ids of requests that an earlier life had sent to a provider and
    not settled (they count as spent, and are not sent again). answered: ids whose provider answered just before a
    crash, so that the answer may not have reached the app (not sent again either)."""

    tables: dict[str, dict[str, dict[str, Any]]]
    begun: frozenset[bytes]
    answered: frozenset[bytes] = frozenset()


class JournalRotated(Message, frozen=True):
    """The router writes to a new segment from now on → state. `finished` is the one to fold and remove."""

    finished: str


class OpenJournal(Message, frozen=True):
    """→ state; answered with the path of a fresh segment, which the router opens for appending; "" while the
    disk takes none (a RotateJournal follows when it does)."""


class RotateJournal(Message, frozen=True):
    """Append to this fresh segment from now on (state → router), answered by telling JournalRotated. Sent again
    until then; a router that writes to `path` already says so again."""

    path: str


class LoadTable(Message, frozen=True):
    """→ state; answered with the rows of a table, id → value. For tables that RestoredState leaves out
    (`statistics`)."""

    table: str


class TableLoaded(Message, frozen=True):
    """The answer to LoadTable, for an actor that does not wait for one."""

    table: str
    rows: dict[str, dict[str, Any]]


class SyncState(Message, frozen=True):
    """Write everything; answered with SyncStatus."""


class GetSyncStatus(Message, frozen=True):
    """→ state; answered with a map for `meshctl status`: ok, error, directory, spend_today (USD), …"""


class SyncStatus(Message, frozen=True):
    ok: bool
    error: str = ""
    at: float = 0.0
    pending: int = 0
    journal_bytes: int = 0


class ExportState(Message, frozen=True):
    """→ state; answered with one map."""


class ImportState(Message, frozen=True):
    """→ state; replaces what is kept, answered with the RestoredState that the router has to adopt."""

    state: dict[str, Any]


# -- health and discovery -----------------------------------------------------------------------------


class Probe(Message, frozen=True):
    """Ask this provider whether it is there (health → router, which owns the connections). quota: and if it is, what
    is left of its quota."""

    provider: str
    method: str  # auto, models, completion
    timeout: float
    token: int = 0  # given back in Probed
    quota: bool = False


class ProbeModels(Message, frozen=True):
    """Ask each of these members of the pool for one token (health → router, which knows who rests, has the budgets,
    and acts on the answers itself). models: None: all. resting: only those that rest because they failed."""

    pool: str
    timeout: float
    models: tuple[str, ...] | None = None
    resting: bool = False


class Probed(Message, frozen=True):
    """How a probe went (router → health). error: "" when it answered. refused: something is there, and does not list
    its models. requests: what became of those sent to it, as `ProviderState.answering`."""

    provider: str
    token: int
    latency: float
    error: str = ""
    kind: str = ""
    refused: bool = False
    requests: str = ""


class ProviderFailed(Message, frozen=True):
    """A request's attempt met a failure that says something of the provider (router → health)."""

    provider: str
    kind: str
    message: str


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


class ProbeNow(Message, frozen=True):
    """`meshctl probe [PROVIDER]` → health. Answered with a list of maps when all have answered."""

    provider: str | None = None


class ListModels(Message, frozen=True):
    """What does this provider offer? (discovery → router, answered by ModelsListed). details: ask about each model
    by itself, too."""

    provider: str
    timeout: float
    details: bool = False


class ModelsListed(Message, frozen=True):
    provider: str
    models: tuple[dict[str, Any], ...]
    error: str = ""


class Expecting(Message, frozen=True):
    """Whether models that are not known yet may still be found, as first lists are awaited (discovery → router)."""

    more: bool


class LocalScanned(Message, frozen=True):
    """A look around this machine ended (discovery → itself, from the thread that looked). None: it failed."""

    found: Any


class DiscoverNow(Message, frozen=True):
    """`meshctl discover` → discovery. Answered with a list of maps: what was found, new and gone."""


# -- commands to the router ---------------------------------------------------------------------------


class Listen(Message, frozen=True):
    """Serve at this address too (`ipc://…`, `inproc://…`). fd: a socket that listens there already, which stays
    the sender's. mode, gid: what the socket's file gets at every bind; None: what the umask leaves."""

    address: str
    fd: int | None = None
    mode: int | None = None
    gid: int | None = None


class RestoreState(Message, frozen=True):
    """Take up where an earlier life ended (at boot, and after an import). journal: the segment to append to."""

    restored: RestoredState
    journal: str = ""


class SaveCounters(Message, frozen=True):
    """→ router: tell state of everything that changed; answered when it is told."""


class RouterCommand(Message, frozen=True):
    """A facade's call on the router: an operation of the dispatch table, answered with its JSON-like value."""

    method: str
    path: str
    body: dict[str, Any] = {}
    query: dict[str, str] = {}


class Subscribe(Message, frozen=True):
    """Give me events as they happen: `listener(event)` is called in the telemetry actor's thread."""

    listener: Any
    types: frozenset[str] = frozenset()


class Unsubscribe(Message, frozen=True):
    listener: Any
