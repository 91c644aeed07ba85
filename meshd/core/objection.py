"""Why a configuration cannot be used, though its keys and values are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshd.core.text.key_path import Path, dotted
from modelmesh.errors import ConfigurationError


class Objection(ConfigurationError):
    """Raised, or collected with others. path: the key that has to change. why: the rest of the sentence."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{dotted(path)}: {why}")
        self.path = path
        self.why = why


def raised(check: Callable[[Any], object], section: Any) -> list[Objection]:
    """What the check of a section raises: one objection, or none."""
    try:
        check(section)
    except Objection as objection:
        return [objection]
    return []
