"""What the router saves every few seconds."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from meshd import messages
from meshd.core.events.records import Attempt, Outcome
from meshd.spend.journal import JournalWriter
from tests.support.gateway.builder import Gateway


def members(gateway: Gateway) -> list[Any]:
    found = [each.value for each in gateway.told_of(messages.StateChanged) if each.table == "member"]
    gateway.told.clear()
    return found


def outcome(model: str) -> Outcome:
    return Outcome("id", 0.0, "chat", "chat", 500, attempts=(Attempt(model, "p", False),))


def test_failures_in_a_row_are_saved_once_and_their_end_too() -> None:
    gateway = Gateway()
    state, publisher = gateway.runtime.state, gateway.runtime.publisher
    member = state.member("chat", "m")
    state.member("chat", "idle").failures = 1
    member.failures = 2
    publisher.note_outcome(outcome("m"))
    gateway.router.save_counters()
    assert members(gateway) == [{"availability": None, "failures": 2}]
    publisher.note_outcome(outcome("m"))
    gateway.router.save_counters()
    assert members(gateway) == []
    member.failures = 0
    publisher.note_outcome(outcome("m"))
    gateway.router.save_counters()
    assert members(gateway) == [None]


def test_what_waits_for_a_disk_is_written_while_the_router_is_idle() -> None:
    gateway = Gateway()
    disk, written = os.pipe2(os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while os.write(written, bytes(65536)):
            pass  # until it is full
    ledger = gateway.runtime.ledger = JournalWriter(written)
    ledger.begin(bytes(16), 1000.0, "p", "m", "chat", "app", 500, 1600.0)
    assert ledger.waiting
    os.read(disk, 2**20)
    gateway.router.save_counters()
    assert ledger.waiting == 0
    ledger.close()
    os.close(disk)
