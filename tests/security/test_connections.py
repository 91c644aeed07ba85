"""Many connections: of one user that never finishes a handshake, and of users that take all they can get."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons.stress.attacked import MIB, Figures
from tests.support.waiting import until

_NOISE = 0.020  # s: the attackers and the test take processors too


@pytest.mark.parametrize("persists", [False, pytest.param(True, marks=[pytest.mark.soak, pytest.mark.timeout(120)])])
def test_a_thousand_half_open_connections(door: Any, attack: Any, persists: bool) -> None:
    """Each of a thousand is accepted or refused; those of a user that persists are all open at once."""
    quiet = Figures()
    door.measure(quiet, 0.5)
    with door.watched() as figures:
        attacker = attack("half-open", 6100 + persists, persists=persists)
        door.measure(figures, 0.5)
    attacker.close()
    told = attacker.told
    assert told["accepted"] + told["refused"] == told["connections"], told
    assert told["held"] == 1000 if persists else told["connections"] == 1000, told
    assert door.running()
    assert figures.memory < 64 * MIB
    assert max(figures.statuses) < 1.0
    if persists:  # the other one runs beside other tests
        assert figures.share(0.99) < 2 * quiet.share(0.99) + _NOISE
    assert figures.share(0.5) < 0.25


def test_users_that_take_all_connections_leave_the_others_theirs(few_files: Any, stranger: Any, attack: Any) -> None:
    """They hold what they may, and try to get more all the time."""
    attackers = [attack("idle", uid, at=few_files) for uid in range(7001, 7005)]
    assert accepted(stranger(7005, at=few_files).connect(None)), "a fifth user"
    began = time.monotonic()
    assert few_files.daemon.client().mesh.request("GET", "/mesh/v1/status").to_dict()
    assert time.monotonic() - began < 1.0
    asked = [few_files.victim.chat("slow") for _ in range(16)]
    until(lambda: few_files.upstreams["slow"].served["open"] == 16, what="each has a connection to the provider")
    assert not any(each.done() for each in asked)
    for each in attackers:
        each.close()
    assert all(each.told["held"] for each in attackers)
    assert few_files.running()


def test_a_daemon_without_descriptors_accepts_again_when_it_has_some(few_files: Any, stranger: Any) -> None:
    """The limit is lowered while it runs: first to what is in use, then below, so that its reserve is gone too."""
    ann = stranger(7101, at=few_files)
    assert accepted(ann.connect(None))
    used = [int(each.name) for each in Path(f"/proc/{few_files.pid}/fd").iterdir()]
    free = min(set(range(max(used) + 2)) - set(used))
    for limit in (free, 3):
        resource.prlimit(few_files.pid, resource.RLIMIT_NOFILE, (limit, 128))
        waiting = [ann.connect(None) for _ in range(3)]
        if limit == free:
            assert not any(accepted(each) for each in waiting), "turned away, so that the queue moves"
        over = time.monotonic() + 0.3  # it tries to accept several times
        while time.monotonic() < over:
            assert few_files.victim.ask("describe")["you"], "who is connected is served"
        resource.prlimit(few_files.pid, resource.RLIMIT_NOFILE, (128, 128))
        assert limit == free or all(accepted(each) for each in waiting)
        assert accepted(ann.connect(None))
    assert few_files.victim.say("fast")
    log = few_files.daemon.log()
    assert "no file descriptors are left" in log
    assert "Bad file descriptor" not in log
    assert "Traceback" not in log


def accepted(peer: Any) -> bool:
    """Whether it gets the daemon's greeting, or is turned away."""
    try:
        return bool(peer.socket.recv(64))
    except ConnectionError:
        return False
