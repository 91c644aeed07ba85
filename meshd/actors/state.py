"""The state actor: writes what must survive a restart, without delaying the router.

Owns: the `StateKeeper` and when it writes. The router sends it deltas, and tells it when the journal rotates.
Must never: be waited for during a request.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from meshd import messages
from meshd.actors.base.actor import MeshActor
from meshd.actors.prepare import Prepare
from meshd.compilation.before_start.storage import AwaitedSecrets, objections_to_storage
from meshd.config.schema import StorageConfig
from meshd.core.events.event_type import EventType
from meshd.core.events.records import Event
from meshd.core.messaging.mailboxes import Directory
from meshd.core.money import dollars
from meshd.core.seconds import to_nanos
from meshd.core.text.key_path import dotted
from meshd.host import clock
from meshd.host.trust.paths import untrusted
from meshd.sdk.storage import Grant
from meshd.spend.ledger import usage_id
from meshd.state.directory import default_state_dir, make_private, state_dir_of
from meshd.state.keeper import StateKeeper
from meshd.state.lock import StateLocked
from meshd.state.settings import StateSettings

logger = logging.getLogger("meshd.state")
_SYNC = "sync"


class StateActor(MeshActor):
    """state_dir: given by the command line or a test; otherwise `daemon.state_dir`, or the default. private_dir:
    instead of the default if state is kept in memory only.

    LoadState, OpenJournal and the like work in any order. The first opens the storage: with the committed settings,
    else the prepared ones, else the defaults.
    """

    name: ClassVar[str] = "state"
    handlers: ClassVar[dict[type, str]] = {
        Prepare: "prepare",
        messages.Commit: "commit",
        messages.Discard: "discard",
        messages.LoadState: "load",
        messages.LoadTable: "load_table",
        messages.OpenJournal: "open_journal",
        messages.JournalRotated: "journal_rotated",
        messages.StateChanged: "changed",
        messages.StatisticsChanged: "statistics_changed",
        messages.ClaimBudgets: "claim_budgets",
        messages.GetSyncStatus: "status",
        messages.ExportState: "export",
        messages.ImportState: "import_state",
        messages.Tick: "ticked",
    }

    def __init__(
        self,
        directory: Directory,
        *,
        state_dir: str | Path | None = None,
        private_dir: Path | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(directory)
        self._given_dir = Path(state_dir) if state_dir else None
        self._private_dir = private_dir
        self._now = now
        self._steady = clock.now if now is time.time else now
        self._keeper: StateKeeper | None = None
        self._committed = False

    def legacy(self) -> Any:
        return self._keeper, self._committed

    def inherit(self, legacy: Any) -> None:
        if legacy is not None:
            self._keeper, self._committed = legacy

    def on_start(self) -> None:
        if self._keeper is not None:
            self._schedule()

    def on_stop(self) -> None:
        if self._keeper is not None:
            self._keeper.close()

    # -- configuration --------------------------------------------------------------------------------

    def prepare(self, message: Prepare) -> tuple[str, ...]:
        config = message.running.config
        directory = state_dir_of(config, self._given_dir, self._private_dir)
        awaited = AwaitedSecrets.of(config)
        objections = objections_to_storage(config.storage, awaited, directory)
        if objections:
            return tuple(f"{dotted(each.path)}: {each.why}" for each in objections)
        settings = StateSettings.of(config.storage, config.daemon.timezone, *awaited)
        if self._keeper is None:
            with contextlib.suppress(OSError):  # the keeper reports that
                make_private(directory)
            fault = untrusted(directory)
            if fault is not None and config.daemon.strict:
                return (f"others can change the state: {fault}",)
            if fault is not None:
                logger.warning("others can change the state: %s", fault)
            try:
                self._open(directory, settings)
            except StateLocked as error:
                return (str(error),)
            return ()
        if directory != self._keeper.directory:
            return (f"daemon.state_dir: cannot change to {directory} while running; restart the daemon",)
        objection = self._keeper.prepare(settings)
        return (f"storage: {objection}",) if objection else ()

    def commit(self, message: messages.Commit) -> None:
        if self._keeper is not None:
            self._committed = True
            self._keeper.commit()
            self._tell_router(self._keeper)
            self._schedule()

    def discard(self, message: messages.Discard) -> None:
        if self._keeper is None:
            return
        self._keeper.discard()
        if not self._committed:
            # The first generation was refused: a daemon that does not start must leave nothing open.
            self._keeper.close()
            self._keeper = None
            self.cancel_tick(_SYNC)

    # -- from the router ------------------------------------------------------------------------------

    def load(self, message: messages.LoadState) -> messages.RestoredState:
        return self._opened().load()

    def load_table(self, message: messages.LoadTable) -> dict[str, dict[str, Any]] | None:
        keeper = self._opened()
        return None if keeper.unread else keeper.table(message.table)

    def open_journal(self, message: messages.OpenJournal) -> str:
        path = self._opened().open_journal()
        self._schedule()
        return path

    def journal_rotated(self, message: messages.JournalRotated) -> None:
        self._opened().rotated(message.finished)

    def changed(self, message: messages.StateChanged) -> None:
        self._opened().changed(message.table, message.key, message.value, durable=message.durable)

    def statistics_changed(self, message: messages.StatisticsChanged) -> None:
        self._opened().statistics_changed(message.rows)

    def claim_budgets(self, message: messages.ClaimBudgets) -> None:
        def answer(grants: dict[str, Grant], connected: bool) -> None:
            self.tell("router", messages.BudgetGrants(message.number, grants, connected))

        self._opened().divide(message.claims, answer, first=message.number == 1)

    # -- writing --------------------------------------------------------------------------------------

    def status(self, message: messages.GetSyncStatus) -> dict[str, Any]:
        keeper = self._opened()
        spend = keeper.spend_today()
        status = keeper.status()
        return {
            "ok": status.ok,
            "error": status.error,
            "directory": str(keeper.directory),
            "connector": keeper.settings.connector,
            "sync_policy": keeper.settings.sync_policy,
            "synced_at": status.at,
            "pending": status.pending,
            "journal_bytes": status.journal_bytes,
            "spend_today": dollars(spend),
            "remote": keeper.remote.status(),
        }

    def export(self, message: messages.ExportState) -> dict[str, Any]:
        keeper = self._opened()
        keeper.sync()  # includes the journal's records
        return keeper.export()

    def import_state(self, message: messages.ImportState) -> messages.RestoredState:
        return self._opened().import_(message.state)

    def ticked(self, message: messages.Tick) -> None:
        keeper = self._keeper
        if keeper is None:
            return
        keeper.sync()
        self._tell_router(keeper)
        path = keeper.offer_segment()
        if path:
            self.tell("router", messages.RotateJournal(path))
        self._schedule()

    def _tell_router(self, keeper: StateKeeper) -> None:
        """What it did not know."""
        if news := keeper.take_news():
            rows = {usage_id(key): msgspec.structs.asdict(sums) for key, sums in news.items()}
            self.tell("router", messages.SpentElsewhere(rows))
        late = keeper.take_late()
        if late is not None:
            self.tell("router", messages.RestoreState(late))
            self.tell("telemetry", messages.TableLoaded("statistics", keeper.table("statistics")))

    # -- inside ---------------------------------------------------------------------------------------

    def _opened(self) -> StateKeeper:
        """Raises StateLocked, to the caller."""
        if self._keeper is None:
            self._open(self._given_dir or default_state_dir(), StateSettings.of(StorageConfig.unset()))
        assert self._keeper is not None
        return self._keeper

    def _open(self, directory: Path, settings: StateSettings) -> None:
        keeper = StateKeeper(directory, settings, now=self._now, report=self._report, steady=self._steady)
        keeper.open()
        self._keeper = keeper
        self._schedule()

    def _schedule(self) -> None:
        if self._keeper is not None:
            self.tick(_SYNC, self._keeper.next_sync())

    def _report(self, type: EventType, severity: str, reason: str) -> None:
        self.tell("telemetry", Event(type, to_nanos(self._now()), severity, {}, reason))
