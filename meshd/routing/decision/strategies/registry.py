"""The rotation strategies that come with the daemon, by name.

Another one is a class with `order` and `chosen`, made with a `Context`, with a row here and one in
`meshd/connectors/builtin.py`. Those of other packages have a narrower interface (`meshd/sdk/strategy.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from meshd.routing.decision.strategies.base import Context, Strategy
from meshd.routing.decision.strategies.measured import CostFirst, LatencyFirst
from meshd.routing.decision.strategies.preference import PrioritySelection, RateLimitAware, StickUntilFailure
from meshd.routing.decision.strategies.sessions import SessionStickiness
from meshd.routing.decision.strategies.sharing import LoadBalanced, RoundRobin
from meshd.routing.table.specs import STICKY

BUILT_IN: Mapping[str, Callable[[Context], Strategy]] = {
    "modelmesh.stick-until-failure.v1": StickUntilFailure,
    "modelmesh.round-robin.v1": RoundRobin,
    "modelmesh.cost-first.v1": CostFirst,
    "modelmesh.latency-first.v1": LatencyFirst,
    STICKY: SessionStickiness,
    "modelmesh.rate-limit-aware.v1": RateLimitAware,
    "modelmesh.load-balanced.v1": LoadBalanced,
    "modelmesh.priority-selection.v1": PrioritySelection,
}
