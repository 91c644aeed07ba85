"""Where callers work is found out beside their requests: by whom, how often, and what a hung directory delays."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from meshd.core.caller import Peer
from meshd.gateway.frontends import workplaces
from meshd.gateway.frontends.workplaces import NOWHERE, Workplaces

ME = os.getuid()


def peer(pid: int = 10, uid: int = ME, **given: Any) -> Peer:
    return Peer(uid, pid=pid, started=5, **given)


def test_it_is_looked_up_once_and_remembered(eventually: Callable[..., Any]) -> None:
    looked: list[int] = []
    found = Workplaces(lambda callers: [looked.append(each.pid) or f"~/{each.pid}" for each in callers])  # type: ignore[func-returns-value]
    first = found.of(peer())
    eventually(lambda: first.done)
    assert first.project == "~/10"
    assert found.of(peer()) is first
    assert looked == [10]


def test_who_cannot_be_looked_at() -> None:
    found = Workplaces(lambda callers: ["~/secret"], others=False)
    assert found.of(Peer(ME)) is NOWHERE
    assert found.of(peer(uid=ME + 1)) is NOWHERE
    assert found.of(Peer(-1, network="192.0.2.1")) is NOWHERE


def test_connections_over_tcp_are_told_apart_by_their_sockets(eventually: Callable[..., Any]) -> None:
    found = Workplaces(lambda callers: [f"~/{each.socket}" for each in callers])
    both = [found.of(Peer(ME, socket=inode)) for inode in (7, 8)]
    eventually(lambda: all(each.done for each in both))
    assert [each.project for each in both] == ["~/7", "~/8"]


def test_a_users_hung_directory_delays_no_other_user(eventually: Callable[..., Any]) -> None:
    hang = threading.Event()

    def look(callers: Sequence[Peer]) -> list[str]:
        if callers[0].uid == 1:
            hang.wait(20)
        return [f"~/{each.uid}" for each in callers]

    found = Workplaces(look, others=True)
    stuck = [found.of(peer(pid, uid=1)) for pid in range(1, 200)]
    other = found.of(peer(uid=2))
    eventually(lambda: other.done)
    assert other.project == "~/2"
    assert not stuck[0].done
    assert stuck[-1].done, "the queue of one user is bounded"
    hang.set()
    eventually(lambda: all(each.done for each in stuck))


def test_all_threads_hang(eventually: Callable[..., Any]) -> None:
    hang = threading.Event()
    found = Workplaces(lambda callers: [str(hang.wait(20))] * len(callers), others=True)
    for uid in range(workplaces.MOST_THREADS):
        found.of(peer(uid=uid))
    late = found.of(peer(uid=99))
    assert late.done
    assert late.project == ""
    hang.set()
    eventually(lambda: found.of(peer(11, uid=98)).done)


def test_a_look_that_fails_finds_nothing(eventually: Callable[..., Any]) -> None:
    def look(callers: Sequence[Peer]) -> list[str]:
        raise OSError("gone")

    failed = Workplaces(look).of(peer())
    eventually(lambda: failed.done)
    assert failed.project == ""


def test_the_cache_is_bounded(eventually: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workplaces, "MOST_KEPT", 3)
    looked: list[int] = []

    def look(callers: Sequence[Peer]) -> list[str]:
        looked.extend(each.pid for each in callers)
        return [""] * len(callers)

    found = Workplaces(look)
    for pid in (1, 2, 3, 4, 1):
        each = found.of(peer(pid))
        eventually(lambda each=each: each.done)
    assert looked == [1, 2, 3, 4, 1]
