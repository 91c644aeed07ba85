"""Real daemons on a storage that others reach too, and requests to them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from tests.support.daemons.daemon import Daemon
from tests.support.waiting import until

PRICE = 0.1  # USD a request
QUIET = {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}}


def config(limit: float, **storage: Any) -> dict[str, Any]:
    return {
        "providers": {
            "p": {
                "connector": "modelmesh.scripted.v1",
                "script": [{"reply": "hello"}],
                "cycle": True,
                "pricing": {"per_request": PRICE, "input_per_1m": 0, "output_per_1m": 0},
                "budget": {"daily_limit": limit, "enforce": True},
            }
        },
        "models": {"p.chat": {"provider": "p", "capabilities": ["chat-completion"]}},
        "pools": {"chat": {"models": ["p.chat"], "on_budget_exceeded": "error"}},
        "discovery": QUIET,
        "storage": {
            "sync_interval": "200ms",
            **storage,
        },
    }


def started(daemons: list[Daemon], directory: Path, given: dict[str, Any], **options: Any) -> Daemon:
    directory.mkdir()
    daemons.append(Daemon(directory, given, **options))
    return daemons[-1].start()


class Load:
    """Requests one after the other, until it is left. pause: s between two."""

    def __init__(self, daemon: Daemon, pause: float = 0.0) -> None:
        self._pause = pause
        self.answered = 0
        self.errors: list[Exception] = []
        self._over = threading.Event()
        self._client = daemon.client()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.wait(self._pause):
            try:
                self._client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hi"}])
                self.answered += 1
            except Exception as error:
                self.errors.append(error)

    def more(self, count: int = 20) -> None:
        wanted = self.answered + count
        until(lambda: self.answered >= wanted or self.errors, what="more answers")

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)


def remote(daemon: Daemon) -> Any:
    return until(lambda: daemon.status()["state"].get("remote"), what="an answer of what keeps state")


def spent(daemon: Daemon) -> float:
    """USD, of the only budget."""
    return float(daemon.ask("GET", "/mesh/v1/budget")["data"][0]["spent"])
