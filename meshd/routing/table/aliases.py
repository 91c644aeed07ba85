"""Other names for pools and models: `aliases` of the configuration.

Owns: which alias a name matches. Must never: know which pools and models there are (`specs.py`; their names win).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import translate
from typing import NamedTuple

LONGEST_NAME = 200
"""Characters of a name that is compared with patterns."""


class Alias(NamedTuple):
    """name: as configured; `*` stands for any characters, `?` for one. target: a pool, capability or model."""

    name: str
    target: str

    @property
    def is_pattern(self) -> bool:
        return "*" in self.name or "?" in self.name

    @property
    def listed_as(self) -> str | None:
        """The name under which lists show it: a pattern that ends in `*` with its target's name at the end; None for
        other patterns."""
        if not self.is_pattern:
            return self.name
        head = self.name[:-1]
        return f"{head}{self.target}" if self.name.endswith("*") and "*" not in head and "?" not in head else None


class Aliases:
    """configured: name or pattern → target, in the order of the file."""

    def __init__(self, configured: Mapping[str, str] | None = None) -> None:
        self.all = tuple(Alias(name, target) for name, target in (configured or {}).items())
        self._exact = {alias.name: alias for alias in self.all if not alias.is_pattern}
        self._patterns = [(_compiled(alias.name), alias) for alias in self.all if alias.is_pattern]

    def find(self, name: str) -> Alias | None:
        """The alias with this very name, else the first whose pattern matches."""
        found = self._exact.get(name)
        if found is not None or len(name) > LONGEST_NAME:
            return found
        return next((alias for pattern, alias in self._patterns if pattern.match(name)), None)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern.replace("[", "[[]")))  # brackets are part of some models' names
