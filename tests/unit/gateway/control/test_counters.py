"""What the router saves every few seconds."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from meshd import messages
from meshd.connectors.registry import default_registry
from meshd.core.records import Attempt, Outcome
from meshd.gateway.router import RouterCore
from meshd.spend.journal import create_segment, open_segment, read_segment


def make() -> tuple[RouterCore, list[Any]]:
    told: list[Any] = []
    core = RouterCore(default_registry(), lambda name, message: told.append(message), None, lambda work: None)  # type: ignore[arg-type]
    return core, told


def members(told: list[Any]) -> list[Any]:
    found = [each.value for each in told if isinstance(each, messages.StateChanged) and each.table == "member"]
    told.clear()
    return found


def outcome(model: str) -> Outcome:
    return Outcome("id", 0.0, "chat", "chat", 500, attempts=(Attempt(model, "p", False),))


def test_failures_in_a_row_are_saved_once_and_their_end_too() -> None:
    core, told = make()
    member = core.mesh.state.member("chat", "m")
    core.mesh.state.member("chat", "idle").failures = 1
    member.failures = 2
    core.keeper.moved(outcome("m"))
    core.save_counters()
    assert members(told) == [{"availability": None, "failures": 2}]
    core.keeper.moved(outcome("m"))
    core.save_counters()
    assert members(told) == []
    member.failures = 0
    core.keeper.moved(outcome("m"))
    core.save_counters()
    assert members(told) == [None]


def test_what_waits_for_a_disk_is_written_while_the_router_is_idle(tmp_path: Path) -> None:
    core, _ = make()
    core.journal.begin(bytes(16), 1000.0, "p", "m", "chat", "app", 500, 1600.0)
    assert core.journal.waiting
    create_segment(tmp_path / "1")
    core.journal._fd = os.dup(open_segment(tmp_path / "1"))
    core.save_counters()
    assert core.journal.waiting == 0
    assert len(read_segment(tmp_path / "1")[0]) == 1


def test_a_provider_that_is_back_has_its_secrets_resolved_again() -> None:
    core, told = make()
    for reload, expected in ((True, [("KEY",)]), (False, [])):
        section = SimpleNamespace(secrets=SimpleNamespace(reload_on_rotation=reload))
        core.generation = SimpleNamespace(secret_names={"p": ("KEY",)}, config=section)  # type: ignore[assignment]
        core.mesh.state.provider("p").availability.standby = True
        core.health(messages.HealthReport("p", True, 1.0, 0.1))
        assert not told
        core.health(messages.HealthReport("p", True, 1.0, 0.1, probed=True, answered=True))
        assert [each.names for each in told if isinstance(each, messages.RefreshSecret)] == expected
        told.clear()
