"""Handshakes and messages, changed at random: within bounds whatever they are, and no end of the daemon."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import pytest

from meshd.gateway.frontends.ipc.zmtp import Bounds, Peer, Violation
from tests.support.apps.raw_peer import RawPeer
from tests.support.daemons.stress.attacked import MIB

SEEDS = [
    bytes.fromhex(line.split()[0])
    for line in (Path(__file__).parents[1] / "support" / "data" / "zmtp.txt").read_text().splitlines()
    if not line.startswith("#")
]
BOUNDS = Bounds(message=4096, discarded=100_000, head=300, heads=3, frames=8, free=100)


def mutated(chance: random.Random) -> bytes:
    """A seed with bytes changed, cut out, repeated, or another seed's in between; mostly after its greeting."""
    made = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randint(0, 6)):
        begin = chance.randint(0 if chance.random() < 0.2 else min(64, len(made)), len(made))
        end = min(begin + chance.choice((1, 1, 2, 9, 40)), len(made))
        match chance.randrange(5):
            case 0:
                made[begin:end] = chance.randbytes(end - begin)
            case 1:
                del made[begin:end]
            case 2:
                made[begin:begin] = made[begin:end] * chance.randint(1, 20)
            case 3:
                made[begin:end] = bytes((chance.choice((0, 1, 2, 3, 4, 6, 0xFF)),)) * (end - begin)
            case _:
                made[begin:begin] = chance.choice(SEEDS)[64 if chance.random() < 0.8 else 0 :]
    return bytes(made)


@pytest.mark.parametrize("count", [2000, pytest.param(200_000, marks=[pytest.mark.soak, pytest.mark.timeout(300)])])
def test_mutated_bytes_are_messages_or_a_violation_within_bounds(count: int) -> None:
    messages = violations = handshakes = 0
    for number in range(count):
        chance = random.Random(number)
        peer = Peer(lambda: BOUNDS, lambda data: None, lambda size, chance=chance: chance.random() < 0.9)
        stream = mutated(chance)
        try:
            while stream:
                size = chance.choice((1, 7, 64, 1000))
                peer.receive(stream[:size])
                stream = stream[size:]
                while peer.pending or peer.waits:
                    if peer.waits:
                        peer.stop_waiting()
                    message = peer.next()
                    assert peer.held <= BOUNDS.message, number
                    if message is not None:
                        messages += 1
                        assert sum(map(len, message.frames)) <= BOUNDS.message, number
                        assert len(message.frames) <= BOUNDS.frames, number
        except Violation:
            violations += 1
        handshakes += peer.ready
    assert min(messages, violations, handshakes) > count // 20, (messages, violations, handshakes)


@pytest.mark.parametrize("count", [200, pytest.param(5000, marks=[pytest.mark.soak, pytest.mark.timeout(300)])])
def test_a_daemon_bears_mutated_bytes(door: Any, count: int) -> None:
    with door.watched() as figures:
        for number in range(count):
            peer = RawPeer(door.daemon.socket, greet=False)
            assert peer.socket.recv(64)  # its greeting: it is accepted
            with contextlib.suppress(ConnectionError):  # closed before all of it was sent
                peer.send(mutated(random.Random(number)))
                peer.ended()
            peer.close()
        door.measure(figures, 0.2)
    assert door.running()
    assert figures.memory < 64 * MIB
    assert "Traceback" not in door.daemon.log()
