"""Malformed messages on the socket: one ERROR, counted, and no other client is affected."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import msgspec
import pytest
import zmq

from modelmesh import protocol as wire

ID = b"0123456789abcdef"
CASES = {
    "no frames but one": ([b""], b""),
    "one frame": ([wire.PING], b""),
    "two frames": ([wire.REQUEST, ID], b""),
    "unknown kind": ([b"\x63", ID, b""], ID),
    "kind of no bytes": ([b"", ID, b""], ID),
    "kind of two bytes": ([b"\x03\x03", ID, b""], ID),
    "unknown kind, bad id": ([b"\x63", b"short", b""], b""),
    "short id": ([wire.REQUEST, b"short", b"\x80"], b""),
    "long id": ([wire.REQUEST, ID * 2, b"\x80"], b""),
    "head of rubbish": ([wire.REQUEST, ID, b"\xc1\xc1"], ID),
    "head cut short": ([wire.REQUEST, ID, b"\x81\xa4pa"], ID),
    "head that is a list": ([wire.REQUEST, ID, b"\x93\x01\x02\x03"], ID),
    "head with a path of the wrong type": ([wire.REQUEST, ID, msgspec.msgpack.encode({"path": 7})], ID),
    "head with headers of the wrong type": ([wire.REQUEST, ID, msgspec.msgpack.encode({"headers": {"a": 1}})], ID),
    "head nested too deeply": ([wire.REQUEST, ID, b"\x81\xa1x" + b"\x91" * 50_000], ID),
    "request without an id": ([wire.REQUEST, b"", msgspec.msgpack.encode({"path": "/v1/models"})], b""),
    "credit without a number": ([wire.CREDIT, ID, b""], ID),
    "a welcome": ([wire.WELCOME, b"", b""], b""),
    "a response": ([wire.RESPONSE, ID, b""], ID),
    "a chunk": ([wire.CHUNK, ID, b"", b"{}"], ID),
    "an end": ([wire.END, ID, b""], ID),
    "an error": ([wire.ERROR, ID, b""], ID),
    "a goaway": ([wire.GOAWAY, b"", b""], b""),
    "another version": ([wire.HELLO, b"", msgspec.msgpack.encode({"version": 2})], b""),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.replace(" ", "-"))
def test_malformed_messages_get_one_error_and_are_counted(daemon, line, dial, case):
    frames, readable = CASES[case]
    neighbour = dial(daemon.socket)
    waiting = neighbour.chat(model="silent")
    own = line.chat(model="silent")
    before = daemon.status()["malformed"]
    line.frames(*frames)
    error = line.receive(wire.ERROR)
    assert error.request_id == readable
    assert error.head.status == 400
    assert error.head.error["code"] == "protocol_error"
    assert error.head.error["message"].startswith("malformed message: ")
    assert error.head.mesh["class"] == "ProtocolError"
    line.round_trip()
    assert daemon.status()["malformed"] == before + 1
    # Both requests are still under way, and both connections still work.
    for each, request_id in ((neighbour, waiting), (line, own)):
        answered = each.chat()
        assert each.receive(wire.RESPONSE).request_id == answered
        each.send(wire.CANCEL, request_id)
        assert each.receive(wire.ERROR).request_id == request_id
    assert "Traceback" not in daemon.log()


@pytest.mark.parametrize("routing_id", [b"me", b"\xff" * 255])
def test_a_routing_id_of_ones_own_is_of_no_account(line, dial, daemon, routing_id):
    """Also one that another has chosen: who calls belongs to the connection."""
    both = [dial(daemon.socket, ROUTING_ID=routing_id) for _ in range(2)]
    asked = [each.chat(f"number {place}") for place, each in enumerate(both)]
    for each, request_id in zip(both, asked, strict=True):
        assert each.receive(wire.RESPONSE).request_id == request_id
    line.chat()
    line.receive(wire.RESPONSE)


def test_a_body_over_the_limit_is_413(line):
    request_id = line.request(body=b" " * (1024**2 + 1))
    error = line.receive(wire.ERROR)
    assert error.request_id == request_id
    assert (error.head.status, error.head.error["code"]) == (413, "message_too_large")
    line.chat("x" * 1024 * 900)
    assert line.receive(wire.RESPONSE)


def test_all_body_frames_count_towards_the_limit(line):
    head = msgspec.msgpack.encode({"path": "/v1/chat/completions"})
    line.frames(wire.REQUEST, ID, head, b"{}", *[b" " * 1024 * 300] * 4)
    assert line.receive(wire.ERROR).head.status == 413


def test_numbers_out_of_any_range_do_no_harm(line):
    for head in ({"deadline_ms": -5}, {"deadline_ms": 2**63}, {"credit": -5}, {"credit": 2**64 - 1}):
        line.chat(**head)
        assert line.receive(wire.RESPONSE)
    stream = line.chat(model="counting", stream=True, credit=1)
    assert line.receive(wire.CHUNK).request_id == stream
    line.send(wire.CREDIT, stream, wire.CreditHead(-(2**63)))
    line.round_trip()
    line.send(wire.CREDIT, stream, wire.CreditHead(2**64 - 1))
    while line.receive().kind == wire.CHUNK:
        pass


def test_unknown_head_keys_are_ignored(line):
    head = msgspec.msgpack.encode({"path": "/mesh/v1/describe", "method": "GET", "colour": ["blue", {"a": None}]})
    line.frames(wire.REQUEST, ID, head, b"", b"an attachment")
    assert line.receive(wire.RESPONSE).request_id == ID


def test_cancel_and_credit_for_what_is_not_there_are_ignored(line):
    line.send(wire.CANCEL, ID)
    line.send(wire.CANCEL, b"")
    line.send(wire.CREDIT, ID, wire.CreditHead(5))
    line.send(wire.PONG)
    line.send(wire.PING)
    assert line.receive().kind == wire.PONG


OTHER_PROCESS = """
import sys, json
from modelmesh import protocol as wire
import zmq
socket = zmq.Context.instance().socket(zmq.DEALER)
socket.set(zmq.LINGER, 1000)
socket.connect("ipc://" + sys.argv[1])
request_id = bytes.fromhex(sys.argv[2])
body = json.dumps({"model": "silent", "messages": []}).encode()
socket.send_multipart(wire.encode(wire.HELLO))
socket.recv_multipart()
socket.send_multipart(wire.encode(wire.CANCEL, request_id))
socket.send_multipart(wire.encode(wire.CREDIT, request_id, wire.CreditHead(99)))
for resend in (False, True):
    head = wire.RequestHead(path="/v1/chat/completions", resend=resend)
    socket.send_multipart(wire.encode(wire.REQUEST, request_id, head, body))
    message = wire.decode(socket.recv_multipart())
    print(wire.KIND_NAMES[message.kind], message.head.error["message"])
"""


def test_another_processs_request_can_be_neither_taken_nor_stopped(daemon, line):
    stream = line.chat(model="endless", stream=True, credit=1)
    assert line.receive(wire.CHUNK).request_id == stream
    said = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, str(daemon.socket), stream.hex()],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    ).stdout.splitlines()
    assert said == ["ERROR malformed message: this request id belongs to another client"] * 2
    assert line.quiet(0.05)
    line.send(wire.CREDIT, stream, wire.CreditHead(1))
    assert line.receive(wire.CHUNK).request_id == stream
    line.send(wire.CANCEL, stream)
    assert line.receive(wire.ERROR).head.status == 499


ASK_FOR_ANSWER = """
import sys, json
from modelmesh import protocol as wire
import zmq
socket = zmq.Context.instance().socket(zmq.DEALER)
socket.connect("ipc://" + sys.argv[1])
body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "mine"}]}).encode()
head = wire.RequestHead(path="/v1/chat/completions", resend=True)
socket.send_multipart(wire.encode(wire.REQUEST, bytes.fromhex(sys.argv[2]), head, body))
print(json.loads(wire.decode(socket.recv_multipart()).body)["choices"][0]["message"]["content"])
"""


def test_another_processs_answer_is_not_given_away(daemon, line):
    request_id = line.chat("private")
    line.receive(wire.RESPONSE)
    said = subprocess.run(
        [sys.executable, "-c", ASK_FOR_ANSWER, str(daemon.socket), request_id.hex()],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    ).stdout
    assert said == "[scripted] mine\n"


def test_bytes_that_are_not_zmtp_do_no_harm(daemon, line):
    import socket

    for rubbish in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 1000, b"\x00" * 1000, os.urandom(1000), b""):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(daemon.socket))
            raw.sendall(rubbish)
    line.chat()
    line.receive(wire.RESPONSE)


def test_other_kinds_of_zmq_socket_do_no_harm(daemon, line):
    for kind in (zmq.REQ, zmq.DEALER, zmq.ROUTER, zmq.PUSH, zmq.SUB):
        socket = zmq.Context.instance().socket(kind)
        socket.set(zmq.LINGER, 0)
        socket.connect(f"ipc://{daemon.socket}")
        if kind in (zmq.REQ, zmq.DEALER):
            socket.send_multipart([b"one", b"two"])
        if kind == zmq.DEALER:
            assert socket.poll(20_000)
        socket.close()
    line.chat()
    assert json.loads(line.receive(wire.RESPONSE).body)["choices"]
