"""Where the class of a built-in connector's own keys is, as text.

Owns: which of them are in `usual_settings.py`, which nearly every daemon loads. Must never: import one.
"""

from __future__ import annotations

_USUAL = frozenset({"EnvStoreSettings", "HttpSettings", "NoSettings", "SqliteSettings"})


def settings_path(module: str, name: str) -> str:
    """As "module:attribute". module: in `meshd/config/schema`, for those that are not usual."""
    return f"meshd.config.schema.{'usual_settings' if name in _USUAL else module}:{name}"
