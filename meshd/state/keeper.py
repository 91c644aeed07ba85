"""The state that survives a restart, as plain objects: the router's tables, the ledger, and their storage.

Owns: the storage, the mirror of the router's tables, the journal's segments, the lock of the directory. A remote
storage only gets copies (`state/remote`); the one in the directory is authoritative.
Must never: lose spend. The ledger's sums, and the offsets that they were read up to, are written together, whatever the
sync policy; a segment is removed only after that. Memory may be ahead of the storage, never behind it.

While the disk cannot be written, everything waits in memory. The outage is reported once.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from meshd.core.events.event_type import EventType
from meshd.messages import RestoredState, SyncStatus
from meshd.sdk.storage import Claim, Storage, StorageError, StorageReset
from meshd.spend.calendar import Calendar
from meshd.spend.ledger import Ledger, UsageKey, day_of, usage_id
from meshd.spend.records import Usage
from meshd.spend.recovered import COVERED
from meshd.state import form
from meshd.state.codec import EXPORT_VERSION, read_export
from meshd.state.directory import make_private
from meshd.state.loading import Lacking, read_earlier
from meshd.state.lock import StateLock, StateLocked
from meshd.state.lost_attempts import LostAttempts
from meshd.state.moving import Prepared, take_along
from meshd.state.outage import Outage, Report
from meshd.state.remote.copier import USUAL_PATIENCE, Answer, Patience
from meshd.state.remote.remote_copy import RemoteCopy, near_storage, remote_copy
from meshd.state.segments import Segments
from meshd.state.settings import StateSettings
from meshd.state.stored_ledger import ledger_rows
from meshd.state.tables import PRIVATE, Row, Tables, changes_of
from modelmesh.errors import ConfigurationError

logger = logging.getLogger("meshd.state")

_REST = 0.002  # s between two pieces of the journal, so that the router's thread gets its turn


class StateKeeper:
    """now: UTC seconds. steady: seconds by the router's clock, which deadlines use. report: called at the beginning and
    the end of an outage. patience: with a remote storage."""

    def __init__(
        self,
        directory: Path,
        settings: StateSettings,
        *,
        now: Callable[[], float],
        report: Report | None = None,
        steady: Callable[[], float] | None = None,
        patience: Patience = USUAL_PATIENCE,
    ) -> None:
        self.directory = directory
        self.settings = settings
        self._now = now
        self._steady = steady or now
        self._patience = patience
        self._report: Report = report or (lambda type, severity, reason: None)
        self._outage = Outage(self._report)
        self._lock = StateLock(directory)
        self._segments = Segments(directory / "journal")
        self._storage: Storage | None = None
        self.remote = RemoteCopy()  # public for its status
        self._met = False  # the remote storage has been asked, if there is one
        self._prepared: Prepared | None = None
        self._ledger = Ledger()
        self._ledger_behind = False  # offsets or open attempts differ from what is stored
        self._tables = Tables()
        self._answered: set[bytes] = set()
        self._lost = LostAttempts()
        self._loaded = False
        self._had_state = False  # an earlier run has left something
        self._lacking = Lacking()
        self._synced_at = 0.0
        self._pruned_day = ""

    # -- life ---------------------------------------------------------------------------------------

    def open(self) -> None:
        """Lock the directory and read it. Raises only StateLocked, or its subclass StateOfLater."""
        try:
            problem = self._open()
        except StateLocked:
            self._release()
            raise
        if problem:
            self._failed(problem)

    def close(self) -> None:
        """Write everything and release the directory."""
        # The router has ended: the next one reads the segments again and counts its open attempts as spent.
        self.sync(boundary=True)
        self.discard()
        self._release()

    def _release(self) -> None:
        self.remote.close()
        if self._storage is not None:
            self._storage.close()
            self._storage = None
        self._lock.release()

    def prepare(self, settings: StateSettings) -> str:
        """Check new settings. Returns an objection, or "". A new storage is opened here already."""
        self.discard()
        if settings.place == self.settings.place:
            self._prepared = Prepared(settings)
            return ""
        if self.unread and settings.location != self.settings.location:
            return f"the storage cannot be changed while it is not known what was spent: {self.unread}"
        try:
            self._prepared = Prepared.opened(
                settings, self.directory, self._now, self._report, self._patience, self.remote
            )
        except (StorageError, ConfigurationError, ValueError, OSError, StateLocked) as error:
            return str(error)
        return ""

    def commit(self) -> None:
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            self.settings = prepared.settings
            if prepared.near is not None and prepared.remote is not None:
                self.remote.close(give_back=False)
                if self._storage is not None and self._loaded:
                    take_along(self._storage, prepared.near)
                if self._storage is not None:
                    self._storage.close()
                self._storage, self.remote = prepared.near, prepared.remote
                self._write_all_again()
        self.sync(boundary=True)

    def discard(self) -> None:
        if self._prepared is not None:
            self._prepared.close()
        self._prepared = None

    def _open(self) -> str:
        """Open whatever is not open yet. Returns an objection, or ""."""
        problem = ""
        if self._segments.lost() or (self._storage is not None and self._storage.lost()):
            self._start_over()
        try:
            unmet = form.is_unmet(self.directory)
            self._had_state = self._had_state or (form.is_used(self.directory) and not unmet)
            form.check(self.directory)
            make_private(self.directory)
            self._lock.acquire()
            form.mark(self.directory)
            self._segments.make()
        except OSError as error:
            problem = f"{self.directory} cannot be written: {error.strerror or error}"
        if self._storage is not None and self._storage.readonly:
            self._storage.close()
            self._storage = None
        if self._storage is None:
            try:
                self._storage = near_storage(self.settings, self.directory)
            except (StorageError, ConfigurationError, ValueError) as error:
                return problem or str(error)
        if not self._loaded:
            try:
                if not self._met:
                    self._met = True
                    self.remote = remote_copy(self.settings, self.directory, self._now, self._report, self._patience)
                    self.remote.meet(self._storage)
                self._load(self._storage)
            except (StorageError, ConfigurationError, ValueError, OSError) as error:
                return problem or str(error)
        if self._storage.readonly:
            problem = problem or f"{self.directory} can be read but not written: the disk is full or read-only"
        return problem

    def _start_over(self) -> None:
        """The directory was removed or emptied, or a file was replaced, so that writes went to deleted files. Write
        everything that is known again, and give the router a new segment."""
        gone = "was removed" if not self.directory.is_dir() else "has lost a file"
        why = f"{self.directory} {gone} while it was in use; what is known is written again"
        logger.warning("%s", why)
        self._report(EventType.STATE_UNWRITABLE, "warning", why)
        if self._segments.lost():
            self._segments.abandon()
        if self._storage is not None:
            self._storage.close()
            self._storage = None
        if self._lock.lost():
            self._lock.release()
        self._write_all_again()

    def _load(self, storage: Storage) -> None:
        now = self._now()
        earlier = read_earlier(storage, self._tables, self._segments, self._lost, now=now, steady=self._steady())
        self._ledger, self._answered = earlier.ledger, earlier.answered
        self._ledger_behind = True
        self._loaded = True
        if self._lacking.stored:
            self._tables.drop("statistics")  # they count from the start of the router, and telemetry gets the others
        self._lacking.read(earlier, self._private)

    # -- from the router ------------------------------------------------------------------------------

    def load(self) -> RestoredState:
        """What the router begins with."""
        self._lacking.begins(stored=not self._loaded, remote=bool(self._unmet))
        self._note_unmet()
        return self._all()

    @property
    def unread(self) -> str:
        """Why it is not known what earlier runs left, "" if it is."""
        if not self._loaded and (self._had_state or self._storage is not None or self.settings.settings.get("path")):
            return self.error
        return f"the state directory is new, and {self._unmet}" if self._unmet else ""

    @property
    def _unmet(self) -> str:
        return "" if self._had_state else self.remote.unmet

    def _note_unmet(self) -> None:
        with contextlib.suppress(OSError):  # which is reported when state is written
            form.note_unmet(self.directory, bool(self._unmet))

    def _all(self) -> RestoredState:
        tables = self._tables.mirrored()
        tables |= self._private()
        sums = self.remote.with_elsewhere(self._ledger.usage).items()
        tables["usage"] = {usage_id(key): msgspec.structs.asdict(usage) for key, usage in sums}
        begun, answered = frozenset(self._ledger.begun), frozenset(self._answered)
        return RestoredState(tables, begun, answered, str(self.directory), self.unread)

    def take_late(self) -> RestoredState | None:
        """What the router began without, once it can be read, apart from `take_news`."""
        if not self.remote.unmet and self._lacking.met():
            self._note_unmet()
        return self._lacking.take()

    def changed(self, table: str, key: str, value: dict[str, Any] | None, *, durable: bool = False) -> None:
        """Of the router's tables. What apps keep is stored whatever the policy is."""
        self._tables.change(table, key, value)
        if self.settings.sync_policy == "in-memory" and table not in PRIVATE:
            return
        self._tables.pending[table, key] = value
        if (durable or self.settings.sync_policy == "immediate") and not self.error:
            self.sync(boundary=durable)

    def statistics_changed(self, rows: Mapping[str, dict[str, Any] | None]) -> None:
        """Statistics, and what they cover. Both are written together; otherwise a request would be counted twice or
        never."""
        if self.settings.sync_policy == "in-memory":
            return
        self._tables.pending.update({("statistics", key): value for key, value in rows.items()})
        if COVERED in rows:
            self._tables.pending.update(self._lost.counted())
        if self.settings.sync_policy == "immediate" and not self.error:
            self.sync()

    def table(self, table: str) -> dict[str, dict[str, Any]]:
        """All rows of a table, even if it is not mirrored."""
        rows = self._tables.rows(table, self._storage)
        return rows | self._lost.rows() if table == "statistics" else rows

    def open_journal(self) -> str:
        """The path of a new segment; "" while the disk refuses one (another is offered later)."""
        try:
            return self._segments.begin()
        except OSError as error:
            self._failed(f"{self._segments.directory} cannot be written: {error.strerror or error}")
            return ""

    def offer_segment(self) -> str:
        """The path of a segment that the router should switch to; "" if it need not."""
        return self._segments.offer()

    def rotated(self, finished: str) -> None:
        """The router has left the segment `finished`, or repeats that it writes to the one it was offered."""
        if self._segments.rotated(finished, self._now()):
            self.sync()

    # -- writing --------------------------------------------------------------------------------------

    def sync(self, *, boundary: bool = False) -> SyncStatus:
        """Fold the journal and write what changed. boundary: also write the tables, if the policy is
        `sync-on-boundary`."""
        try:
            problem = self._open()
        except StateLocked as error:  # it was lost, and another daemon has the directory or the storage now
            problem = str(error)
        try:
            self._fold()
            if self._ledger.expire(self._steady()):
                self._ledger_behind = True
        except OSError as error:
            if not problem:
                problem = f"the spend journal cannot be read: {error.strerror or error}"
        if not problem:
            problem = self._write(tables=boundary or self.settings.sync_policy in ("periodic", "immediate"))
        if problem:
            self._failed(problem)
        else:
            self._synced()
        return self.status()

    def _fold(self) -> None:
        """Raises OSError. Until the storage says how far the journal is folded already, it has to wait."""
        if self._loaded and self._segments.fold(self._ledger, _REST):
            self._ledger_behind = True

    def _write(self, *, tables: bool) -> str:
        if self._storage is None:
            return "the storage is not open"
        usage = set(self._ledger.changed)
        pending = dict(self._tables.pending) if tables else {}
        changes = changes_of(pending)
        covered = self._lost.covered_by(pending)
        if self.settings.sync_policy == "in-memory":  # no statistics are stored, so none can lack anything
            covered = math.inf
        else:
            changes |= self._lost.stored_with_ledger()
        try:
            finished = self._segments.finished(covered, self._now())
            if self._ledger_behind or usage:
                changes |= ledger_rows(self._storage, self._ledger, self._segments, usage)
            if changes:
                self._storage.save_many(changes)
                self.remote.note(changes)
            self.remote.catch_up(self._storage)
            if finished:
                # The segments are the only other copy.
                self._storage.flush()
        except StorageReset as error:
            self._write_all_again()
            return str(error)
        except (StorageError, OSError) as error:
            return str(error)
        self._ledger.changed -= usage
        self._ledger_behind = False
        self._lost.covered = covered
        self._tables.written(pending)
        try:
            if finished:
                self._segments.remove(finished)
                self._ledger_behind = True  # their offsets are lost
        except OSError as error:
            return str(error)
        return ""

    def _write_all_again(self) -> None:
        self._ledger.changed.update(self._ledger.usage)
        self._ledger_behind = True
        if self.settings.sync_policy != "in-memory":
            self._tables.write_all_again()

    def spend_today(self) -> int:
        """10⁻⁹ USD spent today at all providers, up to the last record of the journal."""
        try:
            self._fold()
        except OSError as error:
            logger.debug("the spend journal cannot be read now: %s", error)
        today = Calendar(self.settings.timezone).period(self._now()).day
        usage = self.remote.with_elsewhere(self._ledger.usage).items()
        return sum(sums.cost for (day, scope, _), sums in usage if day == today and scope == "provider")

    def divide(self, claims: Sequence[Claim], answer: Answer, *, first: bool) -> None:
        """Ask for this daemon's part of limits; the answer comes from another thread. first: the first time since the
        router started."""
        storage = self._storage if self._loaded else None  # otherwise it would claim to have spent nothing
        self.remote.divide(storage, claims, answer, first=first)

    def take_news(self) -> dict[UsageKey, Usage]:
        """What others have spent since the router was last told."""
        return self.remote.take_news()

    # -- status ---------------------------------------------------------------------------------------

    def status(self) -> SyncStatus:
        pending = len(self._tables.pending) + len(self._ledger.changed)
        return SyncStatus(not self.error, self.error, self._synced_at, pending, self._segments.unread())

    @property
    def error(self) -> str:
        """Why nothing is being saved, "" if it is."""
        return self._outage.problem

    def _failed(self, problem: str) -> None:
        self._outage.goes_on(problem, self.settings.sync_interval)

    def _synced(self) -> None:
        self._synced_at = self._now()
        day = day_of(self._synced_at)
        if day != self._pruned_day:
            self._pruned_day = day
            self._ledger.forget_days(self._synced_at)
        self._outage.is_over()

    def next_sync(self) -> float:
        """Seconds until `sync` should run again."""
        return self._outage.backoff or max(self.settings.sync_interval, 0.1)

    # -- export ---------------------------------------------------------------------------------------

    def export(self) -> dict[str, Any]:
        """Raises ValueError while what is stored cannot be read."""
        self._need_all()
        restored = self._all()
        tables = {table: rows for table, rows in restored.tables.items() if table not in ("usage", *PRIVATE)}
        return {"version": EXPORT_VERSION, "at": self._now(), "tables": tables, "usage": restored.tables["usage"]}

    def import_(self, state: Mapping[str, Any]) -> RestoredState:
        """Replace tables and sums with the exported ones; attempts that are open now stay. Raises ValueError and
        OSError."""
        self._need_all()
        tables, sums = read_export(state)
        self._fold()
        self._lacking = Lacking()
        self.remote.take_news()
        self._tables.replace(tables)
        for key in self._ledger.usage:
            self._ledger.usage[key] = Usage()
        self._ledger.changed.update(self._ledger.usage)
        self._ledger.usage.update(self.remote.without_elsewhere(sums))
        self._write_all_again()
        self.sync(boundary=True)
        return self._all()

    def _private(self) -> dict[str, dict[str, Row]]:
        return {table: self.table(table) for table in PRIVATE}

    def _need_all(self) -> None:
        """Raises ValueError."""
        if self.unread:
            raise ValueError(f"what is stored cannot be read: {self.unread}")
