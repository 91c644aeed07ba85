"""A daemon that is killed at any moment, any number of times: its statistics have each request once."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as some

from meshd import messages
from meshd.actors.telemetry import TelemetryActor
from meshd.core.events.records import Outcome
from meshd.core.messaging.mailboxes import Directory
from meshd.gateway.upkeep.spend_segments import SpendSegments
from meshd.spend.journal import JournalWriter
from meshd.spend.journal_sync import JournalSync
from meshd.state import segments
from tests.support.keeping import NOW, Clock, crash, opened

SEGMENT = 300  # bytes; two requests or so


class Life:
    """One daemon's keeper, journal and statistics, on a directory that outlives it. What they tell each other arrives
    when the test lets it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.clock = clock
        self.keeper = opened(path, clock)
        self.journal = JournalWriter()
        self.untold: list[Outcome] = []
        directory = Directory()
        self.to_state = directory.mailbox("state")
        self.segments = SpendSegments(self.journal, JournalSync(self.journal), directory.tell)
        self.segments.use(self.keeper.open_journal())
        self.telemetry = TelemetryActor(directory, state_dir=path, now=clock)
        self.telemetry.table_loaded(messages.TableLoaded("statistics", self.keeper.table("statistics")))

    def begin(self, number: int) -> bytes:
        request = number.to_bytes(16)
        self.journal.begin(request, self.clock.now, "p", "p/m", "chat", "app", 500, self.clock.now + 600)
        return request

    def settle(self, number: int) -> None:
        request = self.begin(number)
        self.journal.settle(request, self.clock.now, 10, 5, 0, 7, True)
        names: dict[str, Any] = {"pool": "chat", "model": "p/m", "provider": "p", "app": "app"}
        self.untold.append(Outcome(request.hex(), self.clock.now, "chat", "chat", 200, **names))

    def tell(self) -> None:
        self.telemetry.requests_ended(messages.RequestsEnded(self.untold))
        self.untold = []

    def save(self) -> None:
        self.telemetry.flush(messages.FlushTelemetry())

    def hear(self) -> None:
        """The keeper, of what it was told."""
        while not self.to_state.empty():
            message = self.to_state.get().message
            if isinstance(message, messages.StatisticsChanged):
                self.keeper.statistics_changed(message.rows)
            elif isinstance(message, messages.JournalRotated):
                self.keeper.rotated(message.finished)

    def sync(self) -> None:
        self.keeper.sync()
        self.segments.use(self.keeper.offer_segment())

    def counted(self) -> int:
        rows = self.telemetry.query(messages.QueryStatistics("pool"))
        return sum(row["requests_total"] for row in rows)


@settings(max_examples=150)
@given(some.lists(some.sampled_from(["settle", "settle", "open", "tell", "save", "hear", "sync", "wait", "kill"])))
def test_each_request_is_counted_once_whenever_a_daemon_is_killed(actions: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory, mock.patch.object(segments, "SEGMENT_LIMIT", SEGMENT):
        path, clock, asked = Path(directory), Clock(), 0
        clock.now = NOW
        life = Life(path, clock)
        for action in (*actions, "kill"):
            clock.now += 0.25
            match action:
                case "settle":
                    asked += 1
                    life.settle(asked)
                case "open":
                    asked += 1
                    life.begin(asked)
                case "wait":  # an outcome is told within the time that statistics look back
                    life.tell()
                    clock.now += 45.0
                case "kill":
                    crash(life.keeper)
                    life = Life(path, clock)
                    assert life.counted() == asked
                case _:
                    getattr(life, action)()
