"""The discovery actor: reports changes of providers' model lists and local servers to config.

Owns: the `RegistrySync`, the servers found here, and when to look. A scan of this machine takes up to a second, in a
thread of its own, so that a reload never waits for it.
Must never: connect to a provider; the router lists their models.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

from meshd import messages
from meshd.actors.base.actor import SHORTEST_TICK, MeshActor
from meshd.actors.base.replies import Asked, DeferringMailbox, Gathering
from meshd.actors.prepare import Prepare
from meshd.compilation.made_connectors import discovery_of
from meshd.core.events.event_type import EventType
from meshd.core.events.records import Event
from meshd.core.messaging.mailboxes import Directory
from meshd.discovery.local_watch import LocalWatch
from meshd.discovery.model_lists import RegistrySync, sources_of
from meshd.discovery.outside import OutsideDiscovery
from meshd.discovery.settings import SyncSettings

logger = logging.getLogger("meshd.discovery")
_SYNC, _LOCAL, _GIVE_UP, _EXPECTED = "sync", "local", "give-up", "expected"
_WAIT = 20.0  # s an operator waits at most
_FIRST_LISTS = 10.0  # s that requests wait at most for the first lists of new providers
_HERE = "\0here"  # the look around this machine, among names of providers

Run = Callable[[Callable[[], None]], Any]


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="meshd-local-scan", daemon=True).start()


class DiscoveryActor(MeshActor):
    """watch: looks for local servers; tests give their own. run: runs a function in another thread."""

    name: ClassVar[str] = "discovery"
    handlers: ClassVar[dict[type, str]] = {
        Prepare: "prepare",
        messages.Commit: "commit",
        messages.Discard: "discard",
        messages.ModelsListed: "models_listed",
        messages.LocalScanned: "local_scanned",
        messages.Tick: "ticked",
        messages.DiscoveryRemarks: "remarks",
        Asked: "discover_now",
    }

    @staticmethod
    def _create_actor_inbox() -> Any:
        return DeferringMailbox(messages.DiscoverNow)

    def __init__(
        self,
        directory: Directory,
        *,
        now: Callable[[], float] = time.monotonic,
        watch: LocalWatch | None = None,
        run: Run = _in_thread,
    ) -> None:
        super().__init__(directory)
        self._now = now
        self._run = run
        self._prepared: Any = None
        self._sync = RegistrySync()
        self._watch = watch or LocalWatch(os.environ)
        self._scanning = False
        self._questions = Gathering()
        self._looked = False  # this machine was scanned, and config was told the result
        self._telling = False  # config was told about a change that no generation contains yet
        self._unlisted: set[str] = set()
        self._expects_until = 0.0
        self._expecting: bool | None = None  # what the router was told last since the last commit

    def legacy(self) -> Any:
        return self._prepared, self._sync, self._watch, self._questions

    def inherit(self, legacy: Any) -> None:
        if legacy is not None:
            self._prepared, self._sync, self._watch, self._questions = legacy

    def on_start(self) -> None:
        # Nothing to do in the first life; later ones resume the schedule.
        self._go_on()
        if self._watch.active:
            self.tick(_LOCAL, SHORTEST_TICK)

    def on_stop(self) -> None:
        self._give_up()

    # -- configuration --------------------------------------------------------------------------------

    def prepare(self, message: Prepare) -> tuple[str, ...]:
        connectors, objections = discovery_of(message.running.config)
        self._prepared = message.running, OutsideDiscovery(connectors, _refused_connector)
        return tuple(map(str, objections))

    def commit(self, message: messages.Commit) -> None:
        prepared, self._prepared = self._prepared, None
        if prepared is None:
            return
        generation, outside = prepared
        now = self._now()
        changed = self._watch.configure(generation, outside)
        settings = SyncSettings.of(generation.config.discovery.sync)
        self._sync.configure(settings, sources_of(generation, self._watch.found), now)
        unlisted, before = self._sync.unlisted(), self._unlisted
        if changed or unlisted - before:
            self._expects_until = now + _FIRST_LISTS
            self.tick(_EXPECTED, _FIRST_LISTS)
        self._unlisted = unlisted
        self._telling = False
        self._expecting = None
        self._go_on()
        if not self._watch.active:
            self.cancel_tick(_LOCAL)
        elif changed:
            self.tick(_LOCAL, 0.0)

    def discard(self, message: messages.Discard) -> None:
        self._prepared = None

    # -- providers --------------------------------------------------------------------------------------

    def models_listed(self, message: messages.ModelsListed) -> None:
        difference = self._sync.models_listed(message, self._now())
        if difference is not None:
            if difference.error:
                logger.debug("%s does not list its models: %s", message.provider, difference.error)
            if difference.change is not None:
                self._tell_config(difference.change)
            if difference.notify:
                self._announce(message.provider, difference.new, difference.gone)
            self._answered(message.provider, [difference.row()])
        self._go_on()

    def ticked(self, message: messages.Tick) -> None:
        if message.what == _LOCAL:
            self._look_around()
        elif message.what == _GIVE_UP:
            self._give_up()
        else:
            self._go_on()

    def _tell_config(self, change: messages.CatalogueChanged) -> None:
        self.tell("config", change)
        self._telling = True

    def _go_on(self) -> None:
        now = self._now()
        more = now < self._expects_until and (
            self._telling or bool(self._sync.unlisted()) or (self._watch.enabled and not self._looked)
        )
        if more != self._expecting:
            self._expecting = more
            self.tell("router", messages.Expecting(more))
        for ask in self._sync.due(now):
            self.tell("router", ask)
        self.next_tick(_SYNC, self._sync.next_due(now))

    # -- this machine -----------------------------------------------------------------------------------

    def _look_around(self) -> None:
        if self._scanning:
            return
        self._scanning = True
        look, tell = self._watch.look, self.directory.tell

        def work() -> None:
            try:
                found = look()
            except Exception:
                logger.exception("looking for local servers failed")
                found = None
            tell(self.name, messages.LocalScanned(found))

        self._run(work)

    def local_scanned(self, message: messages.LocalScanned) -> None:
        self._scanning = False
        for change in self._watch.scanned(message.found):
            if change.catalogue is None:
                self._warn(change.name, change.reason)
                continue
            self._tell_config(change.catalogue)
            self._announce(change.name, change.new, change.gone, change.reason)
        self._looked = True
        self._answered(_HERE, self._watch.rows())
        self._go_on()
        if self._watch.active:
            self.tick(_LOCAL, self._watch.pause())

    # -- reports ----------------------------------------------------------------------------------------

    def remarks(self, message: messages.DiscoveryRemarks) -> list[str]:
        return self._watch.remarks()

    def _warn(self, name: str, reason: str) -> None:
        ids = {"provider": name}
        self.tell(
            "telemetry", Event(EventType.LOCAL_SERVER_DISTRUSTED, time.time_ns(), "warning", ids=ids, reason=reason)
        )

    def _announce(self, provider: str, new: tuple[str, ...], gone: tuple[str, ...], reason: str = "") -> None:
        event = Event(
            EventType.DISCOVERY_MODELS_UPDATED,
            time.time_ns(),
            ids={"provider": provider},
            reason=reason or f"{len(new)} new, {len(gone)} gone",
            changed={"new": list(new[:50]), "gone": list(gone[:50]), "new_count": len(new), "gone_count": len(gone)},
        )
        self.tell("telemetry", event)

    def discover_now(self, asked: Asked) -> None:
        """Answered when every provider has listed its models and this machine has been scanned."""
        for ask in self._sync.due(self._now(), everything=True):
            self.tell("router", ask)
        names = self._sync.awaited()
        if self._watch.enabled:
            names.add(_HERE)
        self._questions.add(asked, names)
        if self._watch.enabled:
            self._look_around()
        self.tick(_GIVE_UP, _WAIT)
        self._go_on()

    def _answered(self, name: str, rows: list[dict[str, Any]]) -> None:
        self._questions.answered(name, rows)
        if not self._questions:
            self.cancel_tick(_GIVE_UP)

    def _give_up(self) -> None:
        self._questions.give_up(_unanswered)


def _refused_connector(id: str) -> str:
    from meshd.connectors.registry import default_registry

    spec = default_registry().find(id, "provider")
    if spec is None:
        return default_registry().why_unknown(id, "provider")
    return f"{spec.id} sends a key, and a discovered server is never sent one" if spec.key_env else ""


def _unanswered(name: str) -> dict[str, Any]:
    shown = "local servers" if name == _HERE else name
    return {"provider": shown, "kind": "provider", "models": 0, "new": [], "gone": [], "error": "no answer"}
