"""Streams: order, credit, cancelling, and what happens upstream."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

import modelmesh
from modelmesh import protocol as wire


def text_of(chunk):
    choices = json.loads(chunk.body)["choices"]
    return choices[0]["delta"].get("content") or ""


def take(line, request_id, credit=0):
    """The text of the rest of a stream, and its last message."""
    pieces = []
    while True:
        message = line.receive()
        assert message.request_id == request_id
        if message.kind != wire.CHUNK:
            return "".join(pieces), message
        pieces.append(text_of(message))
        if credit:
            line.send(wire.CREDIT, request_id, wire.CreditHead(credit))


NUMBERS = "".join(f"{number} " for number in range(200))


def test_chunks_come_in_order_and_end_says_what_was_used(line):
    request_id = line.chat(model="counting", stream=True, credit=10_000)
    text, end = take(line, request_id)
    assert text == NUMBERS
    assert end.kind == wire.END
    assert end.head.usage["completion_tokens"] == 200
    assert (end.head.mesh["model"], end.head.mesh["pool"]) == ("counting.chat", "counting")
    assert 0 <= end.head.mesh["first_token_time"] < 5


def test_a_stream_wanted_by_the_body_alone_is_a_stream(line):
    body = {"model": "counting", "messages": [], "stream": True}
    request_id = line.request(body=body, credit=10_000)
    assert take(line, request_id)[0] == NUMBERS


def test_no_more_chunks_come_than_there_is_credit_for(line):
    request_id = line.chat(model="counting", stream=True, credit=3)
    assert [text_of(line.receive(wire.CHUNK)) for _ in range(3)] == ["0 ", "1 ", "2 "]
    assert line.quiet(0.1)
    line.send(wire.CREDIT, request_id, wire.CreditHead(2))
    assert [text_of(line.receive(wire.CHUNK)) for _ in range(2)] == ["3 ", "4 "]
    assert line.quiet(0.1)
    line.send(wire.CREDIT, request_id, wire.CreditHead(1000))
    text, end = take(line, request_id)
    assert text == NUMBERS.removeprefix("0 1 2 3 4 ")
    assert end.kind == wire.END


def test_without_a_number_the_credit_is_welcomes(line):
    request_id = line.chat(model="counting", stream=True)
    for _ in range(line.welcome.credit):
        line.receive(wire.CHUNK)
    assert line.quiet(0.1)
    line.send(wire.CREDIT, request_id, wire.CreditHead(1000))
    assert take(line, request_id)[1].kind == wire.END


def test_streams_of_one_client_do_not_wait_for_each_other(line):
    starved = line.chat(model="counting", stream=True, credit=1)
    assert line.receive(wire.CHUNK).request_id == starved
    fed = line.chat(model="counting", stream=True, credit=1000)
    assert take(line, fed)[0] == NUMBERS
    line.send(wire.CANCEL, starved)
    assert line.receive(wire.ERROR).head.status == 499


def test_a_stream_no_app_reads_ends_at_its_deadline(line):
    request_id = line.chat(model="counting", stream=True, credit=1, deadline_ms=200)
    assert line.receive(wire.CHUNK).request_id == request_id
    error = line.receive(wire.ERROR).head
    assert (error.status, error.mesh["class"]) == (504, "RequestTimeoutError")


def test_a_stream_may_last_longer_than_its_first_chunk_may_take(line):
    request_id = line.chat(model="endless", stream=True, credit=10_000, first_chunk_ms=400)
    began = time.monotonic()
    while time.monotonic() - began < 1.0:
        assert line.receive(wire.CHUNK).request_id == request_id
    line.send(wire.CANCEL, request_id)


def test_a_first_chunk_that_does_not_come_in_time_is_told_with_the_attempts(line):
    request_id = line.chat(model="silent", stream=True, first_chunk_ms=400)
    error = line.receive(wire.ERROR)
    assert (error.request_id, error.head.status) == (request_id, 504)
    assert [attempt["model"] for attempt in error.head.mesh["attempts"]] == ["silent.chat"]


def test_an_event_stream_no_app_reads_ends_at_its_deadline(daemon, line):
    request_id = line.request("/mesh/v1/events", method="GET", stream=True, credit=1, deadline_ms=300)
    line.round_trip()
    for _ in range(3):
        daemon.ask("POST", "/mesh/v1/models/activate", {"id": "echo.chat"})
    assert line.receive(wire.CHUNK).request_id == request_id
    error = line.receive(wire.ERROR).head
    assert (error.status, error.error["code"]) == (504, "timeout")
    assert "Traceback" not in daemon.log()


def test_events_are_streamed_as_they_happen_until_cancelled(daemon, line):
    request_id = line.request("/mesh/v1/events?type=model_activated,model_rotated", method="GET", stream=True)
    line.round_trip()
    daemon.ask("POST", "/mesh/v1/models/deactivate", {"id": "echo.tools", "reason": "test"})
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": "echo.tools"})
    event = json.loads(line.receive(wire.CHUNK).body)
    assert (event["type"], event["ids"]) == ("model_activated", {"model": "echo.tools"})
    line.send(wire.CANCEL, request_id)
    assert line.receive(wire.ERROR).head.status == 499


def test_what_does_not_stream_says_so(line):
    line.request("/mesh/v1/status", method="GET", stream=True)
    assert line.receive(wire.ERROR).head.status == 400


def test_a_request_cancelled_before_it_could_begin_is_answered_and_forgotten(daemon, line):
    for path, body in (("/mesh/v1/describe", None), ("/v1/chat/completions", {"model": "silent", "messages": []})):
        request_ids = [line.request(path, body, method="POST" if body else "GET") for _ in range(20)]
        for request_id in request_ids:
            line.send(wire.CANCEL, request_id)
        answers = [line.receive() for _ in request_ids]
        assert {answer.request_id for answer in answers} == set(request_ids)
        assert {answer.head.status for answer in answers} <= {200, 499}
    assert daemon.status()["in_flight"] == 0


def test_a_request_in_flight_is_counted_and_a_listener_to_events_is_not(daemon, line):
    assert daemon.status()["in_flight"] == 0
    request_id = line.chat(model="endless", stream=True)
    line.receive(wire.CHUNK)
    listens = line.request("/mesh/v1/events", method="GET", stream=True, credit=1)
    assert daemon.status()["in_flight"] == 1
    for each in (request_id, listens):
        line.send(wire.CANCEL, each)


def test_cancelling_is_idempotent_and_ends_with_499(daemon, line):
    request_id = line.chat(model="endless", stream=True)
    line.receive(wire.CHUNK)
    for _ in range(3):
        line.send(wire.CANCEL, request_id)
    while (message := line.receive()).kind == wire.CHUNK:
        pass
    assert (message.kind, message.head.status, message.head.error["code"]) == (wire.ERROR, 499, "cancelled")
    line.round_trip()
    assert daemon.model("endless.chat")["in_flight"] == 0


# -- with an upstream of its own --------------------------------------------------------------------------


@pytest.fixture
def behind(meshd, upstream):
    """(a daemon, the upstream behind it)"""
    server = upstream([{"tokens": ["word "] * 10_000, "chunk_delay": "2ms"}])
    config = {
        "providers": {"up": server.provider()},
        "models": {"up.chat": {"provider": "up", "capabilities": ["chat-completion"]}},
    }
    return meshd(config), server


def gone(server, since, eventually):
    eventually(lambda: server.served["open"] == 0, what="the upstream is left alone")
    assert server.served["cancelled"] == 1
    assert time.monotonic() - since < 1.0


def test_cancel_stops_the_upstream_within_a_second(behind, dial, eventually):
    daemon, server = behind
    line = dial(daemon.socket)
    request_id = line.chat(stream=True, credit=1_000_000)
    line.receive(wire.CHUNK)
    assert server.served["open"] == 1
    since = time.monotonic()
    line.send(wire.CANCEL, request_id)
    gone(server, since, eventually)


def test_leaving_a_stream_of_the_client_stops_the_upstream(behind, eventually):
    daemon, server = behind
    with daemon.say(stream=True) as stream:
        next(iter(stream))
    gone(server, time.monotonic(), eventually)


def test_a_cancelled_unary_request_stops_the_upstream(behind, dial, eventually):
    daemon, server = behind
    server.play([{"fault": "timeout"}])
    line = dial(daemon.socket)
    request_id = line.chat()
    eventually(lambda: server.served["open"] == 1)
    since = time.monotonic()
    line.send(wire.CANCEL, request_id)
    gone(server, since, eventually)


READER = """
import sys, modelmesh
with modelmesh.OpenAIClient(sys.argv[1]) as client:
    stream = client.chat.completions.create(
        model="chat-completion", messages=[{"role": "user", "content": "hi"}], stream=True)
    for chunk in stream:
        print("chunk", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_client_killed_in_mid_stream_stops_the_upstream(behind, eventually, number):
    daemon, server = behind
    reader = subprocess.Popen([sys.executable, "-c", READER, str(daemon.socket)], stdout=subprocess.PIPE, text=True)
    try:
        assert reader.stdout.readline() == "chunk\n"
        since = time.monotonic()
        reader.send_signal(number)
        gone(server, since, eventually)
        lost = daemon.ask("GET", "/mesh/v1/events?type=client_lost")["data"]
        assert lost[-1]["ids"]["pid"] == str(reader.pid)
        assert lost[-1]["reason"] in ("its process ended", "it closed its connection")
        assert daemon.model("up.chat")["in_flight"] == 0
    finally:
        reader.kill()
        reader.communicate()


def test_a_slow_app_holds_the_upstream_back_rather_than_memory(meshd, upstream, dial, eventually):
    """40 MB are available; without credit the daemon reads little of it."""
    server = upstream([{"tokens": ["x" * 100_000] * 400}])
    daemon = meshd(
        {
            "providers": {"up": server.provider()},
            "models": {"up.chat": {"provider": "up", "capabilities": ["chat-completion"]}},
        }
    )
    line = dial(daemon.socket)
    line.chat()
    line.receive()
    before = psutil.Process(daemon.process.pid).memory_info().rss
    lines = [dial(daemon.socket) for _ in range(4)]
    streams = [each.chat(stream=True, credit=2) for each in lines]
    for each in lines:
        for _ in range(2):
            each.receive(wire.CHUNK)
    assert all(each.quiet(0.2) for each in lines)
    assert server.served["open"] == 4
    held = psutil.Process(daemon.process.pid).memory_info().rss - before
    assert held < 30_000_000, f"{held / 1e6:.0f} MB are held for apps that do not read"
    for each, request_id in zip(lines, streams, strict=True):
        each.send(wire.CREDIT, request_id, wire.CreditHead(1000))
        text, end = take(each, request_id)
        assert len(text) == 398 * 100_000
        assert end.kind == wire.END


def test_the_client_takes_a_long_stream_with_its_own_credit(behind):
    daemon, server = behind
    server.play([{"tokens": [f"{number} " for number in range(1000)]}])
    text = "".join(chunk.choices[0].delta.content or "" for chunk in daemon.say(stream=True))
    assert text == "".join(f"{number} " for number in range(1000))


def test_many_streams_at_once_lose_and_mix_nothing(daemon):
    client = daemon.client()
    texts: list[str] = []

    def read() -> None:
        stream = client.chat.completions.create(model="counting", messages=[], stream=True)
        texts.append("".join(chunk.choices[0].delta.content or "" for chunk in stream))

    threads = [threading.Thread(target=read) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert texts == [NUMBERS] * 20


async def test_many_streams_of_an_async_client(daemon):
    import asyncio

    async def read(client):
        stream = await client.chat.completions.create(model="counting", messages=[], stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async with daemon.async_client() as client:
        assert await asyncio.gather(*(read(client) for _ in range(50))) == [NUMBERS] * 50


def test_a_stream_that_broke_raises_with_its_text(meshd):
    daemon = meshd(
        {
            "providers": {
                "cut": {
                    "connector": "modelmesh.scripted.v1",
                    "script": [{"tokens": ["one ", "two ", "three"], "fault": "reset", "after": 2}],
                }
            },
            "models": {"cut.chat": {"provider": "cut", "capabilities": ["chat-completion"]}},
        }
    )
    stream = daemon.say(stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(2)] == ["one ", "two "]
    with pytest.raises(modelmesh.StreamInterrupted) as caught:
        next(stream)
    assert caught.value.text == "one two "
    assert caught.value.code == "stream_interrupted"
