"""Resolves names of secrets to values, and notices when a value changes.

Owns: the stores in use, those in preparation, and each secret's last value.
Must never: show a value, except to a caller that asks for it by name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from meshd.connectors.secrets.replacement import Replacements, Verdict
from meshd.connectors.secrets.stores import MakeStore, SecretStores, make_store
from meshd.core.objection import Objection
from meshd.core.secret_sources import SecretSources, StoreStanding
from meshd.sdk.secrets import SecretMissing, SecretUnavailable, SecretUnreachable

logger = logging.getLogger("meshd.secrets")

_RESOLVE = 15.0  # s that stores outside this process may take for all secrets together, at a start or reload
_LOOK = 4.5  # s, while a request may be waiting


class _Values(dict[str, str]):
    def __repr__(self) -> str:  # does not show secrets
        return f"{sorted(self)}"


class Looked(msgspec.Struct, frozen=True):
    """changed: names with a new value. unsettled: a source is being written, so look again in a moment."""

    changed: tuple[str, ...] = ()
    unsettled: bool = False


class Resolved(NamedTuple):
    """missing: name → why. unreachable: those of them that a store may have that does not answer."""

    values: dict[str, str]
    missing: dict[str, str]
    unreachable: frozenset[str] = frozenset()


class SecretResolver:
    """Secrets' last and current values. now: a monotonic clock.

    A source that is empty, missing or unreadable for a moment, or being written, never removes the value in use.
    """

    def __init__(self, *, now: Callable[[], float], make: MakeStore = make_store) -> None:
        self._now = now
        self._make = make
        self._committed: SecretStores | None = None
        self._other: SecretStores | None = None  # for a generation in preparation
        self._running = _Values()  # the running generation's
        self._missing: frozenset[str] = frozenset()  # names that it needs but that have no value
        self._given: tuple[_Values, frozenset[str], _Values] | None = None  # for a generation that does not run yet
        self._awaited = _Values()  # values found that no generation contains yet
        self._kept: dict[str, str] = {}  # name → why it could not be read, reported once
        self._replacements = Replacements()

    def resolve(self, names: Iterable[str], sources: SecretSources | None = None, *, fresh: bool = False) -> Resolved:
        """fresh: read the stores, not the cache."""
        names = tuple(names)
        stores = self._of(sources) if sources is not None else self._current()
        stores.begin(_RESOLVE, again=fresh)
        if fresh:
            stores.forget(names)
        values: dict[str, str] = {}
        missing: dict[str, str] = {}
        unreachable: set[str] = set()
        for name in names:
            try:
                values[name] = self._value(stores, name, fresh)
            except SecretMissing as error:
                missing[name] = str(error)
                if isinstance(error, SecretUnreachable):
                    unreachable.add(name)
        self._given = _Values(values), frozenset(missing), _Values(self._awaited)
        return Resolved(values, missing, frozenset(unreachable))

    def look(self, names: Iterable[str] | None = None) -> Looked:
        """Read the stores again. names: None for all that come from files."""
        stores, now = self._current(), self._now()
        wanted = self.names if names is None else names
        stores.begin(_LOOK)
        looked = [name for name in wanted if names is not None or stores.files(name)]
        stores.forget(looked)
        changed, unsettled = [], False
        for name in looked:
            value, why = self._read(stores, name)
            held = self._held(name)
            if value is None and held is not None:
                self._keep(name, why)
            verdict = self._replacements.judge(name, held, value, stores, now)
            unsettled = unsettled or verdict is Verdict.UNSETTLED
            if verdict is Verdict.REPLACED and value is not None:
                self._awaited[name] = held = value
            if verdict is Verdict.REPLACED or held != self._running.get(name):
                changed.append(name)  # until a generation runs with it
            # The next generation gets the settled value, however often the source is read until then.
            if held is not None:
                stores.remember(name, held, now)
            else:
                stores.forget((name,))
        return Looked(tuple(changed), unsettled)

    def _held(self, name: str) -> str | None:
        """Its value in use, or that for the next generation."""
        return self._awaited.get(name, self._running.get(name))

    def refresh(self, names: Iterable[str]) -> Looked:
        """Like `look`, for a refused key. A key that stays the same is read less and less often, unless its file
        changes."""
        return self.look(self._replacements.due(names, self._current(), self._now()))

    def look_at_all(self) -> Looked:
        """Like `look`, for all secrets, even in stores that have just failed to answer."""
        self._current().begin(_LOOK, again=True)
        return self.look(self.names)

    def poll(self) -> Looked:
        """Like `look`, for all secrets: those of files too, as a name may be in another store before or after them."""
        return self.look(self.names)

    @property
    def poll_after(self) -> float | None:
        """Seconds until the next `poll`, None if it would find nothing."""
        return self._current().read_again_after if self.names else None

    @property
    def standings(self) -> tuple[StoreStanding, ...]:
        """The state of the stores outside this process."""
        return self._current().standings

    @property
    def kept(self) -> dict[str, str]:
        """Secrets whose last known value is used → why it cannot be read again."""
        return {name: why for name, why in self._kept.items() if name in self._running}

    @property
    def names(self) -> list[str]:
        """The names that the running generation needs."""
        return sorted({*self._running, *self._missing})

    @property
    def files(self) -> list[Path]:
        """The files that they come from."""
        stores = self._current()
        return list(dict.fromkeys(path for name in self.names for path in stores.files(name)))

    def _value(self, stores: SecretStores, name: str, fresh: bool) -> str:
        held = self._held(name)
        try:
            value = stores.get(name, self._now())
        except SecretMissing as error:
            # If a name is gone after a reload, that is deliberate; otherwise it may be temporary.
            unreadable = isinstance(error, SecretUnavailable)
            meant = fresh and not unreadable and not stores.being_written(name)
            down = any(standing.error for standing in stores.standings)
            moved = stores is not self._committed and not (unreadable and down)
            if held is None or meant or moved:
                raise
            self._keep(name, str(error))
            return held
        if stores is self._committed and held is not None and value != held and stores.being_written(name):
            stores.forget((name,))
            return held
        self._kept.pop(name, None)
        return value

    def _read(self, stores: SecretStores, name: str) -> tuple[str | None, str]:
        try:
            value = stores.get(name, self._now())
        except SecretMissing as error:
            return None, str(error)
        self._kept.pop(name, None)
        return value, ""

    def _keep(self, name: str, why: str) -> None:
        if self._kept.get(name) != why:
            self._kept[name] = why
            logger.warning("the secret %s cannot be read again, so its known value stays in use: %s", name, why)

    def prepare(self, sources: SecretSources) -> list[Objection]:
        """Objections: stores that cannot be created."""
        return [Objection(("secrets", "store"), problem) for problem in self._of(sources).problems]

    def commit(self) -> list[str]:
        """From now on, use the values that were returned last. Returns the names whose value changed."""
        before, given = self._running, self._given or (_Values(), frozenset(), _Values())
        self._given = None
        self._running, self._missing, known = given
        # The generation was built from those values; values found since then will come with the next one.
        self._awaited = _Values((name, value) for name, value in self._awaited.items() if known.get(name) != value)
        changed = [name for name, value in self._running.items() if before.get(name, value) != value]
        if self._other is not None:
            if self._committed is not None:
                self._committed.close()
            self._committed, self._other = self._other, None
        return changed

    def discard(self) -> None:
        self._given = None
        self._drop_other()

    def _drop_other(self) -> None:
        if self._other is not None:
            self._other.close()
            self._other = None

    def close(self) -> None:
        self.discard()
        if self._committed is not None:
            self._committed.close()

    def _current(self) -> SecretStores:
        if self._committed is None:
            if self._other is not None:
                return self._other
            self._committed = SecretStores(SecretSources(), self._make)
        return self._committed

    def _of(self, sources: SecretSources) -> SecretStores:
        made = SecretStores(sources, self._make)
        for known in (self._committed, self._other):
            # An unchanged section keeps its cache: a reload must not read every store again.
            if known is not None and known.key == made.key and not known.problems:
                made.close()
                return known
        self._drop_other()
        self._other = made
        return made
