"""ZeroMQ libraries that others wrote, with a real daemon: the oldest pyzmq, and npm's `zeromq`."""

from __future__ import annotations

import json
from typing import Any

from modelmesh import protocol as wire
from tests.conformance.zmtp.conftest import MIB


def content(answer: Any) -> str:
    found: str = json.loads(answer.body)["choices"][0]["message"]["content"]
    return found


def test_a_dealer_asks_and_is_answered(other: Any) -> None:
    line = other()
    assert line.welcome.version == wire.VERSION
    asked = [line.chat(f"number {number}", model="echo") for number in range(20)]
    answers = {answer.request_id: content(answer) for answer in (line.receive(wire.RESPONSE) for _ in asked)}
    assert [answers[each].rpartition(" ")[2] for each in asked] == [str(number) for number in range(20)]
    refused = line.chat(model="no-such-model")
    assert line.receive(wire.ERROR).request_id == refused
    line.round_trip()


def test_a_stream_comes_in_order(other: Any) -> None:
    line = other()
    line.chat(model="counting", stream=True)
    texts, received = [], 0
    while (message := line.receive()).kind == wire.CHUNK:
        received += 1
        texts += [each["delta"].get("content") or "" for each in json.loads(message.body)["choices"]]
        if received % 32 == 0:
            line.send(wire.CREDIT, message.request_id, wire.CreditHead(32))
    assert message.kind == wire.END
    assert "".join(texts).split() == [str(number) for number in range(200)]


def test_a_body_of_nearly_64_mib_goes_there_and_comes_back(other: Any) -> None:
    line = other()
    text = "x" * (line.welcome.max_message_size - 1000)
    line.chat(text, model="echo")
    assert content(line.receive(wire.RESPONSE)).endswith(text)


def test_a_req_socket_asks_once_at_a_time(other: Any) -> None:
    line = other("REQ")
    for number in range(3):
        line.chat(f"number {number}", model="echo")
        assert content(line.receive(wire.RESPONSE)).endswith(f"number {number}")


def test_a_high_water_mark_of_one_loses_nothing(other: Any) -> None:
    """Neither of many small messages nor of large ones, as many as a client may leave unread while it sends."""
    line = other(hwm=1)
    for _ in range(8):
        asked = {line.chat("x" * MIB, model="echo") for _ in range(2)}
        asked |= {line.chat("hi", model="echo") for _ in range(25)}
        assert {line.receive(wire.RESPONSE).request_id for _ in asked} == asked
