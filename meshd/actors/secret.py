"""The secret actor: resolves names to values, and reports changes.

Owns: the `SecretResolver`, and the watch on the files it reads. Config asks it to resolve secrets; the router tells it
when a provider refuses a key.
Must never: put a value into a log, a repr or an exception; values leave only in `SecretsResolved`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

from meshd import messages
from meshd.actors.base.actor import MeshActor
from meshd.actors.prepare import Prepare
from meshd.compilation.secret_sources import secret_sources
from meshd.connectors.secrets.resolver import Looked, SecretResolver
from meshd.connectors.secrets.watch import SecretWatch
from meshd.core.events.event_type import EventType
from meshd.core.events.records import Event
from meshd.core.messaging.mailboxes import Directory

_SETTLING = "settling"
_POLL = "poll"
_AGAIN = 0.1  # s until a file that is being written is read again


class SecretActor(MeshActor):
    name: ClassVar[str] = "secret"
    handlers: ClassVar[dict[type, str]] = {
        Prepare: "prepare",
        messages.Commit: "commit",
        messages.Discard: "discard",
        messages.ResolveSecrets: "resolve",
        messages.RefreshSecret: "refresh",
        messages.ReadSecretsAgain: "read_again",
        messages.SecretFilesTouched: "touched",
        messages.Tick: "ticked",
    }

    def __init__(self, directory: Directory, *, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(directory)
        self._resolver = SecretResolver(now=now)
        self._watches = self._to_watch = False  # whether files are watched: now, and in the prepared generation
        self._watch: SecretWatch | None = None
        self._told = messages.SecretStandings()  # to the router
        self._why: dict[str, tuple[str, str]] = {}  # secret → why it is read again, and for which provider

    # -- life -----------------------------------------------------------------------------------------

    def legacy(self) -> Any:
        return self._resolver, self._watches

    def inherit(self, legacy: Any) -> None:
        if legacy is not None:
            self._resolver, self._watches = legacy

    def on_start(self) -> None:
        self._follow_files()
        self._follow_stores()

    def on_stop(self) -> None:
        self._resolver.close()

    def _actor_loop_teardown(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        super()._actor_loop_teardown()

    # -- generations ----------------------------------------------------------------------------------

    def prepare(self, message: Prepare) -> tuple[str, ...]:
        config = message.running.config
        self._to_watch = config.daemon.watch
        # As written: a store would have to resolve secrets in its own settings by itself.
        return tuple(map(str, self._resolver.prepare(secret_sources(config))))

    def commit(self, message: messages.Commit) -> None:
        for name in self._resolver.commit():
            self._announce(name)
        self._watches = self._to_watch
        self._follow_files()
        self._follow_stores()

    def discard(self, message: messages.Discard) -> None:
        self._resolver.discard()
        self._to_watch = self._watches

    def resolve(self, message: messages.ResolveSecrets) -> messages.SecretsResolved:
        found = self._resolver.resolve(message.names, message.sources, fresh=message.fresh)
        return messages.SecretsResolved(*found)

    # -- other values ---------------------------------------------------------------------------------

    def refresh(self, message: messages.RefreshSecret) -> messages.SecretsLookedAt:
        looked = self._resolver.refresh(message.names)
        return self._tell_of(looked, message.reason, message.provider)

    def read_again(self, message: messages.ReadSecretsAgain) -> messages.SecretsLookedAt:
        return self._tell_of(self._resolver.look_at_all(), "its store has a new value", "")

    def touched(self, message: messages.SecretFilesTouched) -> None:
        self._tell_of(self._resolver.look(), "its file has a new value", "")

    def ticked(self, message: messages.Tick) -> None:
        if message.what == _POLL:
            self._tell_of(self._resolver.poll(), "its store has a new value", "")
        else:
            self._tell_of(self._resolver.look(), "its file has a new value", "")

    def _tell_of(self, looked: Looked, reason: str, provider: str) -> messages.SecretsLookedAt:
        for name in looked.changed:
            self._why[name] = reason, provider
        if looked.changed:
            named = ", ".join(looked.changed)
            self.tell("config", messages.Reload(reason=f"secret {named} rotated", secrets_only=True))
        if looked.unsettled:
            self.tick(_SETTLING, _AGAIN)
        self._follow_stores()
        return messages.SecretsLookedAt(looked.changed, looked.unsettled)

    def _announce(self, name: str) -> None:
        reason, provider = self._why.pop(name, ("its store has a new value", ""))
        ids = {"secret": name} | ({"provider": provider} if provider else {})
        self.tell("telemetry", Event(EventType.SECRET_ROTATED, time.time_ns(), ids=ids, reason=reason))

    def _follow_stores(self) -> None:
        """Report the state of the stores if it has changed, and set the timer for asking them next."""
        self.next_tick(_POLL, self._resolver.poll_after)
        now = messages.SecretStandings(self._resolver.standings, self._resolver.kept)
        if now == self._told:
            return
        down = {standing.store for standing in self._told.stores if standing.error}
        for standing in now.stores:
            if bool(standing.error) == (standing.store in down):
                continue
            type = EventType.SECRET_STORE_UNREACHABLE if standing.error else EventType.SECRET_STORE_RECOVERED
            severity = "warning" if standing.error else "info"
            ids = {"store": standing.store}
            self.tell("telemetry", Event(type, time.time_ns(), severity, ids=ids, reason=standing.error))
        self._told = now
        self.tell("router", now)

    def _follow_files(self) -> None:
        files = tuple(path for path in self._resolver.files if not path.is_fifo()) if self._watches else ()
        if self._watch is not None and self._watch.files != files:
            self._watch.stop()
            self._watch = None
        if files and self._watch is None:
            self._watch = SecretWatch(files, lambda: self.tell(self.name, messages.SecretFilesTouched()))
            self._watch.start()
            self.tell(self.name, messages.SecretFilesTouched())  # they may have changed since they were read
