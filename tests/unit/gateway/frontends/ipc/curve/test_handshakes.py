"""Handshakes that are begun again and again, or not finished: what they cost, and whom they keep from being served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

pytest.importorskip("nacl", reason="needs modelmesh[curve]")

from meshd.core.caller import Peer
from meshd.gateway.frontends import acceptor
from meshd.gateway.frontends.ipc.curve import session
from meshd.gateway.frontends.ipc.curve.handshakes import HANDSHAKES, TOO_MANY
from meshd.gateway.frontends.shares.connection_places import ConnectionPlaces
from meshd.gateway.frontends.shares.turns import Turns
from meshd.host.build import is_compiled
from modelmesh import protocol as wire
from tests.support.apps.curve.curve_client import CurveClient
from tests.support.apps.curve.curve_peer import CurvePeer, on_the_wire
from tests.support.daemons.served import until
from tests.support.daemons.served_curve import BENCH_SECRET, curve_served_in, dial

KEY = session.DaemonKey(bytes(range(32)))
MOST = 8  # handshakes at a time


@pytest.fixture
def run(short: Any) -> Callable[[Any], None]:
    return curve_served_in(short)


@pytest.fixture
def run_with_few(short: Any) -> Callable[[Any], None]:
    return curve_served_in(short, places=ConnectionPlaces(most=8 * MOST))


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where those who connect are, by its last element: this machine has but one address that is not its own."""
    found = ["192.0.2.1"]
    monkeypatch.setattr(acceptor, "of_tcp", lambda connected: Peer(network=found[-1]))
    return found


async def known(served: Any, count: int) -> None:
    await until(lambda: len(served.server.connections.known) == count)


async def is_served(client: CurveClient, served: Any) -> None:
    before = len(served.accepted)
    client.request()
    await until(lambda: len(served.accepted) > before)
    served.accepted[-1].reply.respond(b"hi", {})
    assert wire.decode(await client.next()).body == b"hi"


def test_no_more_than_a_part_of_the_connections_is_about_to_show_a_key(run_with_few):
    async def test(served, address):
        first = await (await dial(address)).join()
        idle = [await dial(address) for _ in range(MOST)]
        for each in idle[: MOST // 2]:  # some halfway, some before their greeting
            await each.welcome()
        await known(served, 1 + MOST)
        assert not served.lost
        last = await (await dial(address, BENCH_SECRET)).join()
        assert served.lost == [TOO_MANY]
        assert await idle[0].ended()
        for each in (first, last):
            await is_served(each, served)
        # Who has shown its key has another place: as many handshakes as before may go on beside it.
        await dial(address)
        await known(served, 2 + MOST)
        assert served.lost == [TOO_MANY]

    run_with_few(test)


def test_a_network_with_many_handshakes_ends_its_own(run_with_few, network):
    async def test(served, address):
        slow = await dial(address)
        await slow.welcome()
        network.append("192.0.2.2")
        idle = [await dial(address) for _ in range(3 * MOST)]
        await until(lambda: len(served.lost) == 2 * MOST + 1)
        assert await idle[0].ended()
        slow.send(on_the_wire(slow.curve.initiate(), 4))
        slow.curve.ready(await slow.frame())
        await is_served(slow, served)

    run_with_few(test)


def test_networks_that_together_make_many_leave_the_latest_its_handshake(run_with_few, network):
    async def test(served, address):
        for number in range(3 * MOST):
            network.append(f"192.0.2.{number}")
            await dial(address)
        network.append("198.51.100.1")
        await is_served(await (await dial(address)).join(), served)
        assert len(served.server.connections.known) <= MOST + 1

    run_with_few(test)


def test_a_network_makes_so_many_handshakes_at_once_and_in_a_second(short, network):
    async def test(served, address):
        made = [await dial(address) for _ in range(6)]
        for each in made[:4]:
            await each.join()
        for each in made[4:]:
            each.send(b"")
            assert await each.ended()
        network.append("192.0.2.2")
        await is_served(await (await dial(address)).join(), served)

    curve_served_in(short, places=ConnectionPlaces(burst=4, pace=0.001))(test)


@pytest.mark.skipif(is_compiled(), reason="compiled callers do not look up the method that is replaced")
def test_handshakes_of_all_networks_take_the_turns_of_one_user(run, network, monkeypatch):
    seen: list[object] = []
    ready = Turns.ready

    def watched(turns: Turns, user: Any, worker: Any) -> None:
        seen.append(user)
        ready(turns, user, worker)

    monkeypatch.setattr(Turns, "ready", watched)

    async def test(served, address):
        clients = []
        for number in range(3):
            network.append(f"192.0.2.{number}")
            client = await dial(address)
            await client.welcome()
            clients.append(client)
        assert set(seen) == {HANDSHAKES}
        # What is sent along with the last command of the handshake is the client's own already.
        seen.clear()
        client.send(on_the_wire(client.curve.initiate(), 4) + client.curve.message(wire.encode(wire.PING)))
        client.curve.ready(await client.frame())
        assert wire.decode(await client.next()).kind == wire.PONG
        [connection] = [each for each in served.server.connections.known if each.greeted]
        assert set(seen) == {HANDSHAKES, connection.caller.shares_as}

    run(test)


def spoiled(command: bytes) -> bytes:
    return command[:-1] + bytes([command[-1] ^ 1])


STEPS = ["hello", "hello of another box", "initiate", "initiate of another box", "something else"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.lists(some.sampled_from(STEPS), max_size=8))
@example(["hello", "initiate"])
def test_a_connection_costs_no_more_than_one_handshake_whatever_it_sends(steps):
    """The multiplications on the curve; a HELLO that cannot be opened is one of them."""
    costs = Counter()

    def counted(name: str) -> Callable[..., Any]:
        done = getattr(session, name)

        def count(*given: Any) -> Any:
            costs[name] += 1
            return done(*given)

        return count

    with pytest.MonkeyPatch.context() as patch:
        for name in ("crypto_box_beforenm", "crypto_box_keypair"):
            patch.setattr(session, name, counted(name))
        server = session.CurveSession(KEY, lambda public: None)
        client = CurvePeer(KEY.public, bytes(range(1, 33)))
        client.theirs, client.cookie = KEY.public, bytes(96)  # until it is welcomed
        commands = {
            "hello": client.hello,
            "hello of another box": lambda: spoiled(client.hello()),
            "initiate": client.initiate,
            "initiate of another box": lambda: spoiled(client.initiate()),
            "something else": lambda: b"\5READY" + bytes(250),
        }
        try:
            for step in steps:
                answer = server.command(commands[step]())
                if server.ready:  # commands come sealed from now on
                    break
                client.welcomed(answer)
        except session.Violation:  # its connection is closed
            pass
        if steps[:1] != ["hello"]:
            assert costs.total() <= 1
    assert costs["crypto_box_beforenm"] <= 3
    assert costs["crypto_box_keypair"] <= 1
