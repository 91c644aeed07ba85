"""libzmq dials again by itself when the daemon has gone: a DEALER that did nothing is served again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from modelmesh import protocol as wire
from tests.conformance.zmtp.conftest import CONFIG
from tests.support.apps.line import Line
from tests.support.waiting import WAIT, until


def answered(line: Line) -> bool:
    """Whether a question gets its answer now. One that was sent to the daemon before may be lost."""
    asked = line.chat(model="echo")
    while line.socket.poll(200):
        if line.receive().request_id == asked:
            return True
    return False


def stopped(daemon: Any) -> None:
    assert daemon.stop() == 0
    daemon.start()


def killed(daemon: Any) -> None:
    """It leaves its socket's file, which the next one replaces."""
    daemon.signal(signal.SIGKILL)
    daemon.wait(WAIT)
    before = daemon.socket.stat()
    daemon.start()
    assert daemon.socket.stat() != before


@pytest.mark.parametrize("again", [stopped, killed], ids=["a-restart", "a-replaced-socket-file"])
def test_a_dealer_is_answered_again_after(meshd: Any, again: Callable[[Any], None]) -> None:
    daemon = meshd(CONFIG)
    line = Line(daemon.socket)
    try:
        assert answered(line)
        again(daemon)
        line.send(wire.HELLO)
        until(lambda: answered(line), what="the DEALER is answered again")
        line.round_trip()
    finally:
        line.close()
