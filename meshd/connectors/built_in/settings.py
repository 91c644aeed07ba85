"""Where a built-in connector and the class of its own keys are, as text.

Owns: which of these classes are in `usual_settings.py`, which nearly every daemon loads. Must never: import one.
"""

from __future__ import annotations

from meshd.sdk.connector import ConnectorSpec

_USUAL = frozenset({"EnvStoreSettings", "HttpSettings", "NoSettings", "SqliteSettings"})


def settings_path(module: str, name: str) -> str:
    """As "module:attribute". module: in `meshd/config/schema/connectors`, for those that are not usual."""
    return f"meshd.config.schema.connectors.{'usual_settings' if name in _USUAL else module}:{name}"


class Specs:
    """Makes the specs of one type. folder: the package of most of them. settings: the module of their own keys, in
    `meshd/config/schema/connectors`."""

    def __init__(self, type: str, folder: str, settings: str) -> None:
        self._type = type
        self._folder = folder
        self._settings = settings

    def __call__(
        self,
        id: str,
        factory: str,
        description: str,
        settings: str = "NoSettings",
        aliases: tuple[str, ...] = (),
        requires: tuple[str, ...] = (),
        extra: str | None = None,
    ) -> ConnectorSpec:
        """factory: as "module:attribute", in the folder if it is not one of `meshd` as a whole."""
        where = factory if factory.startswith("meshd.") else f"{self._folder}.{factory}"
        keys = settings_path(self._settings, settings)
        return ConnectorSpec(id, self._type, description, where, aliases, keys, requires, extra)
