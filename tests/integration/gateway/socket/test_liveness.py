"""Who is gone, and when: the server alone, with a heartbeat of milliseconds."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

from meshd.gateway.frontends import admission
from meshd.gateway.frontends.exchange import ClientGone
from modelmesh import protocol as wire
from tests.support.daemons.served import served_in, until

BEAT = 0.05


@pytest.fixture
def run(short):
    return served_in(short, heartbeat=BEAT)


@pytest.fixture
def line(dial):
    return lambda address: dial(address, greet=False)


def test_a_client_that_falls_silent_is_gone_after_three_intervals(run, line):
    async def test(served, address):
        silent, lively = line(address), line(address)
        for each in (silent, lively):
            each.send(wire.HELLO)
        unheard, _ = (each.request() for each in (silent, lively))
        await until(lambda: len(served.accepted) == 2)
        since = time.monotonic()

        async def beat():
            while True:
                lively.send(wire.PING)
                await asyncio.sleep(BEAT / 2)

        beating = asyncio.ensure_future(beat())
        await until(lambda: len(served.connections) == 1)
        took = time.monotonic() - since
        beating.cancel()
        assert 2.5 * BEAT < took < 20 * BEAT
        assert [event[:2] for event in served.events[2:]] == [("client_lost", "it fell silent")]
        first, second = sorted(served.accepted, key=lambda request: request.request_id != unheard)
        await until(first.task.cancelled)  # when it is its user's turn
        assert not second.task.done()
        assert list(served.admission.in_flight.values()) == [second]

    run(test)


def test_every_message_is_a_sign_of_life(run, line):
    async def test(served, address):
        each = line(address)
        for number in range(20):
            if number % 2:
                each.frames(b"rubbish")
            else:
                each.send(wire.CANCEL, wire.new_request_id())
            await asyncio.sleep(BEAT / 2)
        assert [event[0] for event in served.events] == ["client_connected"]

    run(test)


def test_one_taken_for_gone_may_come_back_and_its_requests_stay_cancelled(run, line):
    async def test(served, address):
        each = line(address)
        request_id = each.request()
        await until(lambda: served.accepted)
        await until(lambda: not served.connections)
        each.request(id=request_id, resend=True)
        await until(lambda: each.socket.poll(0))
        error = each.receive(wire.ERROR)
        assert (error.head.status, error.head.error["code"]) == (502, "request_interrupted")
        each.request()
        await until(lambda: len(served.accepted) == 2)

    run(test)


def test_a_connection_lost_in_a_send_is_gone_at_once(run, line):
    async def test(served, address):
        each = line(address)
        each.request()
        await until(lambda: served.accepted)
        each.close()
        request = served.accepted[0]

        async def send_on():
            while True:
                await request.reply.chunk(b"{}")
                request.reply.add_credit(1)

        with pytest.raises(ClientGone):
            await asyncio.wait_for(send_on(), 10)
        assert served.connections == []
        await asyncio.sleep(0)
        assert request.task.cancelled()

    run(test)


def test_the_end_of_a_process_is_noticed_at_once(short, line):
    program = (
        "import sys, zmq, time\n"
        "from modelmesh import protocol as wire\n"
        "socket = zmq.Context.instance().socket(zmq.DEALER)\n"
        "socket.connect(sys.argv[1])\n"
        "socket.send_multipart(wire.encode(wire.REQUEST, wire.new_request_id(), wire.RequestHead(path='/x')))\n"
        "time.sleep(60)\n"
    )

    async def test(served, address):
        with subprocess.Popen([sys.executable, "-c", program, address]) as child:  # noqa: ASYNC220
            try:
                await until(lambda: served.accepted)
                since = time.monotonic()
            finally:
                child.kill()
            await until(lambda: served.accepted[0].task.cancelled())
        assert time.monotonic() - since < 1.0
        assert served.events[-1] == ("client_lost", "it closed its connection", child.pid)
        assert served.admission.in_flight == {}

    served_in(short, heartbeat=60.0)(test)  # the heartbeat is not what finds out


def test_more_in_flight_than_allowed_is_429(run, line):
    async def test(served, address):
        each = line(address)
        for _ in range(3):
            each.request()
        refused = each.request()
        await until(lambda: each.socket.poll(0))
        error = each.receive(wire.ERROR)
        assert error.request_id == refused
        assert (error.head.status, error.head.error["code"]) == (429, "queue_full")
        assert error.head.mesh["retry_after"] > 0
        assert error.head.mesh["retryable"]
        assert len(served.accepted) == 3

    run(test)


def test_draining_is_told_to_all_and_refuses_what_is_new(run, line):
    async def test(served, address):
        each, late = line(address), line(address)
        begun = each.request()
        await until(lambda: served.accepted)
        served.admission.draining = True
        served.server.drain("leaving", 1.5)
        await until(lambda: each.socket.poll(0))
        goaway = each.receive(wire.GOAWAY)
        assert (goaway.head.reason, goaway.head.drain_ms) == ("leaving", 1500)
        request_id = each.request("/v1/embeddings")
        await until(lambda: each.socket.poll(0))
        refusal = each.receive(wire.ERROR)
        assert refusal.request_id == request_id
        assert (refusal.head.status, refusal.head.error["code"]) == (503, "draining")
        assert refusal.head.mesh["retryable"]
        each.request("/mesh/v1/status", method="GET")
        await until(lambda: len(served.accepted) == 2)
        late.send(wire.HELLO)
        await until(lambda: late.socket.poll(0))
        assert late.receive(wire.WELCOME).head.draining
        served.accepted[0].reply.respond(b"{}", {})
        await until(lambda: each.socket.poll(0))
        assert each.receive(wire.RESPONSE).request_id == begun

    run(test)


def test_a_request_sent_again_over_another_connection_is_answered_there(run, line):
    async def test(served, address):
        first, second = line(address), line(address)
        request_id = first.request()
        await until(lambda: served.accepted)
        before = served.accepted[0].reply.connection
        second.request(id=request_id, resend=True)
        await until(lambda: served.accepted[0].reply.connection is not before)
        served.accepted[0].reply.respond(b'"once"', {})
        await until(lambda: second.socket.poll(0))
        assert second.receive(wire.RESPONSE).body == b'"once"'
        assert not first.socket.poll(0)
        assert len(served.accepted) == 1
        # It is remembered: asked again with `resend`, it is the same answer; without, it is a new request.
        first.request(id=request_id, resend=True)
        await until(lambda: first.socket.poll(0))
        assert first.receive(wire.RESPONSE).body == b'"once"'
        assert len(served.accepted) == 1
        first.request(id=request_id)
        await until(lambda: len(served.accepted) == 2)

    run(test)


def test_whole_answers_are_remembered_only_while_they_are_few_and_small(run, line):
    async def test(served, address):
        each = line(address)

        async def answered(body, **head):
            request_id = each.request(**head)
            before = len(served.accepted)
            await until(lambda: len(served.accepted) > before)
            reply = served.accepted[-1].reply
            if head.get("stream"):
                reply.end(None, {})
            else:
                reply.respond(body, {})
            await until(lambda: each.socket.poll(0))
            each.receive()
            return request_id

        large = await answered(b"x" * 70_000)
        stream = await answered(b"", stream=True)
        old = await answered(b"old")
        for _ in range(512):
            await answered(b"more")
        for request_id in (large, stream, old):
            before = len(served.accepted)
            each.request(id=request_id, resend=True)
            await until(lambda before=before: len(served.accepted) > before)
            served.accepted[-1].reply.respond(b"", {})
            await until(lambda: each.socket.poll(0))
            each.receive()

    run(test)


def test_cancelling_a_lost_request_does_not_forget_the_one_sent_again(run, line):
    """The old request ends after the new one, of the same id, has begun."""

    async def test(served, address):
        first, second = line(address), line(address)
        request_id = first.request()
        second.send(wire.PING)
        await until(lambda: served.accepted and len(served.connections) == 2)
        old = served.accepted[0]
        old.begun = False
        served.server.connections.lose(old.reply.connection, "lost")
        second.request(id=request_id, resend=True)
        await until(lambda: len(served.accepted) == 2)
        from modelmesh import RequestCancelledError

        old.reply.error(RequestCancelledError("cancelled"))
        assert served.admission.in_flight[request_id] is served.accepted[1]

    run(test)


def test_interrupted_ids_are_bounded(run):
    async def test(served, address):
        served.admission.interrupt(
            number.to_bytes(16, "big") for number in range(admission.REMEMBERED_INTERRUPTIONS + 10)
        )
        assert not served.admission.was_interrupted((9).to_bytes(16, "big"))
        assert served.admission.was_interrupted((10).to_bytes(16, "big"))

    run(test)


def test_a_bind_that_fails_raises(run, short):
    async def test(served, address):
        with pytest.raises(OSError, match="No such file"):
            served.server.bind(f"ipc://{short}/none/here/s")
        with pytest.raises(ValueError, match="nonsense is not"):
            served.server.bind("nonsense")

    run(test)
