"""`ModelMesh`: the entry point. The daemon is a process around it; a program may embed it without one.

Owns: the order in which the parts start and stop.
Must never: do a part's work. It returns proxies whose methods send a message and wait for the answer. They may be used
in any thread but the router's own.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from meshd import messages
from meshd.actors.base.actor import MeshActor
from meshd.actors.config import ConfigActor
from meshd.actors.router import RouterActor
from meshd.actors.supervisor import Supervisor
from meshd.compilation.compile import Directories
from meshd.compilation.stored_config import read_stored, stored
from meshd.config import MeshConfig
from meshd.config.read.loading import is_content
from meshd.config.source import ConfigSource
from meshd.config.write.private_file import write_private
from meshd.connectors.registry import ConnectorRegistry, default_registry
from meshd.core.messaging.mailboxes import ActorUnavailable, Directory
from meshd.facade import ModelRegistry, Router, Stats
from modelmesh.embedded import ended
from modelmesh.errors import ConfigurationError, MeshError

if TYPE_CHECKING:
    import tempfile

    from meshd.telemetry.logs import LogBridge

logger = logging.getLogger("meshd")

_START_TIMEOUT = 30.0  # s
_COMMAND_TIMEOUT = 120.0  # s: some commands ask every provider
_STOP_TIMEOUT = 5.0  # s an actor may take to end


class ModelMesh:
    """A mesh in this process.

    sockets: addresses to serve besides `inproc://`; a daemon gives its `ipc://` path. http: the HTTP settings that
    apply if the configuration has none; by default, HTTP is off. state_dir: None uses
    `daemon.state_dir`; a mesh without sockets that keeps its state in memory needs none. log_level: instead of
    `daemon.log_level`. logs: sends Python's logging to the mesh's sinks while it runs; an embedding program keeps its
    own.
    """

    def __init__(
        self,
        *,
        sockets: Iterable[messages.Listen] = (),
        state_dir: str | Path | None = None,
        runtime_dir: str | Path | None = None,
        http: messages.ListenHttp | None = None,
        on_reload: Callable[[bool], None] = lambda began: None,
        log_level: str | None = None,
        logs: LogBridge | None = None,
    ) -> None:
        self._logs = logs
        self._log_level = log_level
        self._sockets = list(sockets)
        self._http = http or messages.ListenHttp()
        self._state_dir = state_dir
        self._runtime_dir = runtime_dir
        self._on_reload = on_reload
        self._private: tempfile.TemporaryDirectory[str] | None = None  # for what is kept in memory only
        self._directory = Directory()
        self._registry: ConnectorRegistry = default_registry()
        self.supervisor: Supervisor | None = None
        self._source: ConfigSource | None = None
        self._started: list[str] = []
        self._bound: list[messages.Listen] = []
        self._lived = False
        self._address = _new_address()
        self._serves_address = False
        self._serving = threading.Lock()

    # -- making one -----------------------------------------------------------------------------------

    @classmethod
    def from_yaml(cls, path: str | Path, **options: Any) -> ModelMesh:
        """A running mesh from a YAML (TOML, JSON) file, which is watched. Raises ConfigurationError."""
        mesh = cls(**options)
        mesh.start(ConfigSource.of_file(Path(path)))
        return mesh

    @classmethod
    def from_storage(cls, connector: str, *, key: str = "mesh.yaml", **settings: Any) -> ModelMesh:
        """A running mesh whose configuration is the value of `key` in a storage (`settings`: the connector's own).

        Raises ConfigurationError.
        """
        mesh = cls()

        def read() -> tuple[MeshConfig, str]:
            return read_stored(connector, settings, key), f"{connector}:{key}"

        mesh.start(ConfigSource(read))
        return mesh

    def initialize(self, config: MeshConfig | Mapping[str, Any] | str | os.PathLike[str]) -> None:
        """Start everything; returns when ready. If that fails, it stops everything and raises.

        config: as an object, as a mapping, or a file's path; a file is watched.
        """
        if isinstance(config, str | os.PathLike) and not is_content(config):
            self.start(ConfigSource.of_file(Path(config)))
        else:
            self.start(ConfigSource.of_config(MeshConfig.of(config)))

    # -- life -----------------------------------------------------------------------------------------

    def start(self, source: ConfigSource) -> None:
        """Like `initialize`, with a source that is read again at each reload."""
        if self.supervisor is not None:
            raise MeshError("this mesh is already running", code="already_running")
        self._source = source
        if self._lived:  # clients of the earlier run must learn that it was shut down
            self._address = _new_address()
        self._lived = True
        _running.add(self)
        try:
            self._boot(source)
        except BaseException:
            self.shutdown(drain=0.0)
            raise

    def _boot(self, source: ConfigSource) -> None:
        from meshd.actors.discovery import DiscoveryActor
        from meshd.actors.health import HealthActor
        from meshd.actors.secret import SecretActor
        from meshd.actors.state import StateActor
        from meshd.actors.telemetry import TelemetryActor
        from meshd.pull.store import data_dir

        source.peek()[0].require_valid(self._registry)
        directories = Directories(str(self._runtime_dir or ""), str(data_dir()))
        self.supervisor = Supervisor(self._directory)
        self.supervisor.launch()
        if not self._sockets:
            import tempfile  # with shutil and its archive formats, it takes 0.4 MB of a daemon

            self._private = tempfile.TemporaryDirectory(prefix="modelmesh-", ignore_cleanup_errors=True)
        private = Path(self._private.name) / "state" if self._private is not None else None
        self._ward(
            "telemetry",
            lambda: TelemetryActor(
                self._directory, log_level=self._log_level, state_dir=self._state_dir, private_dir=private
            ),
        )
        self._ward("secret", lambda: SecretActor(self._directory))
        self._ward("state", lambda: StateActor(self._directory, state_dir=self._state_dir, private_dir=private))
        self._ward("router", lambda: RouterActor(self._directory, self._registry))
        self._ward(
            "config",
            lambda: ConfigActor(self._directory, source, self._registry, directories, self._on_reload),
        )
        self._ward("health", lambda: HealthActor(self._directory))
        self._ward("discovery", lambda: DiscoveryActor(self._directory))
        report = self.ask("config", messages.Reload(reason="start"), _START_TIMEOUT)
        if not report.ok:
            raise _refused(report)
        if self._logs is not None:
            # Not earlier: telemetry gets its sinks with the first configuration.
            self._logs.connect(functools.partial(self._directory.tell, "telemetry"))
        for place in self._sockets:
            self.ask("router", place, _START_TIMEOUT)
            self._bound.append(place)
        self.ask("router", self._http, _START_TIMEOUT)

    def _ward(self, name: str, make: Callable[[], MeshActor]) -> None:
        assert self.supervisor is not None
        self.supervisor.start_ward(make)
        self._started.append(name)

    def shutdown(self, drain: float | None = None) -> None:
        """Let requests in flight end within `drain` seconds (None: `daemon.drain_timeout`), cancel the rest, write
        everything, stop everything. Idempotent."""
        supervisor, self.supervisor = self.supervisor, None
        if supervisor is None:
            return
        supervisor.release()
        if "router" in self._started and drain != 0.0:
            seconds = self._drain_timeout() if drain is None else drain
            with contextlib.suppress(ActorUnavailable, MeshError):
                self._directory.ask("router", messages.Drain(seconds), seconds + _STOP_TIMEOUT)
        for name in ("discovery", "health", "config", "router", "state", "secret", "telemetry"):
            if name == "state":
                # The state actor has to write what telemetry counted since its last flush.
                with contextlib.suppress(ActorUnavailable):
                    self._directory.ask("telemetry", messages.FlushTelemetry(), _STOP_TIMEOUT)
            if name in self._started:
                if name == "telemetry" and self._logs is not None:
                    self._logs.disconnect()
                self._stop(supervisor, name)
        _end(supervisor)
        if self._private is not None:
            self._private.cleanup()
            self._private = None
        self._started.clear()
        for place in self._bound:  # libzmq does not remove the file
            if place.fd is None and place.address.startswith("ipc://"):
                Path(place.address.removeprefix("ipc://")).unlink(missing_ok=True)
        self._bound.clear()
        self._serves_address = False
        ended(self._address, "it was shut down")
        _running.discard(self)
        self._directory = Directory()

    def _stop(self, supervisor: Supervisor, name: str) -> None:
        actor = supervisor.ward(name)
        if actor is not None:
            _end(actor)

    def _drain_timeout(self) -> float:
        with contextlib.suppress(ActorUnavailable, MeshError):
            return self.config.daemon.drain_timeout
        return 30.0

    def __enter__(self) -> ModelMesh:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()

    # -- configuration --------------------------------------------------------------------------------

    def reload_config(
        self, config: MeshConfig | Mapping[str, Any] | str | os.PathLike[str] | None = None
    ) -> messages.ReloadReport:
        """Run another configuration (None: read the source again): all of it or nothing. Requests in flight end under
        the old one. Raises ConfigurationError with every problem if it is refused."""
        wanted = None if config is None else MeshConfig.of(config)
        report: messages.ReloadReport = self.ask(
            "config", messages.Reload(config=wanted, reason="asked by the program"), _START_TIMEOUT
        )
        if not report.ok:
            raise _refused(report)
        return report

    def add_provider(self, name: str, **settings: Any) -> messages.ReloadReport:
        """Add a provider, or change its settings."""
        return self.reload_config(self.config.merge({"providers": {name: settings}}))

    def save_config(self, connector: str | None = None, *key: str | Path, **settings: Any) -> None:
        """Write the configuration, references unresolved: without a connector to the file `path` (its extension decides
        the format; only its owner can read it), otherwise to the connector's storage under `key`, or under `path` if
        there is no `key`. settings: those of the storage, `path` among them if `key` is given. Raises
        ConfigurationError, OSError."""
        path = key[0] if key else settings.pop("path", None)
        if connector is None:
            if path is None:
                raise ValueError("save_config needs a path, or a storage connector")
            target = Path(path)
            kind = {".toml": "toml", ".json": "json"}.get(target.suffix, "yaml")
            write_private(target, self.config.dump(kind))
            return
        with stored(connector, settings) as storage:
            storage.save(str(path or "mesh.yaml"), self.config.dump("yaml").encode())

    @property
    def config(self) -> MeshConfig:
        """The configuration in use, as written."""
        stored: MeshConfig = self.ask("config", messages.GetConfig())
        return stored

    # -- proxies --------------------------------------------------------------------------------------

    def get_router(self) -> Router:
        return Router(self)

    def get_registry(self) -> ModelRegistry:
        return ModelRegistry(self)

    @property
    def address(self) -> str:
        """Where clients in this process connect. It is served only once it has been asked for, since a daemon needs
        neither it nor libzmq."""
        with self._serving:
            if self._started and not self._serves_address:
                self.ask("router", messages.Listen(self._address), _START_TIMEOUT)
                self._serves_address = True
        return self._address

    def get_client(self, **options: Any) -> Any:
        """A `modelmesh.OpenAIClient` of this mesh, over inproc://. Raises MeshError if the mesh does not run."""
        from modelmesh import OpenAIClient

        self._require_running()
        return OpenAIClient(self.address, **options)

    def stats(self) -> Stats:
        return Stats(self)

    def export_state(self) -> dict[str, Any]:
        """Everything that survives a restart, as one map."""
        self.ask("router", messages.SaveCounters())
        exported: dict[str, Any] = self.ask("state", messages.ExportState())
        return exported

    def import_state(self, state: Mapping[str, Any]) -> None:
        """Replace everything that survives a restart by a map from `export_state`."""
        restored = self.ask("state", messages.ImportState(dict(state)))
        self.ask("router", messages.RestoreState(restored))

    # -- asking ---------------------------------------------------------------------------------------

    def command(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        timeout: float = _COMMAND_TIMEOUT,
    ) -> Any:
        """An operation of the dispatch table (docs/protocol.md), as `meshctl` calls it. Raises MeshError."""
        return self.ask("router", messages.RouterCommand(method, path, dict(body or {}), dict(query or {})), timeout)

    def healthy(self, timeout: float = 5.0) -> bool:
        """Whether the router answers and no actor keeps dying. The watchdog depends on it."""
        if self.supervisor is None or not self.supervisor.well:
            return False
        try:
            return bool(self._directory.ask("router", messages.Beat(), timeout))
        except ActorUnavailable:
            return False

    def tell(self, actor: str, message: messages.Message) -> None:
        self._directory.tell(actor, message)

    def ask(self, actor: str, message: messages.Message, timeout: float = 10.0) -> Any:
        """Raises ActorUnavailable, or what the actor raised."""
        self._require_running()
        return self._directory.ask(actor, message, timeout)

    def _require_running(self) -> None:
        if not self._started:
            raise MeshError("the mesh is not running: call initialize() first", code="not_running")


_numbers = itertools.count(1)
_running: weakref.WeakSet[ModelMesh] = weakref.WeakSet()


def _left_behind() -> None:
    """For a forked process, in which the mesh's threads do not exist."""
    for mesh in list(_running):
        mesh._serves_address = True  # noqa: SLF001 - there is no thread to ask
        ended(mesh._address, "it runs in the process that this one was forked from")  # noqa: SLF001 - see above


os.register_at_fork(after_in_child=_left_behind)


def _new_address() -> str:
    """An address never used in this process: clients keep one connection per address."""
    return f"inproc://meshd-{os.getpid()}-{next(_numbers)}"


def _end(actor: MeshActor) -> None:
    """Stop an actor and wait for its thread: after a shutdown none of them runs."""
    if not actor.actor_stopped.is_set():
        actor.actor_ref.stop(block=False)
    if actor.thread is not None:
        actor.thread.join(_STOP_TIMEOUT * 2)
        if actor.thread.is_alive():
            logger.error("the %s actor does not stop", actor.name)


def _refused(report: messages.ReloadReport) -> ConfigurationError:
    from meshd.config import Problem
    from meshd.config.check.problems import configuration_error

    return configuration_error([Problem(**problem) for problem in report.problems])
