"""Rotation policies: the order in which a pool's models are asked.

Owns: preference, and a pool's current model. The stages decide whether a model may be asked at all.
Must never: look at a clock or draw a random number itself.

Rule: docs/routing.md, Strategies. A new strategy is a class in one of these modules and a row in STRATEGIES.
"""

from __future__ import annotations

from meshd.routing.decision.strategies.base import Strategy
from meshd.routing.decision.strategies.measured import CostFirst, LatencyFirst
from meshd.routing.decision.strategies.preference import PrioritySelection, RateLimitAware, StickUntilFailure
from meshd.routing.decision.strategies.scored import Scored
from meshd.routing.decision.strategies.sessions import SessionStickiness
from meshd.routing.decision.strategies.sharing import LoadBalanced, RoundRobin
from meshd.routing.table.specs import PoolSpec

__all__ = [
    "STICKY",
    "STRATEGIES",
    "CostFirst",
    "LatencyFirst",
    "LoadBalanced",
    "PrioritySelection",
    "RateLimitAware",
    "RoundRobin",
    "Scored",
    "SessionStickiness",
    "StickUntilFailure",
    "Strategy",
    "strategy_of",
]

STICKY = "modelmesh.session-stickiness.v1"
"""The one that needs a request's session."""

STRATEGIES: dict[str, Strategy] = {
    "modelmesh.stick-until-failure.v1": StickUntilFailure(),
    "modelmesh.round-robin.v1": RoundRobin(),
    "modelmesh.cost-first.v1": CostFirst(),
    "modelmesh.latency-first.v1": LatencyFirst(),
    STICKY: SessionStickiness(),
    "modelmesh.rate-limit-aware.v1": RateLimitAware(),
    "modelmesh.load-balanced.v1": LoadBalanced(),
}
STRATEGIES["modelmesh.priority-selection.v1"] = PrioritySelection(STRATEGIES)  # any of them is its fallback

_SCORED: dict[str, Strategy] = {id: Scored(strategy) for id, strategy in STRATEGIES.items()}


def strategy_of(pool: PoolSpec) -> Strategy:
    """The pool's own, after the score of its `select` if that is live."""
    if pool.select is not None and pool.select.scores:
        return _SCORED[pool.strategy]
    return STRATEGIES[pool.strategy]
