"""Rotation strategies of other packages: created for the pools that name them, and given to the pipeline.

Owns: which pools have one, and the events when one is set aside.
Must never: keep a strategy over a reload; a new configuration gets new objects.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from functools import partial

from meshd.compilation.made_connectors import strategies_of
from meshd.routing.decision.pipeline import Pipeline
from meshd.routing.decision.strategies.outside import OutsideStrategy
from meshd.routing.table.specs import DEFAULT_STRATEGY, RoutingTable

logger = logging.getLogger("meshd.router")

SetAside = Callable[[str, str, str], None]
"""(strategy, pool, why)"""


class OutsideStrategies:
    """built_in: the ids of those that come with the daemon. set_aside: called when a strategy has failed."""

    def __init__(self, built_in: Container[str], set_aside: SetAside) -> None:
        self._built_in = built_in
        self._set_aside = set_aside
        self._known: dict[str, OutsideStrategy] = {}

    def objections(self, table: RoutingTable) -> tuple[str, ...]:
        """Why a table cannot be used: the strategies that cannot be created."""
        return tuple(map(str, strategies_of(table.pools, self._built_in)[1]))

    def commit(self, table: RoutingTable, pipeline: Pipeline) -> None:
        """From now on, the strategies of this table order its pools."""
        made, objections = strategies_of(table.pools, self._built_in)
        for objection in objections:  # none, if `objections` was called first
            logger.error("%s", objection)
        for id in made.keys() - self._known.keys():
            self._known[id] = strategy = OutsideStrategy(pipeline, partial(self._report, id))
            pipeline.add_strategy(id, strategy)
        for id, strategy in self._known.items():
            # A strategy that is not in this table stays, for requests that began with the previous table.
            strategy.use(made.get(id, {}))

    def _report(self, id: str, pool: str, why: str) -> None:
        reason = f"{id} cannot order {pool} ({why}); {DEFAULT_STRATEGY} does, until the configuration is loaded again"
        logger.error("%s", reason)
        self._set_aside(id, pool, reason)
