"""Apps that spend, and the three counts of what they spent: the provider's, the daemon's and what its state says.

A `NoRoom` has any number of requests in flight over bare sockets, from one thread. Money is in 10⁻⁹ USD.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq

from meshd.spend.journal import read_segment
from meshd.spend.records import Begin, Settle
from meshd.state.keeper import StateKeeper
from tests.support.keeping import settings_of

NANO = 1_000_000_000
PRICING = {"input_per_1m": 3, "output_per_1m": 7}  # USD
INPUT, OUTPUT = 3000, 7000  # 10⁻⁹ USD a token
QUIET = {
    "discovery": {"health": {"enabled": False}},
    "observability": {"routing": {"connector": "modelmesh.null.v1"}, "logging": {"connector": "modelmesh.null.v1"}},
}
"""Nothing but the requests of a test reaches its providers."""


def price(prompt_tokens: int, completion_tokens: int) -> int:
    return prompt_tokens * INPUT + completion_tokens * OUTPUT


def usd(nano: int) -> float:
    return nano / NANO


@dataclass
class Ask:
    """A request. status: None while there is no answer. cancel_after: chunks of its stream, then the app leaves it
    (0: at once)."""

    id: bytes
    kind: str = ""
    cancel_after: int | None = None
    sent_at: float = 0.0
    chunks: int = 0
    status: int | None = None
    error: dict[str, Any] = field(default_factory=dict)
    mesh: dict[str, Any] = field(default_factory=dict)


class NoRoom:
    """Of apps on the given lines. `said`: what each is told."""

    def __init__(self, lines: Iterable[Any]) -> None:
        self.lines = list(lines)
        self.asks: dict[bytes, Ask] = {}
        self._wire = self.lines[0].wire
        self._poller = zmq.Poller()
        for line in self.lines:
            self._poller.register(line.socket, zmq.POLLIN)
        self.open = 0  # requests without an answer
        self._lines: dict[bytes, Any] = {}
        self._waiting: dict[str, dict[bytes, Ask]] = {}
        self._heard = time.monotonic()

    def send(
        self, body: dict[str, Any], *, stream: bool = False, kind: str = "", cancel_after: int | None = None
    ) -> Ask:
        """On one of the lines. The provider sees the request's id as the body's `user`."""
        line = self.lines[len(self.asks) % len(self.lines)]
        ask = Ask(uuid.uuid4().bytes, kind, cancel_after, time.time())
        body = {**body, "user": ask.id.hex(), **({"stream": True} if stream else {})}
        self.asks[ask.id] = ask
        self.open += 1
        encoded = json.dumps(body, separators=(",", ":")).encode()  # as `explain` counts it
        line.request(body=encoded, id=ask.id, stream=stream, **({"credit": 1000} if stream else {}))
        self._lines[ask.id] = line
        self._waiting.setdefault(kind, {})[ask.id] = ask
        if cancel_after == 0:
            self.cancel(ask)
        return ask

    def cancel(self, ask: Ask) -> None:
        self._lines[ask.id].send(self._wire.CANCEL, ask.id)

    def waiting(self, kind: str) -> list[Ask]:
        """Those of the kind that have no answer, in the order they were sent."""
        return list(self._waiting.get(kind, {}).values())

    def answers(self, seconds: float) -> list[Ask]:
        """Those that ended within so long, as soon as there are any."""
        ended: list[Ask] = []
        for socket, _ in self._poller.poll(max(seconds * 1000, 0)):
            while socket.poll(0):
                ask = self._take(self._wire.decode(socket.recv_multipart()))
                if ask is not None:
                    ended.append(ask)
        if time.monotonic() - self._heard > 1.0:  # a silent client counts as gone
            self._heard = time.monotonic()
            for line in self.lines:
                line.send(self._wire.PING)
        return ended

    def gather(self, seconds: float) -> None:
        """Until every request has its answer."""
        deadline = time.monotonic() + seconds
        while self.open:
            self.answers(0.1)
            assert time.monotonic() < deadline, f"{self.open} of {len(self.asks)} have no answer"

    def statuses(self) -> Counter[Any]:
        return Counter(ask.status for ask in self.asks.values())

    def _take(self, message: Any) -> Ask | None:
        wire, ask = self._wire, self.asks.get(message.request_id)
        if ask is None or ask.status is not None:
            return None
        if message.kind == wire.CHUNK:
            choices = json.loads(message.body)["choices"]
            ask.chunks += bool(choices and (choices[0].get("delta") or {}).get("content"))
            if ask.chunks == ask.cancel_after:
                self.cancel(ask)
            return None
        if message.kind == wire.RESPONSE:
            ask.status, ask.mesh = message.head.status, message.head.mesh
        elif message.kind == wire.END:
            ask.status, ask.mesh = 200, message.head.mesh
        elif message.kind == wire.ERROR:
            ask.status, ask.error, ask.mesh = message.head.status, message.head.error, message.head.mesh
        else:
            return None
        self.open -= 1
        del self._waiting[ask.kind][ask.id]
        return ask


# -- who counted what ---------------------------------------------------------------------------------


def delivered(server: Any, model: str = "m") -> int:
    """What the provider would charge for the model."""
    sums = server.served["delivered"].get(model, {})
    return price(sums.get("prompt_tokens", 0), sums.get("completion_tokens", 0))


def budgets(daemon: Any, **wanted: Any) -> list[dict[str, Any]]:
    """The rows of `meshctl budget` that are so, with money in 10⁻⁹ USD."""
    rows = [
        row
        for row in daemon.ask("GET", "/mesh/v1/budget")["data"]
        if all(row[name] == value for name, value in wanted.items())
    ]
    for row in rows:
        if row["measure"] == "cost":
            row.update({name: round(row[name] * NANO) for name in ("limit", "spent", "reserved", "remaining")})
    return rows


def usage(state: Path, scope: str, name: str) -> dict[str, tuple[int, int, int]]:
    """Day → requests, tokens, cost, by the state directory of a daemon that has ended: as its next life takes it up."""
    keeper = StateKeeper(state, settings_of(), now=time.time)
    keeper.open()
    try:
        rows = keeper.load().tables["usage"]
    finally:
        keeper.close()
    return {
        key.split("\0")[0]: (row["requests"], row["tokens_in"] + row["tokens_out"], row["cost"])
        for key, row in rows.items()
        if key.split("\0", 1)[1] == f"{scope}\0{name}"
    }


def journal(state: Path) -> tuple[dict[tuple[bytes, int], Begin], dict[tuple[bytes, int], Settle]]:
    """What a daemon's journal says now: by request and attempt, its beginning and its settlement."""
    begun: dict[tuple[bytes, int], Begin] = {}
    settled: dict[tuple[bytes, int], Settle] = {}
    for path in sorted((state / "journal").glob("*.log")):
        for record in read_segment(path)[0]:
            if isinstance(record, Begin):
                begun[record.request, record.attempt] = record
            else:
                settled[record.request, record.attempt] = record
    return begun, settled


def integrity(state: Path, copy: Path) -> str:
    """What SQLite says of the database as a dead daemon left it, looked at in a copy: "ok"."""
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in state.glob("state.sqlite3*"):
        shutil.copy(path, copy / path.name)
    connection = sqlite3.connect(copy / "state.sqlite3")
    try:
        [found] = connection.execute("PRAGMA integrity_check").fetchone()
        return str(found)
    finally:
        connection.close()
