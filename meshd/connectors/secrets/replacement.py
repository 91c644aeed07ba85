"""Decides whether a changed secret has been replaced, or is still being written.

Owns: how long a value has been stable, and when to read a refused one again.
Must never: do I/O except through the given stores, or show a value.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

from meshd.connectors.secrets.stores import SecretStores
from meshd.host.file_watching import state_of

SETTLE = 0.15  # s that a new value has to stay the same
PATIENCE = 3.0  # s for which a missing or empty source counts as being written
_MOST_PATIENCE = 30.0  # s: a process that has the file open for longer is not writing it
_SOONEST, _LATEST = 0.5, 10.0  # s between two reads of a refused key that is still the same


class Verdict(enum.Enum):
    SAME = enum.auto()
    UNSETTLED = enum.auto()
    REPLACED = enum.auto()


class Replacements:
    def __init__(self) -> None:
        self._candidates: dict[str, tuple[str | None, float, float]] = {}  # name → value, since when, first change
        # name → when to read again, the next pause, and the state of its files
        self._looks: dict[str, tuple[float, float, Any]] = {}

    def __repr__(self) -> str:  # the candidates are secret
        return f"Replacements({sorted(self._candidates)})"

    def judge(self, name: str, held: str | None, found: str | None, stores: SecretStores, now: float) -> Verdict:
        """held: the value in use. found: the value in the stores, None if they have none."""
        if found == held:
            self._candidates.pop(name, None)
            return Verdict.SAME
        if not stores.files(name):  # only a file can be half written
            return self._replaced(name) if found is not None else Verdict.SAME
        value, since, odd = self._candidates.get(name, (found, now, now))
        if value != found:
            since = now
        self._candidates[name] = (found, since, odd)
        if found is None:
            return Verdict.UNSETTLED if now - odd < PATIENCE else Verdict.SAME
        if now - since >= SETTLE and (now - odd > _MOST_PATIENCE or not stores.being_written(name)):
            return self._replaced(name)
        return Verdict.UNSETTLED

    def _unsettled(self, name: str, now: float) -> bool:
        return name in self._candidates and now - self._candidates[name][2] < PATIENCE

    def _replaced(self, name: str) -> Verdict:
        self._candidates.pop(name, None)
        self._looks.pop(name, None)
        return Verdict.REPLACED

    def due(self, names: Iterable[str], stores: SecretStores, now: float) -> list[str]:
        """The refused keys whose sources should be read now."""
        found = []
        for name in names:
            state = [state_of(path) for path in stores.files(name)]  # taken before the files are read
            at, after, known = self._looks.get(name, (now, _SOONEST, state))
            if now >= at or state != known or self._unsettled(name, now):
                found.append(name)
                self._looks[name] = (now + after, min(after * 2, _LATEST), state)
        return found
