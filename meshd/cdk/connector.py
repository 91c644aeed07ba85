"""What every connector but a provider says of itself: id, type, one line, its own keys, where its class is.

Owns: `ConnectorInfo` and the reading of an id in its long and short forms.
Must never: import a connector; a row is data until somebody makes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


class UnknownConnector(LookupError):
    """No connector of that id. `known` lists those there are."""

    def __init__(self, kind: str, id: str, known: Iterable[str]) -> None:
        self.known = sorted(known)
        super().__init__(f"there is no {kind} connector {id!r}; there are: {', '.join(self.known)}")


@dataclass(frozen=True, slots=True)
class ConnectorInfo:
    """A row of the registry. target: `module:Class`. settings: the connector's own keys → what they mean.

    aliases: other spellings of the id. extra: the extra of `modelmesh` that brings its package, "" for none.
    """

    id: str
    type: str
    description: str
    target: str
    settings: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    extra: str = ""

    def load(self) -> Any:
        """The class. Imports its module."""
        module, _, name = self.target.partition(":")
        return getattr(import_module(module), name)


def find_connector(kind: str, id: str, rows: Mapping[str, ConnectorInfo]) -> ConnectorInfo:
    """The row of an id, which may carry its type as a prefix (`storage.modelmesh.sqlite.v1`)."""
    short = id.removeprefix(f"{kind}.")
    row = rows.get(short) or next((row for row in rows.values() if short in row.aliases), None)
    if row is None:
        raise UnknownConnector(kind, id, rows)
    return row
