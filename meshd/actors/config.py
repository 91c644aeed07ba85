"""The config actor: from the file to a generation that every actor agrees to run.

Owns: the parsed configuration, what discovery added to it, the watch on the file, the two phases of a reload.
Must never: change anything before it is certain that all of it can be changed.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from msgspec.structs import replace

from meshd import messages
from meshd.actors.base.actor import MeshActor
from meshd.actors.prepare import Prepare
from meshd.compilation.before_start.posture import untrusted_config, untrusted_files, untrusted_packages
from meshd.compilation.compile import Directories, Discovered, compile_config
from meshd.compilation.missing_secrets import secrets_missing
from meshd.compilation.running_config import RunningConfig
from meshd.compilation.secret_sources import secret_sources
from meshd.config import MeshConfig
from meshd.config.advice import on_access
from meshd.config.check.problems import Problem
from meshd.config.read.watching import FileWatch
from meshd.config.source import ConfigSource
from meshd.connectors.registry import ConnectorRegistry
from meshd.core.events.event_type import EventType
from meshd.core.events.records import Event
from meshd.core.messaging.mailboxes import ActorUnavailable, Directory
from meshd.sdk.storage import StorageError
from modelmesh.errors import ConfigurationError

logger = logging.getLogger("meshd.config")

FOLLOWERS = ("telemetry", "secret", "state", "router", "health", "discovery")
"""The actors that have to agree, in this order. For requests, the configuration changes when the router commits."""

_CATALOGUE = "catalogue"
_AGREE = 10.0  # s that an actor has to prepare or commit a generation
_READ = 30.0  # s for reading state from its storage, or secrets from their stores
_GATHER = 0.05  # s: findings of discovery that come within this time become one generation


class ConfigActor(MeshActor):
    """on_reload: called with True when a reload begins and with False when it has ended, for the service manager."""

    name: ClassVar[str] = "config"
    handlers: ClassVar[dict[type, str]] = {
        messages.Reload: "reload",
        messages.LastReload: "last",
        messages.GetConfig: "config",
        messages.CatalogueChanged: "catalogue_changed",
        messages.Tick: "ticked",
    }

    def __init__(
        self,
        directory: Directory,
        source: ConfigSource,
        registry: ConnectorRegistry,
        directories: Directories,
        on_reload: Callable[[bool], None] = lambda began: None,
    ) -> None:
        super().__init__(directory)
        self._source = source
        self._registry = registry
        self._directories = directories
        self._on_reload = on_reload
        self._current: RunningConfig | None = None
        self._numbers = 0
        self._discovered: dict[str, Discovered] = {}
        self._unseen = False  # discovery found something that is in no generation yet
        self._last: messages.ReloadReport | None = None
        self._watch: FileWatch | None = None

    # -- life -----------------------------------------------------------------------------------------

    def legacy(self) -> Any:
        return self._current, self._numbers, self._discovered, self._last, self._unseen

    def inherit(self, legacy: Any) -> None:
        self._current, self._numbers, self._discovered, self._last, self._unseen = legacy

    def on_start(self) -> None:
        if self._current is not None:
            self._follow_file()
        if self._unseen:  # the timer ended with the life that set it
            self.tick(_CATALOGUE, _GATHER)

    def on_stop(self) -> None:
        if self._watch is not None:
            self._watch.stop()

    def _actor_loop_teardown(self) -> None:
        if self._watch is not None:  # also after a crash: the next life has its own watch
            self._watch.stop()
        super()._actor_loop_teardown()

    # -- messages -------------------------------------------------------------------------------------

    def reload(self, message: messages.Reload) -> messages.ReloadReport:
        """Read, check, agree, commit. Never raises: the report says what went wrong."""
        began = time.monotonic()
        self._on_reload(True)
        try:
            report = self._reload(message)
        finally:
            self._on_reload(False)
        if report is None:
            return messages.ReloadReport(False)
        report = _stamped(report, time.monotonic() - began, message.dry_run)
        if not message.dry_run:
            if message.config is None:
                self._follow_file()  # also after a mistake, which may be in a file that is new
            self._last = report
            self._announce(report, message.reason)
        return report

    def last(self, message: messages.LastReload) -> messages.ReloadReport | None:
        return self._last

    def config(self, message: messages.GetConfig) -> MeshConfig | None:
        return self._current.stored if self._current is not None else None

    def catalogue_changed(self, message: messages.CatalogueChanged) -> None:
        if message.models is None:
            self._discovered.pop(message.provider, None)
        else:
            self._discovered[message.provider] = Discovered(message.models, message.settings)
        self._unseen = True
        self.tick(_CATALOGUE, _GATHER)

    def ticked(self, message: messages.Tick) -> None:
        """Make a generation of what discovery found, and run it."""
        self._unseen = False
        if self._current is None:
            return
        problems = self._switch(self._current.stored, self._current.source, self._current.warnings)
        for problem in problems:
            logger.warning("what discovery found cannot be used: %s", problem)

    # -- a reload -------------------------------------------------------------------------------------

    def _reload(self, message: messages.Reload) -> messages.ReloadReport | None:
        """Returns None while the file is being written; the watch reports the end of that."""
        try:
            config, source = self._wanted(message)
        except ConfigurationError as error:
            if self._written_again(message):
                return None
            problems = error.extra.get("problems") or [Problem("", None, str(error)).asdict()]
            return messages.ReloadReport(False, problems=tuple(problems))
        except (OSError, UnicodeDecodeError, StorageError) as error:
            problem = Problem("", None, f"the configuration cannot be read: {error}")
            return messages.ReloadReport(False, problems=(problem.asdict(),))
        if self._written_again(message):
            return None
        before = self._current
        if before is not None and message.config is None and _says_nothing(config) and not _says_nothing(before.stored):
            problem = Problem("", None, "is empty: the running configuration stays (`providers: {}` runs without any)")
            return messages.ReloadReport(False, problems=(replace(problem, file=config.file).asdict(),))
        changes = tuple(before.stored.difference(config)) if before is not None else ()
        # The running configuration was valid; a file that it names may be about to be replaced, as the key was.
        faults = [] if message.secrets_only else config.validate(self._registry)
        if not faults and before is not None:
            faults = _unchangeable(before.stored, config)
        warnings: tuple[str, ...] = ()
        if not faults:
            faults, warnings = self._posture(config)
        if not faults:
            only = message.secrets_only
            faults = self._switch(config, source, warnings, message.dry_run, fresh=not only, secrets_only=only)
        if faults:
            return messages.ReloadReport(False, problems=tuple(problem.asdict() for problem in faults))
        return messages.ReloadReport(True, changes, generation=self._numbers)

    def _wanted(self, message: messages.Reload) -> tuple[MeshConfig, str]:
        if message.config is not None:
            return message.config, "given"
        if message.secrets_only and self._current is not None:
            # Only a key changed: unfinished edits of the file do not count yet.
            return self._current.stored, self._current.source
        return self._source.read()

    def _written_again(self, message: messages.Reload) -> bool:
        """Whether the files have changed since the watch has seen them."""
        watch = self._watch
        return message.digest is not None and watch is not None and watch.config_files.digest() != message.digest

    def _posture(self, config: MeshConfig) -> tuple[list[Problem], tuple[str, ...]]:
        """(what others can change, warnings). If others can change the file, they may have set `daemon.strict` in it:
        then the running configuration's value counts, if there is one."""
        of_config = untrusted_config(config)
        found = [*of_config, *untrusted_files(config, self._directories.data), *untrusted_packages(self._registry)]
        strict = config if not of_config or self._current is None else self._current.stored
        if strict.daemon.strict and found:
            return found, ()
        return [], (*map(str, found), *on_access(config))

    def _switch(
        self,
        config: MeshConfig,
        source: str,
        warnings: tuple[str, ...],
        dry_run: bool = False,
        fresh: bool = False,
        secrets_only: bool = False,
    ) -> list[Problem]:
        """Make a generation from a valid configuration and run it; returns the objections, if any.

        fresh: read secrets from their stores again. secrets_only: do nothing if the secrets are those in use."""
        discovered = self._applicable(config)
        merged = _with_found(config, discovered)
        try:
            resolved, missing, awaited, problems = self._resolve_secrets(merged, fresh)
        except ActorUnavailable as error:
            return [Problem("", None, f"{error}; reload again")]
        if problems:
            return problems
        if secrets_only and self._current is not None and resolved == self._current.config:
            self.tell("secret", messages.Commit(self._numbers))  # another reload already has its findings
            return []
        compiled = compile_config(resolved, self._registry, discovered, missing, self._directories)
        running = RunningConfig(
            number=self._numbers + 1,
            config=resolved,
            stored=config,
            table=compiled.table,
            providers=compiled.providers,
            matches=compiled.matches,
            secret_names=_secrets_by_provider(merged),
            source=source,
            notes=tuple(compiled.notes),
            warnings=(*warnings, *awaited),
        )
        objections = self._ask_all(running)
        if objections or dry_run:
            for name in FOLLOWERS:
                self.tell(name, messages.Discard(running.number))
            return objections
        if self._current is None:
            self._restore_router()
        self._numbers = running.number
        try:
            self._commit(running.number)
        except ActorUnavailable as error:
            return [Problem("", None, f"{error}; reload again")]
        for warning in warnings:
            if self._current is None or warning not in self._current.warnings:
                logger.warning("%s", warning)
        self._current = running
        return []

    def _commit(self, number: int) -> None:
        """Raises ActorUnavailable if the router does not answer."""
        for name in FOLLOWERS:
            if name == "state":
                # Awaited, so that another storage has everything when the reload is answered. Failures of the actor
                # are its supervisor's to report.
                with contextlib.suppress(Exception):
                    self.directory.ask(name, messages.Commit(number), _AGREE)
            elif name == "router":
                # Awaited, so that the first request after the reload's answer uses the new configuration.
                self.directory.ask(name, messages.Commit(number), _AGREE)
            else:
                self.tell(name, messages.Commit(number))

    def _restore_router(self) -> None:
        """Before the first generation runs: give the router the state of an earlier run, and a journal for spend."""
        restored = self.directory.ask("state", messages.LoadState(), _READ)
        journal = self.directory.ask("state", messages.OpenJournal(), _READ)
        self.directory.ask("router", messages.RestoreState(restored, journal), _READ)

    def _applicable(self, config: MeshConfig) -> dict[str, Discovered]:
        """What discovery knows, without servers that have a configured provider's name: their models are not that
        provider's."""
        return {
            name: discovered
            for name, discovered in self._discovered.items()
            if discovered.settings is None or name not in config.providers
        }

    def _resolve_secrets(
        self, config: MeshConfig, fresh: bool
    ) -> tuple[MeshConfig, dict[str, str], list[str], list[Problem]]:
        """(the configuration with its secrets, provider → why its secret is missing, what else waits for one,
        problems)."""
        wanted = config.secret_paths()
        if not wanted:
            return config, {}, [], []
        request = messages.ResolveSecrets(tuple(wanted), secret_sources(config), fresh=fresh)
        resolved = self.directory.ask("secret", request, _READ)
        missing: dict[str, str] = {}
        awaited: list[str] = []
        problems: list[Problem] = []
        for each in secrets_missing(config, resolved.missing, resolved.unreachable):
            if each.fatal:
                problems.append(each.problem)
            elif each.provider:
                missing[each.provider] = each.why
            else:
                awaited.append(str(each.problem))
        return config.with_secrets(resolved.values), missing, awaited, problems

    def _ask_all(self, running: RunningConfig) -> list[Problem]:
        objections: list[Problem] = []
        # A lease on a remote storage is waited for as long as the configuration says.
        patience = _AGREE + running.config.storage.locking.timeout
        for name in FOLLOWERS:
            try:
                said = self.directory.ask(name, Prepare(running), patience)
            except ActorUnavailable as error:
                said = (str(error),)
            objections += [Problem("", None, f"{name}: {text}") for text in said or ()]
        return objections

    # -- reporting ------------------------------------------------------------------------------------

    def _announce(self, report: messages.ReloadReport, reason: str) -> None:
        """One event tells the log, listeners and `meshctl events`. A successful start is not reported."""
        severity = "info"
        text = f"{reason}: {'; '.join(report.changes) or 'nothing changed'}"
        if report.generation == 1:
            severity, text = "debug", reason
        elif report.ok and not report.changes:
            severity = "debug"  # nothing changed: the watcher and a command may both have read the same file
        elif not report.ok:
            severity = "error"
            lines = [str(Problem(**problem)) for problem in report.problems]
            text = "\n  ".join([f"{reason}: refused, the running configuration stays", *lines])
        event = Event(
            EventType.CONFIG_RELOADED if report.ok else EventType.CONFIG_REJECTED,
            time.time_ns(),
            severity,
            reason=text,
            changed={"changes": list(report.changes), "problems": list(report.problems)},
        )
        self.tell("telemetry", event)

    def _follow_file(self) -> None:
        """Watch the files in use, if they are to be watched and are not yet."""
        running, files = self._current, self._source.files
        if running is None or files is None or not running.config.daemon.watch:
            if self._watch is not None:
                self._watch.stop()
                self._watch = None
            return
        debounce = running.config.daemon.watch_debounce
        if self._watch is not None and (self._watch.config_files, self._watch.debounce) == (files, debounce):
            return
        if self._watch is not None:
            self._watch.stop()
        self._watch = FileWatch(
            files,
            debounce,
            lambda content: self.tell(self.name, messages.Reload(digest=content, reason=f"{files.main} changed")),
            self._source.seen,
        )
        self._watch.start()


def _with_found(config: MeshConfig, discovered: Mapping[str, Discovered]) -> MeshConfig:
    """With the servers that were found."""
    found = {name: dict(known.settings) for name, known in discovered.items() if known.settings is not None}
    return config.merge({"providers": found}) if found else config


def _says_nothing(config: MeshConfig) -> bool:
    """Whether the file is empty, or has only comments."""
    return not any(value is not None for value in config.raw.values())


def _unchangeable(before: MeshConfig, after: MeshConfig) -> list[Problem]:
    """Changed settings that are applied only once, at the start."""
    return [
        after.problem_at(("daemon", key), "cannot change while running; restart the daemon")
        for key in ("socket", "socket_mode", "socket_group", "dumpable")
        if getattr(before.daemon, key) != getattr(after.daemon, key)
    ]


def _stamped(report: messages.ReloadReport, duration: float, dry_run: bool) -> messages.ReloadReport:
    return messages.ReloadReport(
        report.ok, report.changes, report.problems, report.generation, dry_run, duration, time.time()
    )


def _secrets_by_provider(config: MeshConfig) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for secret, paths in config.secret_paths().items():
        for path in paths:
            if path[0] == "providers":
                found.setdefault(str(path[1]), []).append(secret)
    return {provider: tuple(names) for provider, names in found.items()}
