"""The process `meshd`: read top to bottom, it is the boot and shutdown sequence.

Owns: arguments, the socket's place, signals, messages to the service manager and the terminal, exit codes.
Must never: do an actor's work; everything long-lived is in `ModelMesh`.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import gc
import json
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from meshd import messages
from meshd.app.listen import ListenError, ListenSocket, take_sockets
from meshd.app.notify import Notifier, watchdog_interval
from meshd.config import MeshConfig, find_config
from meshd.config.read.source import ConfigSource
from meshd.core.mailboxes import ActorUnavailable
from meshd.gateway.frontends.ipc.socket_claim import Claim, SocketTaken
from meshd.host import clock
from meshd.host.descriptors import FEWEST_FILES, raise_file_limit
from meshd.host.socket_path import default_socket
from meshd.host.standard_streams import open_standard_streams, release_standard_streams
from meshd.telemetry.logs import LogBridge
from modelmesh.errors import ConfigurationError, MeshError
from modelmesh.version import VERSION

logger = logging.getLogger("meshd")

EX_OK = 0
EX_USAGE = 64
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_OSERR = 71
EX_CONFIG = 78

_LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
_STATUS_EVERY = 10.0  # s between two STATUS lines for the service manager
_STUCK_AFTER = 5.0  # s the router may take to answer before the watchdog is no longer fed
TOGETHER = 2.0
"""s in which signals to end count as one: a terminal and a forwarding parent (make, npm, uv run) each send it."""
_LONG_DRAIN = 5.0  # s of draining above which the service manager is asked for more time; and what comes after it


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Never returns; the exit code follows sysexits(3)."""
    open_standard_streams()
    try:
        status = run(_parse(arguments))
    finally:
        release_standard_streams()
    sys.exit(status)


def run(options: argparse.Namespace) -> int:
    os.umask(0o077)
    logs = _logs(options.log_level)
    try:
        source = _source(options.config)
        config = source.peek()[0].require_valid()
    except ConfigurationError as error:
        return _refused(error)
    if options.check:
        return _checked(config, options.socket)
    files, warning = raise_file_limit()
    if files < FEWEST_FILES:
        _complain(str(warning))
        return EX_OSERR
    if warning:
        logger.warning("%s", warning)
    _warn_of_proxies(config)
    try:
        return _Process(options, source, config, logs).run()
    except ConfigurationError as error:
        return _refused(error)
    except (SocketTaken, ListenError) as error:
        _complain(str(error))
        return EX_UNAVAILABLE
    except MeshError as error:
        _complain(str(error))
        return EX_SOFTWARE
    except OSError as error:
        _complain(f"cannot run here: {_about(error)}")
        logger.debug("cannot run", exc_info=True)
        return EX_OSERR
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and "can't start new thread" not in str(error):
            raise
        _complain(f"cannot run here: {_NO_ROOM}")
        return EX_OSERR


_NO_ROOM = "no more threads or memory; raise `ulimit -u` and `ulimit -v` (TasksMax=, MemoryMax= in a unit)"


def _about(error: OSError) -> str:
    """Its text, with what to do if that is clear."""
    advice = {
        errno.EMFILE: "raise `ulimit -n` (LimitNOFILE= in a unit)",
        errno.ENFILE: "the machine has too many open files",
        errno.ENOSPC: "free some disk space",
        errno.EROFS: "give it a place to write with --socket and daemon.state_dir",
        errno.EACCES: "give it a place to write with --socket and daemon.state_dir",
    }.get(error.errno or 0)
    what = error.strerror or str(error) or type(error).__name__
    where = f": {error.filename}" if error.filename else ""
    return f"{what}{where}" + (f"; {advice}" if advice else "")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="meshd",
        description="A local gateway for every app on this machine that uses AI models. Without a configuration "
        "it uses what it finds: keys in the environment, local servers, embedded models.",
        epilog="Signals: SIGTERM finishes requests in flight and exits, SIGHUP reloads, SIGUSR1 logs the state. "
        "Try `meshctl status`, `meshctl chat` and `meshctl doctor` beside it.",
    )
    parser.add_argument("--config", metavar="FILE", help="configuration (YAML, TOML or JSON; - or a pipe: read once)")
    parser.add_argument("--socket", metavar="PATH", help="where to listen")
    parser.add_argument("--log-level", choices=_LOG_LEVELS, help="lowest severity to log")
    parser.add_argument("--check", action="store_true", help="check the configuration and exit")
    parser.add_argument("--version", action="version", version=f"meshd {VERSION}")
    return parser.parse_args(arguments)


def _logs(level: str | None) -> LogBridge:
    """Python's logging: to standard error while the mesh does not run."""
    for chatty in ("pykka", "asyncio", "watchfiles"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)  # the actors log their own failures
    return LogBridge().install(level or "info")


def _source(given: str | None) -> ConfigSource:
    path = Path("/dev/stdin") if given == "-" else find_config(given)
    return ConfigSource.of_file(path) if path is not None else ConfigSource.built_in()


def _checked(config: MeshConfig, socket: str | None) -> int:
    """Print everything that would stop a start, a line each."""
    from meshd.compilation.preflight import obstacles
    from meshd.config.check.advice import remarks

    code = EX_OK
    for found in obstacles(config, socket, strict=True):
        _complain(found.message + ("" if found.fatal else " (meshd starts all the same)"))
        if found.fatal and code != EX_CONFIG:
            code = EX_CONFIG if found.problem is not None else EX_UNAVAILABLE
    for remark in remarks(config):
        _complain(f"note: {remark}")
    if code == EX_OK:
        print(f"{config.file or 'the built-in configuration'}: valid")
    return code


def _warn_of_proxies(config: MeshConfig) -> None:
    """At the start, since later errors say only that a provider cannot be reached."""
    if any(name.lower().endswith("_proxy") for name in os.environ):
        from meshd.compilation.preflight import proxies

        for found in proxies(config):
            logger.warning("%s", found.message)


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):  # a full disk: the exit status says it, too
        print(f"meshd: {text}", file=sys.stderr)


def _refused(error: ConfigurationError) -> int:
    from meshd.config import Problem

    problems = error.extra.get("problems") or []
    for problem in problems:
        _complain(str(Problem(**problem)))
    if not problems:
        _complain(str(error))
    return EX_CONFIG


class _Process:
    """One run of the daemon."""

    def __init__(self, options: argparse.Namespace, source: ConfigSource, config: MeshConfig, logs: LogBridge) -> None:
        self._logs = logs
        self._source = source
        self._config = config
        self._log_level = options.log_level
        self._ending_since = 0.0
        self._notifier = Notifier()
        self._signals = -1  # a pipe's end; each signal is a byte
        self._handed_in = take_sockets()
        self._path = self._socket_path(options.socket)
        self._claim: Claim | None = None
        self._ready = False
        self._children: Path | None = None

    def run(self) -> int:
        from meshd.mesh import ModelMesh

        self._catch_signals()
        sockets = self._listen()
        if not self._handed_in:
            self._claim = Claim(self._path)
        self._children = self._runtime_directory()
        mesh = ModelMesh(
            sockets=sockets,
            runtime_dir=self._children,
            on_reload=self._reloading,
            log_level=self._log_level,
            logs=self._logs,
        )
        try:
            mesh.start(self._source)
            # Objects created until now stay: keep the collector from walking them again and again.
            gc.collect()
            gc.freeze()
            status = _first_status(mesh)
            self._notifier.ready(_summary(status))
            self._ready = True
            self._greet(status)
            self._serve(mesh)
            self._finish(mesh)
        finally:
            mesh.shutdown(drain=0.0)
            if self._claim is not None:
                self._path.unlink(missing_ok=True)
                self._claim.release()
                if self._children is not None:
                    with contextlib.suppress(OSError):  # still used by a child
                        self._children.rmdir()
        return EX_OK

    # -- the socket -----------------------------------------------------------------------------------

    def _socket_path(self, given: str | None) -> Path:
        if given:
            scheme, separator, _ = given.partition("://")
            if separator and scheme != "ipc":
                raise ListenError(f"{given}: apps connect to a socket file; give its path")
            return Path(given.removeprefix("ipc://")).expanduser().absolute()
        if self._handed_in:
            return Path(self._handed_in[0].path)
        configured = self._config.daemon.socket
        if configured:
            return Path(configured.removeprefix("ipc://")).expanduser().absolute()
        return default_socket()

    def _listen(self) -> list[messages.Listen]:
        if not self._handed_in:
            daemon = self._config.daemon
            return [messages.Listen(f"ipc://{self._path}", None, daemon.socket_mode, _gid(daemon.socket_group))]
        # Systemd's socket unit says who may connect.
        return [_handed(socket) for socket in self._handed_in]

    def _runtime_directory(self) -> Path | None:
        """For the sockets of child processes: beside ours if that directory is the daemon's own, else a temporary one
        that the mesh creates and removes."""
        if self._path.parent != default_socket().parent or not os.access(self._path.parent, os.W_OK):
            return None
        private = self._path.parent / "children"
        private.mkdir(mode=0o700, exist_ok=True)
        return private

    # -- signals --------------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        """Into a pipe, from any thread the kernel chooses: a signal between two checks of the main thread, not during
        its sleep, would be noticed only when it next wakes."""
        self._signals, written = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, lambda caught, frame: None)

    def _next_signal(self, timeout: float | None) -> int | None:
        ready, _, _ = select.select([self._signals], [], [], timeout)
        return os.read(self._signals, 1)[0] if ready else None

    def _serve(self, mesh: Any) -> None:
        """Until SIGTERM or SIGINT."""
        watchdog = watchdog_interval()
        pause = min(watchdog / 2 if watchdog else _STATUS_EVERY, _STATUS_EVERY)
        while True:
            caught = self._next_signal(pause if self._notifier.active else None)
            if caught is None:
                self._say_alive(mesh, watchdog)
            elif caught == signal.SIGHUP:
                mesh.tell("config", messages.Reload(reason="SIGHUP"))
            elif caught == signal.SIGUSR1:
                _dump(mesh)
            elif caught in (signal.SIGTERM, signal.SIGINT):
                self._ending_since = clock.now()
                logger.info("%s: finishing requests in flight", signal.Signals(caught).name)
                return

    def _say_alive(self, mesh: Any, watchdog: float | None) -> None:
        if not mesh.healthy(_STUCK_AFTER):
            logger.error("the router does not answer; the watchdog is not fed")
            return
        if watchdog:
            self._notifier.watchdog()
        try:
            self._notifier.status(_summary(_ask(mesh, "status")))
        except Exception as error:  # an operation's exception must not end the daemon
            logger.warning("no status: %s", _named(error))

    def _finish(self, mesh: Any) -> None:
        """Let requests in flight end; another SIGTERM or Ctrl-C, a while later, stops the waiting."""
        self._notifier.stopping("finishing requests in flight")
        seconds = self._drain_seconds(mesh)
        if seconds > _LONG_DRAIN:
            self._notifier.extend_timeout(seconds + _LONG_DRAIN)
        finished = threading.Event()
        watching = threading.Thread(target=self._hurry, args=(mesh, finished), name="meshd-signals", daemon=True)
        watching.start()
        try:
            mesh.shutdown(drain=seconds)
        finally:
            finished.set()
            watching.join()

    def _drain_seconds(self, mesh: Any) -> float:
        try:
            seconds: float = mesh.config.daemon.drain_timeout  # as of the last reload
        except Exception:
            seconds = self._config.daemon.drain_timeout
        return seconds

    def _hurry(self, mesh: Any, finished: threading.Event) -> None:
        while not finished.is_set():
            caught = self._next_signal(0.1)
            if caught in (signal.SIGTERM, signal.SIGINT):
                name = signal.Signals(caught).name
                if clock.now() - self._ending_since < TOGETHER:
                    logger.info("%s again, at once: counted once; a later one cuts off requests in flight", name)
                    continue
                logger.warning("%s again: requests in flight are cut off", name)
                mesh.tell("router", messages.Drain(0.0))

    def _reloading(self, began: bool) -> None:
        if not self._ready:
            return  # the first configuration is part of the start
        if began:
            self._notifier.reloading("reading the configuration")
        else:
            self._notifier.ready()

    # -- a person -------------------------------------------------------------------------------------

    def _greet(self, status: dict[str, Any]) -> None:
        """One short screen for a person who started it by hand."""
        unwritten = status["state"].get("error")
        if unwritten:
            logger.warning("state and spend are kept in memory only: %s", unwritten)
        if not sys.stderr.isatty():
            logger.info("ready on %s: %s", self._path, _summary(status))
            return
        source = status["config"]["source"]
        lines = [f"meshd {VERSION} is ready", f"  socket     {self._path}", f"  config     {source}"]
        names = [
            provider["name"] if provider["available"] else f"{provider['name']} ({provider['reason']})"
            for provider in status["providers"]
        ]
        lines.append(f"  providers  {', '.join(names) or _NO_PROVIDERS}")
        pools = [f"{pool['name']} ({pool['active']})" for pool in status["pools"]]
        lines.append(f"  pools      {', '.join(pools) or 'none'}")
        lines += [f"  note       {note}" for note in status["notes"]]
        lines.append("Next: meshctl chat, meshctl status, meshctl doctor. Ctrl-C ends.")
        print("\n".join(lines), file=sys.stderr)


_NO_PROVIDERS = 'none: set a key such as OPENAI_API_KEY, start Ollama, or pip install "modelmesh[local]"'


def _handed(socket: ListenSocket) -> messages.Listen:
    return messages.Listen(f"ipc://{socket.path}", socket.fd)


def _gid(group: str | None) -> int | None:
    if not group:
        return None
    import grp

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise MeshError(f"daemon.socket_group: there is no group {group} on this machine") from None


def _summary(status: dict[str, Any]) -> str:
    up = sum(provider["available"] for provider in status["providers"])
    return (
        f"{len(status['pools'])} pools, {up} of {len(status['providers'])} providers available, "
        f"{status['in_flight']} requests in flight"
    )


def _first_status(mesh: Any) -> dict[str, Any]:
    """Clients of a socket that was handed in may come first: a router that their requests crashed is back soon."""
    deadline = clock.now() + _STUCK_AFTER
    while True:
        try:
            status: dict[str, Any] = mesh.command("GET", "/mesh/v1/status")
            return status
        except ActorUnavailable:
            if clock.now() > deadline:
                raise
            time.sleep(0.05)


def _dump(mesh: Any) -> None:
    try:
        state = {name: _ask(mesh, name) for name in ("status", "pools", "models")}
        text = json.dumps(state)
    except Exception as error:  # an operation's exception must not end the daemon
        logger.error("no state dump: %s", _named(error))
        return
    logger.info("state dump: %s", text)


def _ask(mesh: Any, name: str) -> Any:
    """Run a command without delaying signals."""
    return mesh._ask("router", messages.RouterCommand("GET", f"/mesh/v1/{name}"), _STUCK_AFTER)


def _named(error: Exception) -> str:
    return str(error) if isinstance(error, MeshError) else f"{type(error).__name__}: {error}"
