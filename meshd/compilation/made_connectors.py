"""The connectors that are made again for each configuration: hooks, discovery, and strategies of other packages.

Owns: which of them a configuration names, and why some cannot be made.
Must never: use one.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Protocol

from meshd.config import MeshConfig
from meshd.connectors.make import make_connector
from meshd.core.objection import Objection
from meshd.core.text.key_path import Path
from meshd.sdk.connector import DISCOVERY, HOOK, ROTATION
from meshd.sdk.discovery import Discovery
from meshd.sdk.hooks import Hook
from meshd.sdk.strategy import Strategy
from modelmesh.errors import ConfigurationError


class Ordered(Protocol):
    """A pool, as it is configured or as the router has it."""

    @property
    def strategy(self) -> str: ...

    @property
    def fallback_strategy(self) -> str | None: ...


def hooks_of(config: MeshConfig) -> tuple[list[tuple[str, Hook]], list[Objection]]:
    """The hooks by name, in the order of the configuration; and why some cannot be made."""
    made: dict[str, Hook] = {}
    objections: list[Objection] = []
    for index, entry in enumerate(config.hooks):
        hook = _made(("hooks", index), HOOK, entry.connector, entry.settings, objections)
        if hook is not None:
            # A connector may be listed twice, with different settings.
            again = entry.connector in made
            made[f"{entry.connector} (hooks[{index}])" if again else entry.connector] = hook
    return list(made.items()), objections


def discovery_of(config: MeshConfig) -> tuple[list[tuple[str, Discovery]], list[Objection]]:
    """The connectors that look for servers, each with its id; and why some cannot be made."""
    made: list[tuple[str, Discovery]] = []
    objections: list[Objection] = []
    for entry in config.discovery.connector:
        connector = _made(("discovery", "connector"), DISCOVERY, entry.connector, entry.settings, objections)
        if connector is not None:
            made.append((entry.connector, connector))
    return made, objections


def strategies_of(
    pools: Mapping[str, Ordered], built_in: Container[str]
) -> tuple[dict[str, dict[str, Strategy]], list[Objection]]:
    """Strategy → pool → its object, for the strategies of other packages; and why some cannot be made."""
    made: dict[str, dict[str, Strategy]] = {}
    objections: list[Objection] = []
    for name, pool in pools.items():
        for key, id in (("strategy", pool.strategy), ("fallback_strategy", pool.fallback_strategy)):
            if id is None or id in built_in:
                continue
            strategy = _made(("pools", name, key), ROTATION, id, {}, objections)
            if strategy is not None:
                made.setdefault(id, {})[name] = strategy
    return made, objections


def _made(at: Path, type: str, id: str, settings: Mapping[str, Any], objections: list[Objection]) -> Any:
    """The connector; None if it cannot be made, which is added to the objections."""
    try:
        return make_connector(type, id, settings)
    except (ConfigurationError, ValueError) as error:
        objections.append(Objection(at, str(error)))
        return None
