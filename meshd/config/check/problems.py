"""What is wrong with a configuration: one `Problem` per fault, with its place and a suggestion.

Owns: the shape of a problem, and its sentence; the places of values in files.
Must never: hold a secret's value in a message.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import asdict

from meshd.core.text.key_path import Path, dotted
from modelmesh.errors import ConfigurationError
from modelmesh.wording import meant


class Problem(msgspec.Struct, frozen=True):
    """One fault. `line` counts from 1; None if it is unknown. `suggestion` is the closest valid name."""

    path: str
    line: int | None
    message: str
    suggestion: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        where = self.file or "configuration"
        if self.line is not None:
            where = f"{where}:{self.line}"
        sentence = f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"
        return sentence + meant(self.suggestion)

    def asdict(self) -> dict[str, Any]:
        return asdict(self)


class Place(msgspec.Struct, frozen=True):
    """Where something is written. `line` counts from 1; `file` is None for a configuration without one."""

    line: int | None
    file: str | None = None


Places = dict[Path, Place]


def place_of(places: Places, path: Path, file: str | None = None) -> Place:
    """The place of a path, or of its nearest parent that has one; else only the given file."""
    for length in range(len(path), 0, -1):
        place = places.get(path[:length])
        if place is not None:
            return place
    return Place(None, file)


def problem_in(
    places: Places, path: Path, message: str, suggestion: str | None = None, file: str | None = None
) -> Problem:
    """A problem with the place of its path. file: the one to name if no place is known."""
    place = place_of(places, path, file)
    return Problem(dotted(path), place.line, message, suggestion, place.file)


def configuration_error(problems: list[Problem]) -> ConfigurationError:
    """One error with all problems, whose message lists the first few."""
    count = len(problems)
    head = "\n".join(str(problem) for problem in problems[:20])
    more = f"\n… and {count - 20} more" if count > 20 else ""
    message = head + more if problems else "the configuration is not valid"
    return ConfigurationError(message, problems=[asdict(problem) for problem in problems])
