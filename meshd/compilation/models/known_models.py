"""What the catalogue knows about a provider's models, overlaid with the prices from `meshctl catalogue update`.

Owns: finding a model's row, and the features of one that declares none.
"""

from __future__ import annotations

from collections.abc import Collection

from meshd.catalogue import overrides
from meshd.catalogue.families import family_features
from meshd.catalogue.known import ModelRow, load_models
from meshd.catalogue.overrides import Overrides


class KnownModels:
    """notes: why the file of prices is not used, if it is not."""

    def __init__(self, data_dir: str) -> None:
        self.notes: list[str] = []
        self._rows: dict[str, dict[str, ModelRow]] = {}
        try:
            self._overrides: Overrides = overrides.read(data_dir)
        except ValueError as error:
            self._overrides = overrides.NONE
            self.notes.append(f"{error}; the prices that came with meshd are used")

    def of(self, connector: str) -> dict[str, ModelRow]:
        """The well-known ones, best first, by id."""
        found = self._rows.get(connector)
        if found is None:
            rows = ((row, self._overrides.row(row, row.provider, row.id)) for row in load_models(connector))
            found = self._rows[connector] = {row.id: told or row for row, told in rows}
        return found

    def row(self, connector: str, model: str) -> ModelRow | None:
        """Also for a model that is only in the file of prices: a row without capabilities."""
        return self.of(connector).get(model) or self._overrides.row(None, connector, model)

    def features(self, connector: str, model: str, capabilities: Collection[str]) -> tuple[str, ...]:
        """Those of its family, for a model without a row of its own."""
        return family_features(self.of(connector).values(), model, capabilities)
