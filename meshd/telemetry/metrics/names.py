"""How telemetry for others names what the mesh has its own names for.

Owns: the well-known names of OpenTelemetry, by connector, operation and model.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from meshd.catalogue.known import read_data


class Names(msgspec.Struct, frozen=True, gc=False):
    """providers: entry → well-known name. models: id → the id that its provider knows."""

    providers: dict[str, str] = {}
    models: dict[str, str] = {}

    @classmethod
    def of(cls, table: Any) -> Names:
        """table: a RoutingTable."""
        known = _well_known("providers")
        providers = {name: known.get(spec.connector, name) for name, spec in table.providers.items()}
        return cls(providers, {id: model.upstream for id, model in table.models.items()})

    def provider(self, entry: str) -> str:
        return self.providers.get(entry, entry)

    def model(self, id: str) -> str:
        return self.models.get(id, id)

    @staticmethod
    def operation(name: str) -> str:
        return _well_known("operations").get(name, name)


@cache
def _well_known(of: str) -> dict[str, str]:
    found: dict[str, str] = read_data("semantic_names.toml")[of]
    return found
