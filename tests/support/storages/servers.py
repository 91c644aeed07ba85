"""Redis (or Valkey) and PostgreSQL as processes of their own, on sockets in a directory of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

_PATIENCE = 30.0  # s for a start


class Server:
    """The data outlives `kill`. directory: of its data and its socket."""

    def __init__(self) -> None:
        # Not pytest's: PostgreSQL runs as another user if the tests are root's.
        self.directory = Path(tempfile.mkdtemp(prefix="meshd-storage-"))
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        log = self.directory / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(self.command(), stdout=output, stderr=output, **self._as_whom())
        deadline = time.monotonic() + _PATIENCE
        while not self.answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                pytest.fail(f"{self.command()[0]} does not start: {log.read_text()[-500:]}")
            time.sleep(0.02)

    def hang(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        assert self._process is not None
        self._signal(signal.SIGKILL)
        self._process.wait(20)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.resume()
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _as_whom(self) -> dict[str, Any]:
        return {}


class Redis(Server):
    def __init__(self) -> None:
        program = shutil.which("valkey-server") or shutil.which("redis-server")
        if program is None:
            pytest.skip("neither valkey-server nor redis-server is installed")
        self._program = program
        super().__init__()
        self.socket = self.directory / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.start()

    def command(self) -> Sequence[str]:
        place = ("--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.directory))
        return (self._program, *place, "--appendonly", "yes", "--appendfsync", "no", "--save", "")

    def forget(self) -> None:
        """Delete its data, while it does not run."""
        for path in self.directory.glob("appendonly*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def client(self) -> Any:
        import redis

        return redis.Redis.from_url(self.url)

    def answers(self) -> bool:
        import redis

        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"url": self.url, **more}


class Postgresql(Server):
    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        initdb = shutil.which("initdb") or (str(found[-1]) if found else None)
        if initdb is None:
            pytest.skip("PostgreSQL is not installed")
        self._programs = Path(initdb).resolve().parent
        super().__init__()
        self.data = self.directory / "data"
        if os.geteuid() == 0:
            shutil.chown(self.directory, "nobody")
        make = [initdb, "-D", str(self.data), "-U", "mesh", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C"]
        subprocess.run(make, check=True, capture_output=True, timeout=120, **self._as_whom())
        self.url = f"host={self.directory} user=mesh dbname=postgres"
        self.start()

    def command(self) -> Sequence[str]:
        given = ("-c", "listen_addresses=", "-c", "fsync=off", "-k", str(self.directory))
        return (str(self._programs / "postgres"), "-D", str(self.data), *given)

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def hang(self) -> None:
        for pid in self._children():
            os.kill(pid, signal.SIGSTOP)
        super().hang()

    def resume(self) -> None:
        super().resume()
        for pid in self._children():
            os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)  # its processes end at once, as in a crash
        self._process.wait(20)

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"url": self.url, **more}

    def _children(self) -> list[int]:
        assert self._process is not None
        path = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def _as_whom(self) -> dict[str, Any]:
        return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


class Once:
    """Starts a server when it is first asked for."""

    def __init__(self) -> None:
        self._running: dict[Callable[[], Any], Any] = {}

    def __call__(self, make: Callable[[], Any]) -> Any:
        if make not in self._running:
            self._running[make] = make()
        return self._running[make]

    def running(self, kind: type) -> list[Any]:
        return [server for server in self._running.values() if isinstance(server, kind)]

    def close(self) -> None:
        for server in self._running.values():
            server.close()
