"""The routing table: what a configuration says, in the form that requests are decided by.

Owns: the immutable specifications of models, providers and pools, and the resolution of a request's `model`.
Must never: change after it was built (what changes is in `state.py`), or do I/O.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from meshd.routing.capabilities import CapabilityTree

RETRYABLE_CODES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
NON_RETRYABLE_CODES = frozenset({400, 401, 403, 404, 422})

_LONGEST_NAME = 200  # characters of a name that is looked for, or repeated in an error
_COMPARED = 1000  # names that a misspelt one is compared with
_REMEMBERED = 1000  # misspelt names whose nearest are kept: an app repeats its mistake
_WORD = re.compile(r"[^\W_]+")

DEFAULT_STRATEGY = "modelmesh.stick-until-failure.v1"


@dataclass(frozen=True, slots=True)
class Pricing:
    """10⁻⁹ USD; the per-1M prices are of 10⁶ tokens."""

    input_per_1m: int = 0
    output_per_1m: int = 0
    cached_input_per_1m: int | None = None  # None: as input
    per_request: int = 0

    def cost(self, tokens_in: int, tokens_out: int, tokens_cached: int = 0) -> int:
        """Of one request, rounded up, so that a sum of requests never undercounts."""
        cached_price = self.input_per_1m if self.cached_input_per_1m is None else self.cached_input_per_1m
        fresh = max(tokens_in - tokens_cached, 0)
        millionths = fresh * self.input_per_1m + tokens_cached * cached_price + tokens_out * self.output_per_1m
        return -(-millionths // 1_000_000) + self.per_request


FREE = Pricing()


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as configured or discovered. `features` says what it declares; None: discovery found it and
    nothing is known of it, so anything may be asked."""

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
    pricing: Pricing = FREE
    defaults: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    name: str
    connector: str
    timeout: float = 60.0  # s, a whole call
    retryable_codes: frozenset[int] = RETRYABLE_CODES
    non_retryable_codes: frozenset[int] = NON_RETRYABLE_CODES
    disabled: str = ""  # why it cannot be used at all, "" when it can


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    max_attempts: int = 2  # on the same model
    backoff: Literal["fixed", "exponential_jitter", "retry_after"] = "exponential_jitter"
    initial_delay: float = 0.5  # s
    max_delay: float = 10.0  # s
    retryable_codes: frozenset[int] | None = None  # None: the provider's
    non_retryable_codes: frozenset[int] | None = None
    scope: Literal["same_model", "same_provider", "any"] = "any"
    honor_retry_after: bool = True
    deadline: float | None = None  # s, all attempts; None: the request's


@dataclass(frozen=True, slots=True)
class DeactivationPolicy:
    retry_limit: int = 3  # consecutive failures
    error_codes: frozenset[int] | None = None  # those that count; None: retryable codes, 401, 403


@dataclass(frozen=True, slots=True)
class RecoveryPolicy:
    cooldown: float = 60.0  # s
    max_cooldown: float = 900.0  # s


@dataclass(frozen=True, slots=True)
class StreamPolicy:
    first_token_timeout: float = 30.0  # s
    idle_timeout: float = 30.0  # s


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A pool with its members resolved. positions: of each member, for finding one at once."""

    name: str
    capability: str  # a node id, "" for a pool of listed models only
    members: tuple[str, ...]  # model ids, in configuration order
    strategy: str = DEFAULT_STRATEGY
    model_priority: tuple[str, ...] = ()
    provider_priority: tuple[str, ...] = ()
    retry: RetryPolicy = RetryPolicy()
    deactivation: DeactivationPolicy = DeactivationPolicy()
    recovery: RecoveryPolicy = RecoveryPolicy()
    stream: StreamPolicy = StreamPolicy()
    deactivate_on_auth_failure: bool = True
    deactivate_on_outage: bool = True
    recover_on_probe: bool = True
    positions: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions", {model: at for at, model in enumerate(self.members)})


@dataclass(frozen=True, slots=True)
class Target:
    """What a request's `model` field stands for."""

    kind: Literal["pool", "capability", "model"]
    pool: PoolSpec


class UnknownModel(LookupError):
    """No pool, capability or model of that name. `nearest` names those most like it."""

    def __init__(self, name: str, nearest: list[str]) -> None:
        super().__init__(name)
        self.name = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
        self.nearest = nearest


class RoutingTable:
    """Everything a decision needs that a reload replaces. Shared read-only between threads."""

    def __init__(
        self,
        tree: CapabilityTree,
        models: Iterable[ModelSpec],
        providers: Iterable[ProviderSpec],
        pools: Iterable[PoolSpec],
    ) -> None:
        self.tree = tree
        self.models: dict[str, ModelSpec] = {model.id: model for model in models}
        self.providers: dict[str, ProviderSpec] = {provider.name: provider for provider in providers}
        self.pools: dict[str, PoolSpec] = {pool.name: pool for pool in pools}
        self._by_upstream: dict[str, list[str]] = {}
        for model in self.models.values():
            self._by_upstream.setdefault(model.upstream, []).append(model.id)
        self._resolved: dict[str, Target] = {}
        self._nearest: dict[str, list[str]] = {}
        # In the order of the table, so that "the most specific pool" is decided once.
        self._pools_by_capability: dict[str, PoolSpec] = {}
        for pool in self.pools.values():
            if pool.capability:
                self._pools_by_capability.setdefault(pool.capability, pool)

    @classmethod
    def empty(cls) -> RoutingTable:
        return cls(CapabilityTree.default(), (), (), ())

    def resolve(self, name: str) -> Target:
        """What `name` stands for: a pool, a capability, a model. First match wins (spec/capabilities.md).

        Raises UnknownModel.
        """
        target = self._resolved.get(name)
        if target is None:
            target = self._resolved[name] = self._resolve(name)
        return target

    def pools_of(self, model: str) -> list[str]:
        return [pool.name for pool in self.pools.values() if model in pool.positions]

    def nearest(self, name: str) -> list[str]:
        """Up to three names like it; of a model that several providers have, the ids it may be meant by."""
        several = self._by_upstream.get(name, ())
        if len(several) > 1:
            return several[:3]
        found = self._nearest.get(name)
        if found is None and len(name) <= _LONGEST_NAME:
            if len(self._nearest) >= _REMEMBERED:
                self._nearest.clear()
            found = self._nearest[name] = self._find_nearest(name.lower())
        return found or []

    def _find_nearest(self, name: str) -> list[str]:
        known = [*self.pools, *map(self.tree.alias, self._pools_by_capability), *self.models]
        known += (upstream for upstream, ids in self._by_upstream.items() if len(ids) == 1)
        folded = {candidate.lower(): candidate for candidate in known}
        if len(folded) > _COMPARED:
            # Comparing takes microseconds a name, and requests wait: of very many, those that share a word's beginning.
            words = [word[:4] for word in _WORD.findall(name) if len(word) > 2]
            near = sorted(folded, key=lambda candidate: -sum(word in candidate for word in words))
            folded = {candidate: folded[candidate] for candidate in near[:_COMPARED]}
        return [folded[match] for match in difflib.get_close_matches(name, folded, n=3, cutoff=0.4)]

    def _resolve(self, name: str) -> Target:
        pool = self.pools.get(name)
        if pool is not None:
            return Target("pool", pool)
        node = self.tree.resolve(name)
        if node is not None:
            pool = self._most_specific(node)
            if pool is not None:
                return Target("capability", pool)
        model = self.models.get(name)
        if model is None:
            ids = self._by_upstream.get(name, ())
            model = self.models[ids[0]] if len(ids) == 1 else None
        if model is not None:
            return Target("model", self._pool_of_one(model))
        raise UnknownModel(name, self.nearest(name))

    def _most_specific(self, node: str) -> PoolSpec | None:
        """The pool whose target is `node` or its closest ancestor."""
        while node:
            pool = self._pools_by_capability.get(node)
            if pool is not None:
                return pool
            node = node.rpartition(".")[0]
        return None

    def _pool_of_one(self, model: ModelSpec) -> PoolSpec:
        """A concrete model is a pool of itself, with the policies of the first pool it is in."""
        home = next((pool for pool in self.pools.values() if model.id in pool.positions), None)
        policies = home or PoolSpec("", "", ())
        return PoolSpec(
            name=model.id,
            capability=model.capabilities[0] if model.capabilities else "",
            members=(model.id,),
            retry=policies.retry,
            deactivation=policies.deactivation,
            recovery=policies.recovery,
            stream=policies.stream,
            deactivate_on_auth_failure=policies.deactivate_on_auth_failure,
            deactivate_on_outage=policies.deactivate_on_outage,
            recover_on_probe=policies.recover_on_probe,
        )
