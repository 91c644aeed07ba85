"""The telemetry actor dies a hundred times while it is told of requests: nothing but the fatal messages is lost."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from meshd import messages
from meshd.actors.telemetry import TelemetryActor
from meshd.core.events.records import Event, Outcome
from meshd.core.messaging.mailboxes import Directory

LIVES, EACH = 100, 50


class Bomb(messages.Message, frozen=True):
    """Kills who receives it."""


class Mortal(TelemetryActor):
    handlers = {**TelemetryActor.handlers, Bomb: "explode"}

    def explode(self, message: Any) -> None:
        raise RuntimeError("bomb")


def test_counters_outlive_a_hundred_deaths_under_load(tmp_path: Path) -> None:
    directory = Directory()
    deaths = directory.mailbox("supervisor")
    state = directory.mailbox("state")

    def living() -> Mortal:
        return Mortal(directory, state_dir=tmp_path, now=lambda: 1_760_000_400.0)

    def load() -> None:
        for life in range(LIVES):
            for number in range(EACH):
                fields: dict[str, Any] = {"pool": "chat", "model": "p/m", "provider": "p", "app": f"a{number % 3}"}
                outcome = Outcome("00", 0.0, "chat", "chat", 200, **fields, cost=3)
                directory.tell("telemetry", messages.RequestsEnded([outcome]))
            directory.tell("telemetry", Event("model_rotated", life, ids={"pool": "chat"}))
            directory.tell("telemetry", Bomb())

    actor = living()
    actor.launch()
    asking = threading.Thread(target=load)
    asking.start()
    for _ in range(LIVES):
        assert isinstance(deaths.get(timeout=10).message, messages.ActorFailed)
        following = living()
        following.inherit(actor.legacy())
        actor = following
        actor.launch()
    asking.join(10)
    rows = {by: directory.ask("telemetry", messages.QueryStatistics(by)) for by in ("model", "pool,app", "hour")}
    for found in rows.values():
        assert sum(row["requests_total"] for row in found) == LIVES * EACH
        assert sum(row["cost_total"] for row in found) == 3 * LIVES * EACH
    assert len(directory.ask("telemetry", messages.RecentEvents())) == LIVES
    assert directory.ask("telemetry", messages.Beat()) is True
    directory.tell("telemetry", messages.TableLoaded("statistics", {}))
    directory.ask("telemetry", messages.FlushTelemetry())
    keys = {key for _ in range(state.qsize()) for key in state.get(timeout=5).message.rows}
    assert "model\0p/m\0total" in keys
    actor.actor_ref.stop(timeout=5)
