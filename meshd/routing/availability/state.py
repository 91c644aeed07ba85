"""What the router learns: availability, failures, latencies and usage of models and providers.

Owns: the mutable records that decisions read. They belong to the router actor alone.
Must never: decide anything, read a clock, or do I/O; the caller gives times in UTC seconds by `meshd.host.clock`; the
wall clock is `MeshState.ahead` of it.

State belongs to a model *within a pool* (a member) if a rule of the pool caused it, otherwise to the model or provider.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from meshd.core.events.answering import ProviderAnswering
from meshd.core.events.cause import Why
from meshd.core.fair_eviction import Shares
from meshd.routing.availability.error_rate import OutcomeWindow
from meshd.routing.availability.latencies import Latencies
from meshd.routing.budgets.accounts import Accounts
from meshd.routing.rates.rates import Rates
from meshd.routing.standing import INDEFINITELY as INDEFINITELY
from meshd.routing.standing import Availability as Availability
from meshd.routing.table.specs import ModelSpec
from meshd.routing.words import words
from meshd.sdk.provider import FailureKind, QuotaStatus


@dataclass(slots=True)
class MemberState:
    """A model within a pool."""

    availability: Availability = field(default_factory=Availability)
    failures: int = 0  # consecutive
    failed_at: float | None = None  # when the last of them that counted was
    overdue: int = 0  # requests that ran into their own deadlines, with no success since
    overdue_at: float | None = None  # when the last of them that counted was
    outcomes: OutcomeWindow = field(default_factory=OutcomeWindow, compare=False)


@dataclass(slots=True)
class ModelState:
    """A model in all its pools."""

    availability: Availability = field(default_factory=Availability)
    deactivated: str | None = None  # an operator's reason, None while it is allowed
    in_flight: int = 0
    requests: int = 0
    failures: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: int = 0  # 10⁻⁹ USD
    total: Latencies = field(default_factory=Latencies)
    first_token: Latencies = field(default_factory=Latencies)
    last_request: float | None = None
    last_failure: float | None = None
    last_failure_kind: FailureKind | None = None
    last_failure_said: str = ""
    failing_since: float | None = None  # every request has failed since
    answered: bool = False  # since the daemon began
    refused: dict[str, float] = field(default_factory=dict)  # feature → when it was last refused
    output_limit: str = ""  # the name of the limit that it takes, where it refused the one of `ModelSpec.output_limit`
    answered_at: float = -INDEFINITELY  # the last time
    refused_at: float = -INDEFINITELY  # when it last refused an answerable request

    @property
    def last_failure_reason(self) -> str:
        kind, said = self.last_failure_kind, self.last_failure_said
        return said if kind is None else f"{kind}: {said}"

    @property
    def has_answered(self) -> bool:
        return self.answered or bool(self.total.count or self.first_token.count)


@dataclass(slots=True)
class ProviderState:
    availability: Availability = field(default_factory=Availability)
    auth_valid: bool = True
    answering: ProviderAnswering = ProviderAnswering.UNKNOWN
    auth_tried: bool = False  # since the key last changed: a model list may need no key
    connection_failures: int = 0  # consecutive, over all its models
    unreached_at: float | None = None  # when the last of them that counted was
    failing_models: set[str] = field(default_factory=set)  # 5xx since the last success
    forbidden_models: set[str] = field(default_factory=set)  # 403 since the last success
    exhausted_models: set[str] = field(default_factory=set)  # whose quota was used up since the last success
    quota: QuotaStatus | None = None  # its last report
    score: float = 1.0
    probe_error: str = ""  # of a refused model list, while no request has been answered
    last_probe: float | None = None
    latency: float | None = None
    in_flight: int = 0
    requests: int = 0
    cost: int = 0


@dataclass(slots=True)
class PoolState:
    current: str | None = None  # the pool's current model
    rotations: int = 0
    virtual_time: float = 0.0  # round robin's
    turns: dict[str, float] = field(default_factory=dict)  # model → the virtual time of its next turn
    # session, hashed → (the model it moved to, until when it stays there), the longest quiet first
    moved: dict[int, tuple[str, float]] = field(default_factory=dict)
    moved_by: Shares[int] = field(default_factory=Shares)

    def move_to(self, model: str) -> str | None:
        """Make `model` the current one; returns the model that the pool leaves, if another."""
        before, self.current = self.current, model
        return None if before == model else before


@dataclass(frozen=True, slots=True)
class Change:
    """Something became available or unavailable."""

    scope: Literal["member", "model", "provider"]
    available: bool
    why: Why
    pool: str = ""
    model: str = ""
    provider: str = ""
    until: float | None = None

    @property
    def reason(self) -> str:
        """In words."""
        return words(self.why)


class MeshState:
    """All records, created on first use."""

    def __init__(self) -> None:
        self.members: defaultdict[tuple[str, str], MemberState] = defaultdict(MemberState)
        self.models: defaultdict[str, ModelState] = defaultdict(ModelState)
        self.providers: defaultdict[str, ProviderState] = defaultdict(ProviderState)
        self.pools: defaultdict[str, PoolState] = defaultdict(PoolState)
        self.accounts = Accounts()
        self.rates = Rates()
        self.ahead = 0.0  # s that the wall clock is ahead (`recovery.clock_set`)
        self.wake_at = 0.0  # UTC s: before it, `recovery.wake` has nothing to do

    def member(self, pool: str, model: str) -> MemberState:
        return self.members[pool, model]

    def model(self, model: str) -> ModelState:
        return self.models[model]

    def output_limit(self, model: ModelSpec) -> str:
        """The name of the output limit that it takes, "" if it has none."""
        return self.model(model.id).output_limit or model.output_limit

    def provider(self, name: str) -> ProviderState:
        return self.providers[name]

    def pool(self, name: str) -> PoolState:
        return self.pools[name]

    def nothing_in_flight(self) -> None:
        """Forget requests in flight, which were lost with the router."""
        for model in self.models.values():
            model.in_flight, model.availability.tester = 0, None
        for provider in self.providers.values():
            provider.in_flight, provider.availability.tester = 0, None
        for member in self.members.values():
            member.availability.tester = None


def availabilities(state: MeshState, pool: str, model: str, provider: str) -> Iterator[Availability]:
    """Everything that has to be up for `model` to be asked in `pool`, the widest scope first."""
    yield state.provider(provider).availability
    yield state.model(model).availability
    yield state.member(pool, model).availability
