"""The routing table: a configuration in the form that decisions use.

Owns: the immutable specifications of models, providers and pools, and the resolution of a request's `model`.
Must never: change after it was built (what changes is in `state.py`), or do I/O.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from meshd.core.prices import FREE, Pricing
from meshd.routing.table.aliases import LONGEST_NAME, Aliases
from meshd.routing.table.capabilities import CapabilityTree
from meshd.routing.table.policies import (
    CachePolicy,
    DeactivationPolicy,
    PacingPolicy,
    RecoveryPolicy,
    RetryPolicy,
    SessionPolicy,
    StreamPolicy,
)
from meshd.sdk.settings import CALL_TIMEOUT
from modelmesh.wording import nearest

RETRYABLE_CODES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
NON_RETRYABLE_CODES = frozenset({400, 401, 403, 404, 422})

_COMPARED = 100  # names that a misspelt one is compared with
_REMEMBERED = 1000  # misspelt names whose nearest are kept: an app repeats its mistake
_WORD = re.compile(r"[^\W_]+")

DEFAULT_STRATEGY = "modelmesh.stick-until-failure.v1"
STICKY = "modelmesh.session-stickiness.v1"
"""The strategy that needs a request's session."""


# -- what may be used ---------------------------------------------------------------------------------

Measure = Literal["cost", "requests", "tokens"]
Window = Literal["day", "month", "rolling", "stint"]
QuotaReset = Literal["monthly", "daily", "rolling"]
BalanceMode = Literal["absolute", "relative"]
OnBudgetExceeded = Literal["rotate", "error"]
UnpricedFields = Literal["refuse", "strip"]


@dataclass(frozen=True, slots=True)
class Allowance:
    """A limit on what one scope may use in one window.

    scope: provider, model, pool, app, or member ("pool\\0model"). limit: 10⁻⁹ USD, requests or tokens.
    window: a calendar day or month, the last 24 hours, or a stint (since it last came back from standby).
    source: the configuration key's meaning, which decides what happens at the limit: a `budget` is money (402,
    `on_budget_exceeded`), a `quota` is a provider's allowance, a `rule` is the pool's deactivation.
    enforce: False: only alerts, at `alert_threshold` of the limit and at the limit.
    """

    scope: str
    name: str
    measure: Measure
    window: Window
    limit: int
    source: Literal["budget", "quota", "rule"] = "budget"
    alert_threshold: float = 0.8
    enforce: bool = True


@dataclass(frozen=True, slots=True)
class RateSpec:
    """Known limits. rpm, tpm: in any 60 s. concurrency: at once. told: the part of a limit reported by the provider
    that may be filled; 1: all."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    told: float = 1.0


NO_RATES = RateSpec()


@dataclass(frozen=True, slots=True)
class KeySpec:
    """One of a provider's keys. id: a fingerprint that names it in logs and state, never the key."""

    id: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class AppSpec:
    """What an app may do. pools, models: None: all. weight: share under contention. max_message_size: bytes; None: the
    default for its user."""

    name: str
    pools: frozenset[str] | None = None
    models: frozenset[str] | None = None
    rate: RateSpec = NO_RATES
    priority: int = 0
    weight: float = 1.0
    admin: bool = False
    passthrough: bool = False  # it may use the own API of providers that allow it
    metrics: bool = False  # it may read the metrics of all apps
    max_message_size: int | None = None


ANY_APP = AppSpec("")


class Origin(enum.IntEnum):
    """Who says that there is such a model. If two models have the same name at their providers, the lower value wins:
    what a provider or a server lists takes no name away."""

    CONFIGURED = 0
    CATALOGUE = 1  # the package's own rows, for this provider
    LISTED = 2  # its provider, which is configured
    FOUND = 3  # a server that discovery found


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as configured or discovered. `features`: true: supported, false: not supported; missing or None: unknown
    (`features.py`)."""

    id: str
    provider: str
    upstream: str  # the id the provider knows
    capabilities: tuple[str, ...]  # leaf ids
    weight: float = 1.0
    features: Mapping[str, bool] | None = field(default_factory=dict)
    synchronous: bool = True
    streaming: bool = True
    context_window: int | None = None
    max_output_tokens: int | None = None
    max_images: int | None = None
    max_file_size: int | None = None  # bytes, of a file inside a request
    languages: tuple[str, ...] = ()
    batch: bool = False
    origin: Origin = Origin.CONFIGURED
    pricing: Pricing = FREE
    priced: bool = True  # False: its prices are unknown, so no budget can pay for it
    vocabulary: str = ""  # the name of its tokenizer, "" where none is published (`routing/request/vocabularies.py`)
    tokens_per_image: int = 0  # at most, 0: unknown (`routing/request/estimate.py`)
    thinks_unheard: bool = False  # it bills reasoning that it does not send
    output_limit: str = "max_tokens"  # the field for its output limit, "" if it has none
    cache_write_percent: int = 200  # of the input price, for writes to a 5-minute cache
    caches_unasked: bool = False  # it writes to its cache on its own, and charges for it
    files_cost_more: bool = False  # than their tokens
    retires: str = ""  # the day from which its provider does not serve it, as `2026-12-31`; "" if none is known
    priced_on: str = ""  # the day of its prices in the catalogue; "" if they are configured
    defaults: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    name: str
    connector: str
    timeout: float = CALL_TIMEOUT  # of a whole call
    retryable_codes: frozenset[int] = RETRYABLE_CODES
    non_retryable_codes: frozenset[int] = NON_RETRYABLE_CODES
    disabled: str = ""  # why it cannot be used at all, "" if it can
    rate: RateSpec = NO_RATES
    passthrough: bool = False  # its own API may be used
    fine_tuning: bool = False  # so may `/v1/fine_tuning`, at this provider
    keyed: bool = True  # it is sent a key, whichever way
    app_keys: bool = False  # that of each app, and none of the daemon's
    keys: tuple[KeySpec, ...] = ()  # only if there are several, else empty
    quota_reset: QuotaReset | None = None
    formats: tuple[str, ...] = ("openai",)  # that its connector speaks


class Selector(Protocol):
    """A pool's `select` with live attributes (`routing/select/expression.py`). scores: it gives a number."""

    text: str
    scores: bool

    def score(self, model: ModelSpec, live: Any = None) -> float | None:
        """None: not selected. Otherwise higher is better."""


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A pool with its members resolved. positions: of each member, for a fast lookup. configured: False for a pool that
    exists because a model has its capability."""

    name: str
    capability: str  # a node id, "" for a pool of listed models only
    members: tuple[str, ...]  # model ids, in configuration order
    strategy: str = DEFAULT_STRATEGY
    model_priority: tuple[str, ...] = ()
    provider_priority: tuple[str, ...] = ()
    fallback_strategy: str | None = None
    fallback_pools: tuple[str, ...] = ()
    balance_mode: BalanceMode = "relative"
    select: Selector | None = None  # only if it uses live attributes
    on_budget_exceeded: OnBudgetExceeded = "rotate"
    unpriced_fields: UnpricedFields = "refuse"  # of a body, under a budget
    pacing: PacingPolicy = field(default_factory=PacingPolicy)
    hedge_after: float | Literal["p95"] | None = None
    mark_caches: bool = False  # prompts are marked for the cache of their provider
    cache: CachePolicy | None = None
    session: SessionPolicy = field(default_factory=SessionPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    deactivation: DeactivationPolicy = field(default_factory=DeactivationPolicy)
    recovery: RecoveryPolicy = field(default_factory=RecoveryPolicy)
    stream: StreamPolicy = field(default_factory=StreamPolicy)
    deactivate_on_auth_failure: bool = True
    deactivate_on_outage: bool = True
    recover_on_probe: bool = True
    configured: bool = True
    positions: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions", {model: at for at, model in enumerate(self.members)})


@dataclass(frozen=True, slots=True)
class Target:
    """What a request's `model` field stands for. alias: the one that led there, as configured; "": none."""

    kind: Literal["pool", "capability", "model"]
    pool: PoolSpec
    alias: str = ""


class UnknownModel(LookupError):
    """No pool, capability or model of that name. `nearest`: the most similar names."""

    def __init__(self, name: str, nearest: list[str]) -> None:
        super().__init__(name)
        self.name = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
        self.nearest = nearest


class RoutingTable:
    """Everything a decision needs that a reload replaces. Shared read-only between threads."""

    def __init__(
        self,
        tree: CapabilityTree,
        models: Iterable[ModelSpec],
        providers: Iterable[ProviderSpec],
        pools: Iterable[PoolSpec],
        apps: Iterable[AppSpec] = (),
        allowances: Iterable[Allowance] = (),
        timezone: str = "UTC",
        aliases: Aliases | None = None,
    ) -> None:
        self.tree = tree
        self.aliases = aliases or Aliases()
        self.apps: dict[str, AppSpec] = {app.name: app for app in apps}
        self.timezone = timezone  # of calendar windows
        self.allowances: dict[tuple[str, str], tuple[Allowance, ...]] = {}
        for allowance in allowances:
            key = (allowance.scope, allowance.name)
            self.allowances[key] = (*self.allowances.get(key, ()), allowance)
        self.budgeted = any(allowance.measure == "cost" for each in self.allowances.values() for allowance in each)
        self.models: dict[str, ModelSpec] = {model.id: model for model in models}
        self.providers: dict[str, ProviderSpec] = {provider.name: provider for provider in providers}
        self.app_keys = any(provider.app_keys for provider in self.providers.values())
        self.pools: dict[str, PoolSpec] = {pool.name: pool for pool in pools}
        self._by_upstream: dict[str, list[str]] = {}
        for model in self.models.values():
            named = self._by_upstream.setdefault(model.upstream, [])
            first = self.models[named[0]].origin if named else model.origin
            if model.origin < first:
                named.clear()
            if model.origin <= first:
                named.append(model.id)
        # What others derive from it once: (pool, app) → vocabularies; for each user of the table, pool → (pool, value).
        self.vocabularies: dict[tuple[str, str], frozenset[str]] = {}
        self.derived: dict[object, dict[str, tuple[PoolSpec, Any]]] = {}
        self._resolved: dict[str, Target] = {}
        self.misspelt: dict[str, list[str]] = {}
        # In the table's order, so that "the most specific pool" is decided once.
        self._pools_by_capability: dict[str, PoolSpec] = {}
        for pool in self.pools.values():
            if pool.capability:
                self._pools_by_capability.setdefault(pool.capability, pool)

    @classmethod
    def empty(cls) -> RoutingTable:
        return cls(CapabilityTree.default(), (), (), ())

    def resolve(self, name: str) -> Target:
        """What `name` stands for: a pool, a capability, a model, or what its alias stands for. The first match wins.

        Raises UnknownModel.
        """
        target = self.find(name)
        if target is None:
            raise UnknownModel(name, self.nearest(name))
        return target

    def find(self, name: str) -> Target | None:
        """The same; None if it stands for nothing."""
        target = self.named(name)
        if target is not None:
            return target
        alias = self.aliases.find(name)
        target = None if alias is None else self.named(alias.target)
        if alias is None or target is None:
            return None
        return replace(target, alias=alias.name)  # not kept: any number of names may match a pattern

    def named(self, name: str) -> Target | None:
        """The pool, capability or model of that name, without aliases."""
        target = self._resolved.get(name)
        if target is None:
            target = self._named(name)
            if target is not None:
                self._resolved[name] = target
        return target

    def pools_of(self, model: str) -> list[str]:
        return [pool.name for pool in self.pools.values() if model in pool.positions]

    def nearest(self, name: str) -> list[str]:
        """Up to three similar names; for a model that several providers have, its possible ids."""
        several = self._by_upstream.get(name, ())
        if len(several) > 1:
            return several[:3]
        found = self.misspelt.get(name)
        if found is None and len(name) <= LONGEST_NAME:
            if len(self.misspelt) >= _REMEMBERED:
                self.misspelt.clear()
            found = self.misspelt[name] = self._find_nearest(name.lower())
        return found or []

    def _find_nearest(self, name: str) -> list[str]:
        served = {node for model in self.models.values() for node in model.capabilities if self._most_specific(node)}
        exact = [alias.name for alias in self.aliases.all if not alias.is_pattern]
        known = [*self.pools, *exact, *map(self.tree.alias, {*self._pools_by_capability, *served}), *self.models]
        known += (upstream for upstream, ids in self._by_upstream.items() if len(ids) == 1)
        if len(known) > _COMPARED:
            # Comparing takes some 50 µs per name, and requests wait: among very many, only those that share a word's
            # beginning.
            words = [word[:4] for word in _WORD.findall(name) if len(word) > 2]
            known.sort(key=lambda candidate: -sum(word in candidate.lower() for word in words))
        return nearest(name, known[:_COMPARED], count=3, cutoff=0.4)

    def _named(self, name: str) -> Target | None:
        pool = self.pools.get(name)
        if pool is not None:
            return Target("pool", pool)
        model = self._model(name)
        node = self.tree.resolve(name)
        if node is not None:
            pool = self._most_specific(node)
            # A pool that exists because of a listed model takes no configured model's name away.
            if pool is not None and (pool.configured or model is None or model.origin is not Origin.CONFIGURED):
                return Target("capability", pool)
        if model is not None:
            return Target("model", self._pool_of_one(model))
        return None

    def _model(self, name: str) -> ModelSpec | None:
        """The model with this id or, where one alone counts, with this name at its provider."""
        by_id, ids = self.models.get(name), self._by_upstream.get(name, ())
        by_upstream = self.models[ids[0]] if len(ids) == 1 else None
        found = [model for model in (by_id, by_upstream) if model is not None]
        return min(found, key=lambda model: model.origin, default=None)

    def _most_specific(self, node: str) -> PoolSpec | None:
        """The pool whose target is `node` or its closest ancestor."""
        while node:
            pool = self._pools_by_capability.get(node)
            if pool is not None:
                return pool
            node = node.rpartition(".")[0]
        return None

    def _pool_of_one(self, model: ModelSpec) -> PoolSpec:
        """A single model is a pool of its own, with the policies of the first pool it is in."""
        home = next((pool for pool in self.pools.values() if model.id in pool.positions), None)
        return replace(
            home or PoolSpec("", "", ()),
            name=model.id,
            capability=model.capabilities[0] if model.capabilities else "",
            members=(model.id,),
            strategy=DEFAULT_STRATEGY,
            model_priority=(),
            provider_priority=(),
            fallback_strategy=None,
            fallback_pools=(),
            select=None,
            hedge_after=None,
        )
