"""A daemon that is attacked, and what others notice of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.apps.other_users.attacker import OVER_CURVE, Attacker
from tests.support.apps.other_users.other_user import App
from tests.support.daemons.daemon import Daemon
from tests.support.network.other_machine import OtherMachine
from tests.support.providers.servers.upstream import Upstream

MIB = 1024**2
VICTIM = 4242


@dataclass
class Figures:
    """memory: the most that it grew by, in bytes. latencies: of another user's requests; statuses: of the operator's
    `status`, in seconds."""

    memory: int = 0
    latencies: list[float] = field(default_factory=list)
    statuses: list[float] = field(default_factory=list)

    def share(self, part: float) -> float:
        """That quantile of the latencies."""
        return sorted(self.latencies)[min(int(len(self.latencies) * part), len(self.latencies) - 1)]


class Attacked:
    """options: of the daemon's process."""

    def __init__(self, directory: Path, **options: Any) -> None:
        # Each with a server of its own: what a user does to a provider is another matter.
        steps = {"fast": {"reply": "x"}, "slow": {"reply": "x", "delay": 3600}}
        self.upstreams = {name: Upstream(directory, [step]).start() for name, step in steps.items()}
        off = {"enabled": False}
        config = {
            "daemon": {"socket_mode": "0666"},
            "providers": {name: server.provider() for name, server in self.upstreams.items()},
            "models": {name: {"provider": name, "model": name, "capabilities": ["chat-completion"]} for name in steps},
            "discovery": {"health": off, "sync": off, "local": off},
        }
        self._config = config
        self._machine: OtherMachine | None = None
        self.daemon = Daemon(directory, config, **options).start()
        self.daemon.socket.parent.chmod(0o755)
        assert self.daemon.process is not None
        self._process = psutil.Process(self.daemon.process.pid)
        self.victim = App(self.daemon.socket, VICTIM)
        self.victim.say("fast")

    def attack(self, flood: str, uid: int, **how: bool) -> Attacker:
        """By a process of that user, or by clients on another machine."""
        return self._over_curve(flood) if flood in OVER_CURVE else Attacker(self.daemon.socket, uid, flood, **how)

    def _over_curve(self, flood: str) -> Attacker:
        """The daemon listens for them from now on."""
        pytest.importorskip("nacl", reason="needs modelmesh[curve]")
        from tests.support.apps.curve.curve_attacker import CurveAttacker
        from tests.support.apps.curve.curve_peer import pair

        if self._machine is None:
            self._machine = OtherMachine()
            self._keys = pair(), pair()
            (_, secret), (known, _) = self._keys
            listen = {"listen": f"tcp://{self._machine.address}:*", "curve": {"secret_key": secret}}
            self._config["daemon"].update(listen)
            self._config["apps"] = {"known": {"match": {"curve_key": known}}}
            self.daemon.write(self._config)
            assert self.daemon.ask("POST", "/mesh/v1/reload")["ok"]
        [address] = self.daemon.status()["listen"]["addresses"]
        (server, _), (_, known) = self._keys
        return CurveAttacker(self._machine.inside, self._machine.sources, address, server, known, flood)

    def close(self) -> None:
        if self._machine is not None:
            self._machine.close()
        self.victim.close()
        self.daemon.close()
        for server in self.upstreams.values():
            server.kill()

    @contextmanager
    def watched(self) -> Iterator[Figures]:
        """Its memory, during the block."""
        figures, over = Figures(), threading.Event()
        before = self._process.memory_info().rss

        def watch() -> None:
            while not over.wait(0.02):
                figures.memory = max(figures.memory, self._process.memory_info().rss - before)

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            yield figures
        finally:
            over.set()
            watching.join()

    def measure(self, figures: Figures, seconds: float) -> None:
        """Another user's app and the operator, for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            figures.latencies.append(_seconds(lambda: self.victim.say("fast")))
            if len(figures.latencies) % 20 == 1:
                figures.statuses.append(_seconds(self.daemon.status))

    def running(self) -> bool:
        return self.daemon.process is not None and self.daemon.process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid


def _seconds(action: Any) -> float:
    began = time.perf_counter()
    found = action()
    assert not isinstance(found, dict) or "error" not in found, found
    return time.perf_counter() - began
