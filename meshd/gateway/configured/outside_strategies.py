"""Rotation strategies of other packages: made for the pools that name them, and given to the pipeline.

Owns: which pools have one, and the events when one is set aside.
Must never: keep a strategy over a reload; a new configuration gets new objects.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from meshd.connectors.make import make_connector
from meshd.routing.decision.pipeline import Pipeline
from meshd.routing.decision.strategies.outside import OutsideStrategy
from meshd.routing.decision.strategies.registry import BUILT_IN
from meshd.routing.table.specs import DEFAULT_STRATEGY, RoutingTable
from meshd.sdk.connector import ROTATION
from meshd.sdk.strategy import Strategy
from modelmesh.errors import ConfigurationError

logger = logging.getLogger("meshd.router")

SetAside = Callable[[str, str, str], None]
"""(strategy, pool, why)"""


class OutsideStrategies:
    """set_aside: called when a strategy has failed."""

    def __init__(self, set_aside: SetAside) -> None:
        self._set_aside = set_aside
        self._known: dict[str, OutsideStrategy] = {}

    def objections(self, table: RoutingTable) -> tuple[str, ...]:
        """Why a table cannot be used: strategies that cannot be made."""
        return tuple(self._made(table)[1])

    def commit(self, table: RoutingTable, pipeline: Pipeline) -> None:
        """From now on, the strategies of this table order its pools."""
        made, faults = self._made(table)
        for fault in faults:  # none, if the objections were asked for
            logger.error("%s", fault)
        for id in made.keys() - self._known.keys():
            self._known[id] = strategy = OutsideStrategy(pipeline, partial(self._report, id))
            pipeline.add_strategy(id, strategy)
        for id, strategy in self._known.items():
            # A strategy that is not in this table stays, for requests that began with the previous table.
            strategy.use(made.get(id, {}))

    def _made(self, table: RoutingTable) -> tuple[dict[str, dict[str, Strategy]], list[str]]:
        """Strategy → pool → its object; and why some cannot be made."""
        made: dict[str, dict[str, Strategy]] = {}
        faults: list[str] = []
        for pool in table.pools.values():
            for id in (pool.strategy, pool.fallback_strategy):
                if id is None or id in BUILT_IN:
                    continue
                try:
                    made.setdefault(id, {})[pool.name] = make_connector(ROTATION, id, {})
                except (ConfigurationError, ValueError) as error:
                    faults.append(f"pools.{pool.name}: {error}")
        return made, faults

    def _report(self, id: str, pool: str, why: str) -> None:
        reason = f"{id} cannot order {pool} ({why}); {DEFAULT_STRATEGY} does, until the configuration is loaded again"
        logger.error("%s", reason)
        self._set_aside(id, pool, reason)
