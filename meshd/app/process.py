"""One run of the daemon: boot, serve until a signal, finish what is in flight.

Owns: the claim on the socket, signals, and messages to the service manager.
Must never: do an actor's work; everything long-lived is in `ModelMesh`.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from meshd import messages
from meshd.app.arguments import Options
from meshd.app.listen import http_listener, listeners, socket_path, take_sockets
from meshd.app.notify import Notifier, watchdog_interval
from meshd.app.report import dump, first_status, greet, say_alive, summary
from meshd.app.signals import ENDING, Signals
from meshd.compilation.before_start.posture import untrusted_socket
from meshd.config import MeshConfig
from meshd.config.check.problems import configuration_error
from meshd.config.source import ConfigSource
from meshd.gateway.frontends.ipc.socket_claim import Claim, make_directory
from meshd.host import clock
from meshd.host.socket_path import default_socket
from meshd.telemetry.logs import LogBridge

if TYPE_CHECKING:
    from meshd.mesh import ModelMesh

logger = logging.getLogger("meshd")

_STATUS_EVERY = 10.0  # s between two STATUS lines for the service manager
TOGETHER = 2.0
"""s within which several SIGINT or SIGTERM count as one: a terminal and a parent that forwards (make, uv run) each send
it."""
_LONG_DRAIN = 5.0  # s: for a longer drain, the service manager is asked for that time plus this
_HURRIED = 0.1  # s between two checks for another signal while requests in flight end
_ARENA_MAX, _ARENAS = -8, 2  # the parameter of mallopt, from malloc.h
_YOUNG_OBJECTS = 7000
_FULL_COLLECTION = 100
"""Thresholds of `gc`: new objects before a collection of the youngest generation, and collections of younger
generations before one of the oldest. Requests leave no cyclic garbage, so ten times Python's defaults find just as
much, and each request takes 5 % less time."""
_SWITCH = 0.0005
"""s after which a thread that computes lets another one run. The loop gives up the GIL at each system call; with
Python's default of 5 ms, it would wait that long each time while statistics or counters are saved. With 0.2 ms,
telemetry's work is cut into so many pieces that switching takes as long as the work."""


class Process:
    """One run of the daemon: `run` is the whole of it, from the boot to the end."""

    def __init__(self, options: Options, source: ConfigSource, config: MeshConfig, logs: LogBridge) -> None:
        self._logs = logs
        self._source = source
        self._config = config
        self._log_level = options.log_level
        self._ending_since = 0.0
        self._notifier = Notifier()
        self._handed_in = take_sockets()
        self._path = socket_path(options.socket, self._handed_in, config.daemon)
        self._claim: Claim | None = None
        self._ready = False
        self._children: Path | None = None

    def run(self) -> None:
        from meshd.mesh import ModelMesh

        _share_memory()
        self._signals = Signals()
        sockets = listeners(self._path, self._handed_in, self._config.daemon)
        if not self._handed_in:
            make_directory(self._path)
        self._check_place()
        if not self._handed_in:
            self._claim = Claim(self._path)
        self._children = self._runtime_directory()
        mesh = ModelMesh(
            sockets=sockets,
            http=http_listener(self._path, sockets[0]),
            runtime_dir=self._children,
            on_reload=self._reloading,
            log_level=self._log_level,
            logs=self._logs,
        )
        gc.freeze()  # what was imported stays
        try:
            mesh.start(self._source)
            _settle_memory()
            sys.setswitchinterval(_SWITCH)
            status = first_status(mesh)
            self._notifier.ready(summary(status))
            self._ready = True
            greet(status, self._path)
            self._serve(mesh)
            self._finish(mesh)
        finally:
            mesh.shutdown(drain=0.0)
            if self._claim is not None:
                self._path.unlink(missing_ok=True)
                self._claim.release()
                if self._children is not None:
                    with contextlib.suppress(OSError):  # a child still uses it
                        self._children.rmdir()

    def _check_place(self) -> None:
        """Refuse a socket that another user could replace. Raises ConfigurationError."""
        if str(self._path).startswith("@"):
            return  # an abstract socket has no place
        found = untrusted_socket(self._path)
        if found is not None and self._config.daemon.strict:
            raise configuration_error([found])
        if found is not None:
            logger.warning("%s", found)

    def _runtime_directory(self) -> Path | None:
        """For the sockets of child processes: our socket's own directory if the daemon owns it, else each makes one of
        its own."""
        if self._path.parent != default_socket().parent or not os.access(self._path.parent, os.W_OK):
            return None
        private = self._path.parent / "children"
        private.mkdir(mode=0o700, exist_ok=True)
        return private

    def _serve(self, mesh: ModelMesh) -> None:
        """Until SIGTERM or SIGINT."""
        watchdog = watchdog_interval()
        pause = min(watchdog / 2 if watchdog else _STATUS_EVERY, _STATUS_EVERY)
        while True:
            caught = self._signals.next(pause if self._notifier.active else None)
            if caught is None:
                say_alive(mesh, self._notifier, watchdog)
            elif caught == signal.SIGHUP:
                mesh.tell("config", messages.Reload(reason="SIGHUP"))
            elif caught == signal.SIGUSR1:
                dump(mesh)
            elif caught in ENDING:
                self._ending_since = clock.now()
                logger.info("%s: finishing requests in flight", signal.Signals(caught).name)
                return

    def _finish(self, mesh: ModelMesh) -> None:
        """Let requests in flight end. Another SIGTERM or Ctrl-C, a while later, cuts them off."""
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

    def _drain_seconds(self, mesh: ModelMesh) -> float:
        try:
            seconds: float = mesh.config.daemon.drain_timeout  # as of the last reload
        except Exception:
            seconds = self._config.daemon.drain_timeout
        return seconds

    def _hurry(self, mesh: ModelMesh, finished: threading.Event) -> None:
        while not finished.is_set():
            caught = self._signals.next(_HURRIED)
            if caught in ENDING:
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


def _share_memory() -> None:
    """Threads share two arenas of malloc. With one arena each, memory that a thread needed in a burst could not be used
    by any other."""
    limit = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's
    if limit is not None:
        limit(_ARENA_MAX, _ARENAS)


def _settle_memory() -> None:
    """After the start: the objects created so far stay until the end, so the garbage collector need not walk them again
    and again. What the start no longer needs goes back to the system, which glibc does not do by itself."""
    gc.enable()  # `daemon` in host/process/start.py disables it
    gc.collect()
    gc.freeze()
    _, middle, _ = gc.get_threshold()
    gc.set_threshold(_YOUNG_OBJECTS, middle, _FULL_COLLECTION)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
