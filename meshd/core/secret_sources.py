"""Where the values of secrets come from, and whether those places answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SecretSources:
    """stores: (connector id, its settings), in the order they are asked. keep: seconds for which a value is kept in
    memory; 0.0: not at all. folder: the base of relative paths in the settings. timeout: seconds for one answer of a
    store outside this process."""

    stores: tuple[tuple[str, Mapping[str, Any]], ...] = field(default=(), repr=False)  # settings may contain values
    keep: float = 0.0
    folder: str = ""
    timeout: float = 4.0


@dataclass(frozen=True, slots=True)
class StoreStanding:
    """The state of a store outside this process. error: why it cannot be asked, "" if it can. since: of that error, in
    seconds since the epoch."""

    store: str
    error: str = ""
    since: float = 0.0
