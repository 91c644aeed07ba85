"""What the router learns: availability, failures, latencies and use of models and providers.

Owns: the mutable records that decisions read. They belong to the router actor alone.
Must never: decide anything, read a clock, or do I/O; the caller gives times in UTC seconds by `meshd.host.clock`; the
wall clock is `MeshState.ahead` of it.

State belongs to a model *within a pool* (a member) if a rule of the pool caused it, otherwise to the model or provider.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from meshd.core.fair_eviction import Shares
from meshd.routing.availability.error_rate import OutcomeWindow
from meshd.routing.budgets.accounts import Accounts
from meshd.routing.rates.rates import Rates
from meshd.routing.request.features import load_refused
from meshd.routing.standing import INDEFINITELY as INDEFINITELY
from meshd.routing.standing import Availability as Availability
from meshd.routing.table.specs import ModelSpec
from meshd.sdk.provider import QuotaStatus

_LONGEST_REST = 32 * 86400.0  # s: to the next month
_HISTORY = 128  # latencies kept per model: enough for a p95, few enough for thousands of models


@dataclass(slots=True)
class MemberState:
    """A model within a pool."""

    availability: Availability = field(default_factory=Availability)
    failures: int = 0  # consecutive
    failed_at: float | None = None  # when the last of them that counted was
    overdue: int = 0  # requests that ran into their own deadlines, with no success since
    overdue_at: float | None = None  # when the last of them that counted was
    outcomes: OutcomeWindow = field(default_factory=OutcomeWindow, compare=False)


class Latencies:
    """The last latencies, in seconds; percentiles are exact over them. smoothed: an exponential average in which each
    new value counts an eighth; None while there is none."""

    __slots__ = ("_ordered", "_recent", "_sum", "count", "smoothed")

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_HISTORY)
        self._ordered: list[float] | None = None  # the recent ones, until there is another
        self._sum = 0.0
        self.count = 0
        self.smoothed: float | None = None

    def add(self, seconds: float) -> None:
        self._remember(seconds)
        self._sum += seconds
        self.count += 1

    def _remember(self, seconds: float) -> None:
        self._recent.append(seconds)
        self._ordered = None
        self.smoothed = seconds if self.smoothed is None else self.smoothed + (seconds - self.smoothed) / 8

    @property
    def average(self) -> float | None:
        """Over all latencies ever."""
        return self._sum / self.count if self.count else None

    def percentile(self, fraction: float) -> float | None:
        """Of the recent ones; None if there are none."""
        if not self._recent:
            return None
        ordered = self._ordered
        if ordered is None:
            ordered = self._ordered = sorted(self._recent)
        return ordered[min(int(fraction * len(ordered)), len(ordered) - 1)]

    def dump(self) -> dict[str, Any] | None:
        """None when there is nothing worth keeping."""
        if not self.count:
            return None
        return {"recent": [round(each, 4) for each in self._recent], "sum": round(self._sum, 4), "count": self.count}

    @classmethod
    def load(cls, saved: dict[str, Any] | None) -> Latencies:
        found = cls()
        if saved:
            for each in saved.get("recent", ()):
                found._remember(float(each))
            found._sum, found.count = float(saved.get("sum", 0.0)), int(saved.get("count", 0))
        return found

    def summary(self) -> dict[str, float | None]:
        return {"average": self.average, "p50": self.percentile(0.5), "p95": self.percentile(0.95)}


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
    last_failure_reason: str = ""
    failing_since: float | None = None  # every request has failed since
    answered: bool = False  # since the daemon began
    refused: dict[str, float] = field(default_factory=dict)  # feature → when it was last refused
    output_limit: str = ""  # the name of the limit that it takes, where it refused the one of `ModelSpec.output_limit`
    answered_at: float = -INDEFINITELY  # the last time
    refused_at: float = -INDEFINITELY  # when it last refused an answerable request

    @property
    def has_answered(self) -> bool:
        return self.answered or bool(self.total.count or self.first_token.count)


@dataclass(slots=True)
class ProviderState:
    availability: Availability = field(default_factory=Availability)
    auth_valid: bool = True
    answering: str = ""  # requests: serves; authentication: key refused; nothing: at their path; "": not known yet
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
    """Something became available or unavailable. `scope` is member, model or provider."""

    scope: str
    available: bool
    reason: str
    pool: str = ""
    model: str = ""
    provider: str = ""
    until: float | None = None


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
        """The requests in flight were lost with the router."""
        for model in self.models.values():
            model.in_flight, model.availability.tester = 0, None
        for provider in self.providers.values():
            provider.in_flight, provider.availability.tester = 0, None
        for member in self.members.values():
            member.availability.tester = None


# -- what outlives a restart ---------------------------------------------------------------------------


def dump_availability(availability: Availability) -> dict[str, Any] | None:
    """None when there is nothing worth keeping."""
    if not availability.standby and not availability.relapses and not availability.standby_events:
        return None
    return {
        "standby": availability.standby,
        "until": None if availability.until == INDEFINITELY else availability.until,
        "since": availability.since,
        "reason": availability.reason,
        "cause": availability.cause,
        "probation": availability.probation,
        "relapses": availability.relapses,
        "recovered_at": availability.recovered_at,
        "standby_events": availability.standby_events,
        "quota_resets": availability.quota_resets,
        "downtime": availability.downtime,
    }


def by_the_wall_clock(value: dict[str, Any], ahead: float) -> dict[str, Any]:
    """What was dumped, with its times by the wall clock."""
    if not ahead:
        return value
    moved = dict(value)
    rest = moved.get("availability")
    if rest is not None:
        moved["availability"] = {**rest, **{key: rest[key] + ahead for key in _MOMENTS if rest.get(key)}}
    for name in ("last_failure", "failing_since"):
        if moved.get(name) is not None:
            moved[name] += ahead
    if moved.get("refused"):
        moved["refused"] = {feature: at + ahead for feature, at in moved["refused"].items()}
    return moved


_MOMENTS = ("until", "since", "recovered_at")


def load_availability(saved: Mapping[str, Any], now: float) -> Availability:
    """A saved availability. It never rests longer from now than it was meant to, even if the clock was set."""
    since = _number(saved, "since", now)
    until = INDEFINITELY if saved.get("until") is None else _number(saved, "until", now)
    if until != INDEFINITELY:
        until = min(until, now + min(max(until - since, 0.0), _LONGEST_REST))
    return Availability(
        standby=bool(saved.get("standby")),
        until=until,
        since=min(since, now),
        reason=str(saved.get("reason") or ""),
        cause=str(saved.get("cause") or ""),
        probation=bool(saved.get("probation", True)),
        relapses=_count(saved, "relapses"),
        recovered_at=min(_number(saved, "recovered_at"), now),
        standby_events=_count(saved, "standby_events"),
        quota_resets=_count(saved, "quota_resets"),
        downtime=max(_number(saved, "downtime"), 0.0),
    )


def _saved_availability(saved: Mapping[str, Any], now: float) -> Availability:
    kept = saved.get("availability")
    return load_availability(kept, now) if isinstance(kept, Mapping) else Availability()


def _number(saved: Mapping[str, Any], key: str, default: float = 0.0) -> float:
    """A value written by another version, or by hand, must not keep the daemon from starting."""
    value = saved.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return default
    return float(value)


def _count(saved: Mapping[str, Any], key: str) -> int:
    return max(int(_number(saved, key)), 0)


def _moment(saved: Mapping[str, Any], key: str) -> float | None:
    return None if saved.get(key) is None else _number(saved, key)


def dump_member(member: MemberState) -> dict[str, Any] | None:
    kept = dump_availability(member.availability)
    if kept is None and not member.failures:
        return None
    return {"availability": kept, "failures": member.failures}


def load_member(saved: Mapping[str, Any], now: float) -> MemberState:
    return MemberState(_saved_availability(saved, now), _count(saved, "failures"))


def dump_model(model: ModelState) -> dict[str, Any]:
    return {
        "availability": dump_availability(model.availability),
        "deactivated": model.deactivated,
        "requests": model.requests,
        "failures": model.failures,
        "tokens_in": model.tokens_in,
        "tokens_out": model.tokens_out,
        "cost": model.cost,
        "total": model.total.dump(),
        "first_token": model.first_token.dump(),
        "last_request": model.last_request,
        "last_failure": model.last_failure,
        "last_failure_reason": model.last_failure_reason,
        "failing_since": model.failing_since,
        "refused": dict(model.refused),
    }


def load_model(saved: Mapping[str, Any], now: float) -> ModelState:
    deactivated = saved.get("deactivated")
    return ModelState(
        availability=_saved_availability(saved, now),
        deactivated=None if deactivated is None else str(deactivated),
        requests=_count(saved, "requests"),
        failures=_count(saved, "failures"),
        tokens_in=_count(saved, "tokens_in"),
        tokens_out=_count(saved, "tokens_out"),
        cost=_count(saved, "cost"),
        total=Latencies.load(saved.get("total")),
        first_token=Latencies.load(saved.get("first_token")),
        last_request=_moment(saved, "last_request"),
        last_failure=_moment(saved, "last_failure"),
        last_failure_reason=str(saved.get("last_failure_reason") or ""),
        failing_since=_moment(saved, "failing_since"),
        refused=load_refused(saved.get("refused"), now),
    )


def dump_provider(provider: ProviderState) -> dict[str, Any]:
    return {
        "availability": dump_availability(provider.availability),
        "auth_valid": provider.auth_valid,
        "requests": provider.requests,
        "cost": provider.cost,
    }


def load_provider(saved: Mapping[str, Any], now: float) -> ProviderState:
    return ProviderState(
        availability=_saved_availability(saved, now),
        auth_valid=bool(saved.get("auth_valid", True)),
        requests=_count(saved, "requests"),
        cost=_count(saved, "cost"),
    )


def availabilities(state: MeshState, pool: str, model: str, provider: str) -> Iterator[Availability]:
    """Everything that has to be up for `model` to be asked in `pool`, the widest scope first."""
    yield state.provider(provider).availability
    yield state.model(model).availability
    yield state.member(pool, model).availability
